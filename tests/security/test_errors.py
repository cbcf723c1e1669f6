"""What is said when something is wrong: a code, and nothing of what is behind the API."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from domain import ids
from tests.conftest import Shop

PRODUCTS = "query ($filter: ProductFilter) { products(filter: $filter) { nodes { id } } }"
SEARCH = "query ($text: String) { products(search: $text) { nodes { id } } brands(search: $text) { nodes { id } } }"
FIRST = "query ($first: Int) { products(first: $first) { nodes { id } } }"
ORDER = "query ($order: ProductOrder!) { products(orderBy: $order) { nodes { id } } }"
NODE = "query ($id: ID!) { node(id: $id) { id } }"
QUIZ = "query ($locale: String!) { quiz(locale: $locale) { version } }"
SINCE = "query ($since: DateTime) { me { analytics(since: $since) { swipes } } }"
GIFTS = "query ($input: GiftFinderInput!) { giftFinder(input: $input) { nodes { id } } }"
SWIPE = "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { userErrors { code message } } }"
CLICK = (
    "mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { userErrors { code message } } }"
)
RENAME = "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { code message } } }"
SUBMIT = "mutation ($input: SubmitQuizInput!) { submitQuiz(input: $input) { userErrors { code message } } }"
SIGN_UP = "mutation ($input: SignUpInput!) { signUp(input: $input) { userErrors { code message } } }"

QUOTES = "'; drop table swipes; select '\"\\ -- /* $1 %s {0}"
DEEP: Any = 1
for _ in range(400):
    DEEP = [DEEP]

PROVOCATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "quotes in an id": (NODE, {"id": QUOTES}),
    "quotes in a search": (SEARCH, {"text": QUOTES}),
    "operators in a search": (SEARCH, {"text": "a & | ! <-> :* (("}),
    "quotes in a slug": (PRODUCTS, {"filter": {"categorySlug": QUOTES, "brandSlugs": [QUOTES], "tags": [QUOTES]}}),
    "quotes in a currency": (PRODUCTS, {"filter": {"minPrice": "1", "currencyCode": QUOTES}}),
    "quotes in a locale": (QUIZ, {"locale": QUOTES}),
    "quotes in an occasion": (GIFTS, {"input": {"occasion": QUOTES, "relationship": QUOTES}}),
    "quotes in a swipe": (SWIPE, {"input": {"productId": QUOTES, "direction": "UP", "clientSwipeId": QUOTES}}),
    "a number for an id": (NODE, {"id": 10**30}),
    "a huge page": (FIRST, {"first": 2**31 - 1}),
    "a page beyond all integers": (FIRST, {"first": 10**30}),
    "a page written beyond all integers": (f"{{ products(first: {10**30}) {{ nodes {{ id }} }} }}", {}),
    "a huge price": (PRODUCTS, {"filter": {"minPrice": "9" * 29}}),
    "a price that is none": (PRODUCTS, {"filter": {"minPrice": "NaN"}}),
    "a huge age": (GIFTS, {"input": {"age": 2**31 - 1}}),
    "the first moment, further east": (SINCE, {"since": "0001-01-01T00:00:00+14:00"}),
    "no moment": (SINCE, {"since": QUOTES}),
    "an unknown order": (ORDER, {"order": "RANDOM()"}),
    "an unknown order in the text": ("{ products(orderBy: RANDOM) { nodes { id } } }", {}),
    "NUL in an id": (NODE, {"id": "\0"}),
    "NUL in a search": (SEARCH, {"text": "a\0b"}),
    "NUL in a slug": (PRODUCTS, {"filter": {"categorySlug": "a\0b"}}),
    "NUL in a tag": (PRODUCTS, {"filter": {"tags": ["a\0b"]}}),
    "NUL in a category": (GIFTS, {"input": {"categorySlugs": ["\0"]}}),
    "NUL in a key": (CLICK, {"input": {"productId": "PRODUCT", "idempotencyKey": "\0"}}),
    "NUL in a profile": (RENAME, {"input": {"statedPreferences": {"a": "\0"}}}),
    "NUL in an answer": (SUBMIT, {"input": {"version": "2.0", "answers": [{"questionId": "\0", "value": 1}]}}),
    "NUL in an e-mail": (SIGN_UP, {"input": {"email": "a\0@b.example", "password": "long enough"}}),
    "deep preferences": (RENAME, {"input": {"statedPreferences": {"a": DEEP}}}),
    "preferences that are a list": (RENAME, {"input": {"statedPreferences": [1]}}),
    "a deep document": ("{" + "categories { parent {" * 30 + " id " + "}}" * 30 + "}", {}),
    "an endless document": ("{" * 2000, {}),
    "an unknown field": ("{ me { encrypted_password } }", {}),
    "an unknown argument": ('{ products(where: "1=1") { nodes { id } } }', {}),
    "a variable of another type": (NODE, {"id": {"$ne": None}}),
    "a missing variable": (NODE, {}),
}
INSIDE = re.compile(
    r"\b(select|insert into|update \w+ set|delete from) |asyncpg|postgres|psycopg|\brelation\b|\bcolumn\b|constraint"
    r"|violates|sqlstate|traceback|\.py\b|File \"|public\.|private\.|auth\.|row.level|permission denied|pg_|::",
    re.IGNORECASE,
)


def messages(answer: httpx.Response) -> list[str]:
    """All that is said in words, without what the caller said first."""
    body = answer.json()
    found = [error["message"] for error in body.get("errors", [])]
    for payload in (body.get("data") or {}).values():
        if isinstance(payload, dict):
            found += [error["message"] for error in payload.get("userErrors", [])]
    return [message.replace(QUOTES, "").replace(repr(QUOTES)[1:-1], "") for message in found]


@pytest.fixture
async def answers(shop: Shop) -> dict[str, httpx.Response]:
    """What came of each provocation, asked by somebody with a session."""
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    found = {}
    for name, (document, variables) in PROVOCATIONS.items():
        for given in variables.values():
            if isinstance(given, dict) and given.get("productId") == "PRODUCT":
                given = given | {"productId": product}
                variables = {"input": given}
        found[name] = await anna.post(document, **variables)
    return found


async def test_no_answer_speaks_of_what_is_behind_the_api(answers: dict[str, httpx.Response]) -> None:
    said = {name: messages(answer) for name, answer in answers.items()}
    assert len([name for name, found in said.items() if found]) > len(PROVOCATIONS) / 2
    assert {name: found for name, found in said.items() if any(INSIDE.search(message) for message in found)} == {}


async def test_every_answer_has_a_code_and_none_blames_us(answers: dict[str, httpx.Response]) -> None:
    """What a caller sent wrong is the caller's error, whatever it was."""
    codes = {
        name: [error["extensions"]["code"] for error in answer.json().get("errors", [])]
        for name, answer in answers.items()
    }
    assert {name: found for name, found in codes.items() if "INTERNAL_SERVER_ERROR" in found} == {}
    assert codes["an unknown field"] == ["GRAPHQL_VALIDATION_FAILED"]
    assert codes["quotes in an id"] == []


async def test_no_answer_fails(answers: dict[str, httpx.Response]) -> None:
    assert {answer.status_code for answer in answers.values()} <= {200, 400}


async def test_an_error_of_ours_says_nothing_but_its_number(shop: Shop) -> None:
    """A table is taken away: what Postgres says of it stays here."""
    anna = await shop.anonymous()
    assert (await anna.my_id()) is not None
    await shop.owner.execute("alter table public.profiles rename column display_name to hidden_name")
    (error,) = (await anna.post("{ me { displayName } }")).json()["errors"]
    assert error["message"] == "Something went wrong on our side."
    assert set(error) == {"message", "locations", "path", "extensions"}
    assert error["extensions"].pop("requestId")
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}


async def test_quotes_are_stored_as_they_are(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    swipe = (await anna.swipe(product, clientSwipeId=QUOTES, context={QUOTES: QUOTES}))["swipe"]["id"]
    stored = await shop.owner.fetchrow(
        "select client_swipe_id, interaction_context ->> $2 as context from public.swipes where id = $1",
        ids.decode_as("Swipe", swipe),
        QUOTES,
    )
    assert stored is not None
    assert tuple(stored) == (QUOTES, QUOTES)
