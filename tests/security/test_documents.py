"""What strangers' documents leave in a server's memory, and what they are charged."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from typing import Any

import pytest

import db.pages
from engine.documents import CACHE_REFUSED, CACHE_WEIGHT
from engine.engine import Engine
from engine.errors import MAX_LOCATIONS, MAX_MESSAGE
from engine.requests import Request
from plan.errors import NotPlanned
from plan.operations import MAX_PLANNED_FIELDS
from settings import load
from tests.catalogue import KINDS
from tests.conftest import Shop

LONG = "x" * 20_000
FIELDS = ", ".join(f'a{number}: "{LONG if number == 0 else 1}"' for number in range(25))
COMPLAINTS = f"{{ giftFinder(input: {{ {FIELDS} }}) {{ nodes {{ id }} }} }}"
LEAVES = "fragment L on Product { id name description price { amount currencyCode } category { id slug name } tags }"
PAGE = "products(first: 0) @include(if: $v{}) {{ nodes {{ ...L }} edges {{ node {{ ...L }} }} }}"
PAGES = " ".join(f"p{number}: {PAGE.format(number % 5)}" for number in range(18))
DEFINITIONS = ", ".join(f"$v{number}: Boolean!" for number in range(5))
VARIANTS = f"query Q({DEFINITIONS}) {{ NAME: __typename {PAGES} }} {LEAVES}"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load({}))


def kept_of(engine: Engine) -> Any:
    return engine._documents


async def test_errors_do_not_repeat_what_they_complain_of(shop: Shop) -> None:
    answer = await shop.client().post(COMPLAINTS)
    errors = answer.json()["errors"]
    assert len(errors) == 21, "twenty, and that there are more"
    assert all(len(error["message"]) <= MAX_MESSAGE for error in errors)
    assert len(answer.content) < len(COMPLAINTS)


async def test_errors_of_variables_do_not_either(shop: Shop) -> None:
    query = "mutation ($input: RecordSwipesInput!) { recordSwipes(input: $input) { userErrors { code } } }"
    swipe = {"productId": LONG, "direction": "UP", "clientSwipeId": "1", "nothing": LONG}
    answer = await shop.client().post(query, input={"swipes": [swipe] * 5})
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert all(len(error["message"]) <= MAX_MESSAGE for error in answer.json()["errors"])


def test_refused_texts_leave_little(engine: Engine) -> None:
    for number in range(CACHE_REFUSED + 50):
        document = engine.document(COMPLAINTS.replace("giftFinder", f"a{number}: giftFinder"))
        assert document.errors
        assert document.tree is None
    kept = kept_of(engine)._refused
    assert len(kept) == CACHE_REFUSED
    for document in kept.values():
        for error in document.errors:
            assert len(error.message) <= MAX_MESSAGE
            assert len(error.locations or ()) <= MAX_LOCATIONS
            assert error.nodes is None
            assert error.source is None


def test_a_text_that_does_not_parse_leaves_nothing_of_itself(engine: Engine) -> None:
    document = engine.document(f"{{ {LONG}")
    document = engine.document(f"{{ {LONG}")
    (error,) = document.errors
    assert error.source is None
    assert engine.prepare(Request(f"{{ {LONG}")).errors[0].extensions == {"code": "GRAPHQL_PARSE_FAILED"}


def test_variants_of_an_operation_are_bounded_by_their_fields(engine: Engine) -> None:
    operation = engine.document(VARIANTS.replace("NAME", "a")).operation(None)
    assert operation is not None
    planned = 0
    for values in itertools.product((True, False), repeat=5):
        with contextlib.suppress(NotPlanned):
            operation.plans.get({f"v{i}": value for i, value in enumerate(values)})
            planned += 1
    assert 1 <= planned < 32
    assert operation.plans.planned_fields <= MAX_PLANNED_FIELDS


def test_documents_are_kept_by_what_their_plans_take(engine: Engine) -> None:
    texts = [VARIANTS.replace("NAME", f"a{number}") for number in range(100)]
    for text in texts:
        engine.document(text)
    documents = kept_of(engine)
    assert documents._weight <= CACHE_WEIGHT
    kept = sum(documents.known(text) is not None for text in texts)
    assert 5 < kept < 30
    assert documents.known(texts[-1]) is not None


async def test_a_text_is_not_kept_under_its_hash_before_it_is_valid(shop: Shop) -> None:
    http = shop.http
    for text, is_kept in (("{ nothing }", False), ("{ \u4f60", False), ("{ retailers { slug } }", True)):
        digest = hashlib.sha256(text.encode()).hexdigest()
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        await http.post("/graphql", json={"query": text, "extensions": extensions})
        answer = (await http.post("/graphql", json={"extensions": extensions})).json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        assert codes == ([] if is_kept else ["PERSISTED_QUERY_NOT_FOUND"])


async def test_rows_that_many_share_are_counted_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The categories of a hundred products, and how many products each has."""
    counted: list[Any] = []
    count = db.pages.count

    async def spied(session: Any, request: Any, keys: list[Any]) -> list[int]:
        counted.extend(keys)
        return await count(session, request, keys)

    monkeypatch.setattr(db.pages, "count", spied)
    data = await shop.client().ask("{ products(first: 100) { nodes { category { slug products { totalCount } } } } }")
    found = [node["category"] for node in data["products"]["nodes"]]
    assert len(found) == 50
    assert {each["slug"]: each["products"]["totalCount"] for each in found} == dict.fromkeys(KINDS, 10)
    assert len(counted) == len(KINDS)


async def test_variants_without_a_plan_are_answered_all_the_same(shop: Shop) -> None:
    answers = []
    for values in itertools.product((True, False), repeat=5):
        data = await shop.client().ask(VARIANTS.replace("NAME", "a"), **{f"v{i}": v for i, v in enumerate(values)})
        answers.append(data)
        assert {f"p{i}" for i in range(18) if values[i % 5]} == set(data) - {"a"}
    assert shop.engine.counts["too many variants"] > 0
    assert shop.engine.counts["planned"] > 0
