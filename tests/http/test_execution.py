"""One snapshot for a query, one transaction for each root field of a mutation; errors that do not say how."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import structlog

from db.session import Session
from resolvers import quiz, swipes
from tests.conftest import Shop

NAME = "select display_name from public.profiles"
SECRET_TEXT = "relation private.secret_table of host db.internal"


async def test_a_query_with_several_root_fields_sees_one_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Session.run
    statements = 0
    one_writer = asyncio.Lock()

    async def run_and_write(self: Session, sql: str, arguments: Any) -> Any:
        nonlocal statements
        rows = await run(self, sql, arguments)
        if not self.read_only:  # housekeeping
            return rows
        async with one_writer:
            statements += 1
            await shop.owner.execute("insert into public.brands (slug, name) values ($1, 'New')", f"new-{statements}")
        return rows

    monkeypatch.setattr(Session, "run", run_and_write)
    monkeypatch.setattr(Session, "run_last", run_and_write)
    counts = (
        "{ a: brands { totalCount nodes { id } } retailers { id } b: brands(first: 1) { totalCount nodes { id } }"
        " c: brands { totalCount } }"
    )
    seen = await shop.client().ask(counts)
    assert statements > 2
    assert {seen[name]["totalCount"] for name in "abc"} == {3}
    assert (await shop.client().ask("{ brands { totalCount } }"))["brands"]["totalCount"] > 3


async def test_each_root_field_of_a_mutation_sees_what_the_one_before_it_wrote(shop: Shop) -> None:
    anna = await shop.anonymous()
    products = await anna.products(first=3)
    fields = " ".join(
        f's{i}: recordSwipe(input: {{productId: "{product["id"]}", direction: UP, clientSwipeId: "{i}"}}) '
        "{ preferences { totalSwipes } userErrors { code } }"
        for i, product in enumerate(products)
    )
    data = await anna.ask(f"mutation {{ {fields} }}")
    assert [data[f"s{i}"]["preferences"]["totalSwipes"] for i in range(3)] == [1, 2, 3]


async def test_a_refused_root_field_undoes_only_itself(shop: Shop) -> None:
    anna = await shop.anonymous()
    data = await anna.ask(
        """
        mutation {
          a: updateProfile(input: {displayName: "A"}) { profile { displayName } userErrors { code } }
          b: updateProfile(input: {displayName: "B", statedPreferences: []}) { profile { id } userErrors { code } }
          c: updateProfile(input: {statedPreferences: {c: 1}}) { profile { displayName } userErrors { code } }
        }
        """
    )
    assert data["a"] == {"profile": {"displayName": "A"}, "userErrors": []}
    assert data["b"] == {"profile": None, "userErrors": [{"code": "INVALID"}]}
    assert data["c"] == {"profile": {"displayName": "A"}, "userErrors": []}
    assert await shop.owner.fetchval("select preferences from public.profiles") == '{"c": 1}'


async def test_a_refused_root_field_keeps_nothing_of_what_it_wrote_before_it_knew(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown = (await anna.feed(first=1))["nodes"][0]
    await shop.owner.execute("update public.products set is_active = false")
    click = "mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { userErrors { code } } }"
    given = {"productId": shown["product"]["id"], "recommendationId": shown["id"]}
    assert await anna.refusal(click, input=given) == {"code": "NOT_FOUND"}
    assert await shop.owner.fetchval("select count(*) from public.recommendations") == 0


async def test_a_root_field_that_breaks_keeps_what_was_before_and_starts_nothing_after(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks in its last step, when its swipe is written already."""

    def broken(row: Any, item: Any) -> bool:
        raise RuntimeError(SECRET_TEXT)

    monkeypatch.setattr(swipes, "_is_of", broken)
    anna = await shop.anonymous()
    product = (await anna.product("Tools 1"))["id"]
    with structlog.testing.capture_logs():
        answer = await anna.post(
            """
            mutation ($product: ID!) {
              a: updateProfile(input: {displayName: "A"}) { userErrors { code } }
              b: recordSwipe(input: {productId: $product, direction: UP, clientSwipeId: "x"}) { userErrors { code } }
              c: updateProfile(input: {displayName: "C"}) { userErrors { code } }
            }
            """,
            product=product,
        )
    body = answer.json()
    assert body["data"] is None
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [
        (["b"], "INTERNAL_SERVER_ERROR")
    ]
    assert await shop.owner.fetchval(NAME) == "A"
    assert await shop.owner.fetchval("select count(*) from public.swipes") == 0


async def test_the_payload_is_what_was_committed(shop: Shop) -> None:
    anna = await shop.anonymous()
    payload = await anna.do(
        'mutation { updateProfile(input: {displayName: "A"}) { profile { displayName swipes { totalCount } } '
        "userErrors { code } } }"
    )
    assert payload["profile"] == {"displayName": "A", "swipes": {"totalCount": 0}}
    assert await shop.owner.fetchval(NAME) == "A"


async def test_a_query_writes_nothing(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    tables = [row[0] for row in await shop.owner.fetch("select tablename from pg_tables where schemaname = 'public'")]

    async def counts() -> dict[str, int]:
        return {name: await shop.owner.fetchval(f"select count(*) from public.{name}") for name in tables}

    before = await counts()
    await anna.feed(first=50)
    await anna.ask("{ me { id swipes { totalCount } analytics { sessions } } giftFinder(input: {}) { nodes { id } } }")
    assert await counts() == before


Broken = Callable[..., Coroutine[Any, Any, Any]]


def raising(error: BaseException) -> Broken:
    async def broken(*args: Any, **kwargs: Any) -> Any:
        raise error

    return broken


async def test_internal_errors_are_logged_and_not_exposed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiz, "current_quiz", raising(RuntimeError(SECRET_TEXT)))
    with structlog.testing.capture_logs() as logs:
        answer = await shop.client().post("{ quiz { version } }")
    assert answer.status_code == 200
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": answer.headers["x-request-id"],
    }
    assert error["path"] == ["quiz"]
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    (entry,) = logs
    assert (entry["log_level"], entry["request_id"]) == ("error", answer.headers["x-request-id"])
    assert SECRET_TEXT in str(entry["exc_info"])


async def test_database_errors_are_not_exposed(shop: Shop) -> None:
    await shop.owner.execute("alter table public.brands rename to brands_gone")
    with structlog.testing.capture_logs():
        answer = await shop.client().post("{ brands { totalCount } }")
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "brands_gone" not in answer.text
    assert "relation" not in answer.text


async def test_after_an_error_the_next_request_is_as_good_as_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = await shop.anonymous()
    with monkeypatch.context() as patched, structlog.testing.capture_logs():
        patched.setattr(quiz, "current_quiz", raising(RuntimeError("no")))
        assert await anna.code("{ me { id } quiz { version } }") == "INTERNAL_SERVER_ERROR"
    answers = await asyncio.gather(*(anna.ask("{ me { id } quiz { version } }") for _ in range(10)))
    assert all(answer["quiz"]["version"] == "2.0" for answer in answers)


async def test_a_statement_that_takes_too_long_is_a_timeout(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = shop.owner.transaction()
    await locked.start()
    await shop.owner.execute("lock table public.retailers")
    impatient = msgspec.structs.replace(shop.services.settings, database_statement_timeout=100)
    monkeypatch.setattr(shop.services.database, "_settings", impatient)
    answer = await shop.client().post("{ retailers { id } }")
    await locked.rollback()
    assert answer.json()["errors"][0]["extensions"] == {"code": "TIMEOUT", "retryAfter": 1}
    assert answer.headers["retry-after"] == "1"
    assert len((await shop.client().ask("{ retailers { id } }"))["retailers"]) == 3


async def test_a_person_who_is_gone_while_the_token_lives(shop: Shop) -> None:
    ghost = shop.client(shop.token(uuid4()))
    product = (await ghost.product("Tools 1"))["id"]
    click = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
    assert await ghost.code(click, id=product) == "UNAUTHENTICATED"


async def test_a_field_that_is_given_up_takes_no_other_with_it_that_waits_for_the_same_rows(shop: Shop) -> None:
    anna = await shop.anonymous()
    same = "swipes(first: 1) { totalCount }"
    query = f"{{ refused: me {{ {same} sessions(first: -1) {{ totalCount }} }} answered: me {{ {same} }} }}"
    body = (await anna.post(query)).json()
    assert body["data"] == {"refused": None, "answered": {"swipes": {"totalCount": 0}}}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]


async def test_a_condition_of_another_operation_decides_nothing(shop: Shop) -> None:
    document = (
        "query One($v: String!) { products(first: 1, filter: {brandSlugs: [$v]}) { totalCount } }"
        "query Other($v: Boolean!) { ...Total } fragment Total on Query { categories @include(if: $v) { id } }"
    )
    body = {"query": document, "operationName": "One", "variables": {"v": "nobody"}}
    response = await shop.http.post("/graphql", json=body)
    assert response.json() == {"data": {"products": {"totalCount": 0}}}
    assert shop.engine.counts == {"planned": 1}
