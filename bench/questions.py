"""The questions that every server is asked, each in its own words, and how their answers are compared.

The documents ask for the same rows and the same information; aliases give the answers nearly one shape, `plain` the
rest of it. A server that has no document for a question is not asked it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from bench.load import PICKED, UNIQUE
from domain import ids

ACLUE = "aclue"
POSTGRAPHILE = "postgraphile"
PLAIN = "plain_strawberry"

DIRECTIONS = ("right", "left", "up", "right", "down")


@dataclass(frozen=True, slots=True)
class Question:
    """`variables` returns the variables for a server; in a mutation PICKED and UNIQUE are placeholders for product ids
    and client swipe ids."""

    name: str
    title: str
    documents: dict[str, str]
    variables: Callable[[str, list[UUID]], dict[str, Any]] = lambda server, categories: {}
    writes: bool = False
    uncompared: frozenset[str] = field(default_factory=frozenset)


def global_id(kind: str, key: UUID) -> str:
    """As this server spells it."""
    return ids.encode(kind, key)


_OURS = "id name price { amount currencyCode }"
_PRODUCT = {
    ACLUE: f"{_OURS} brand {{ name }} category {{ name }}",
    POSTGRAPHILE: "id: rowId name priceMinor currency "
    "brand: brandByBrandId { name } category: categoryByCategoryId { name }",
    PLAIN: "id name priceMinor currency brand { name } category { name }",
}
_NEWEST = "orderBy: [CREATED_AT_DESC, ROW_ID_DESC]"
# What the reasons of bench.feed are written from: bench/peer_functions.py.
_TERMS = (
    "shared adventurous intellectual practical creative social match content liking added categoryId brandId facets"
)

ME = Question(
    "Q1",
    "me",
    {
        ACLUE: "{ me { id isAnonymous displayName createdAt } }",
        POSTGRAPHILE: "{ me: benchMe { id: rowId isAnonymous displayName createdAt } }",
        PLAIN: "{ me { id isAnonymous displayName createdAt } }",
    },
)

PRODUCTS = Question(
    "Q2",
    "20 products with brand and category",
    {
        ACLUE: f"{{ products(first: 20) {{ nodes {{ {_PRODUCT[ACLUE]} }} }} }}",
        POSTGRAPHILE: f"{{ products: allProducts(first: 20, condition: {{isActive: true}}, {_NEWEST}) "
        f"{{ nodes {{ {_PRODUCT[POSTGRAPHILE]} }} }} }}",
        PLAIN: f"{{ products(first: 20) {{ {_PRODUCT[PLAIN]} }} }}",
    },
)

FEED = Question(
    "Q3",
    "feed of 20, with product",
    {
        ACLUE: "{ feed: recommendations(first: 20) { nodes { score product { id name } } } }",
        POSTGRAPHILE: "{ feed: benchFeed(pSize: 20) "
        "{ nodes { score product: productByProductId { id: rowId name } } } }",
        PLAIN: "{ feed(first: 20) { score product { id name } } }",
    },
)

EXPLAINED_FEED = Question(
    "Q3_live",
    "the same feed with the reasons of each product",
    {
        ACLUE: "{ feed: recommendations(first: 20) "
        "{ nodes { score reasons { code text weight } product { id name } } } }",
        POSTGRAPHILE: f"{{ feed: benchFeed(pSize: 20) {{ nodes {{ score {_TERMS} product: productByProductId "
        "{ id: rowId name } } } }",
        PLAIN: "{ feed(first: 20) { score terms product { id name } } }",
    },
    # What reasons are written from: this server writes them, the others hand out the terms.
    uncompared=frozenset({"reasons", "terms", *_TERMS.split()}),
)

SWIPES = Question(
    "Q4",
    "50 swipes with product, brand, category",
    {
        ACLUE: "{ me { swipes(first: 50) { nodes { id direction createdAt product "
        f"{{ {_PRODUCT[ACLUE]} }} }} }} }} }}",
        POSTGRAPHILE: f"{{ me: benchMe {{ swipes: swipesByUserId(first: 50, condition: {{undoneAt: null}}, {_NEWEST}) "
        "{ nodes { id: rowId direction createdAt product: productByProductId "
        f"{{ {_PRODUCT[POSTGRAPHILE]} }} }} }} }} }}",
        PLAIN: f"{{ me {{ swipes(first: 50) {{ id direction createdAt product {{ {_PRODUCT[PLAIN]} }} }} }} }}",
    },
)

CATEGORIES = Question(
    "Q5",
    "10 categories with 10 products each",
    {
        ACLUE: "query ($ids: [ID!]!) { categories: nodes(ids: $ids) { ... on Category "
        f"{{ id name products(first: 10) {{ nodes {{ {_OURS} }} }} }} }} }}",
        POSTGRAPHILE: "query ($ids: [UUID]!) { categories: benchCategoriesById(pIds: $ids) { nodes { id: rowId name "
        f"products: productsByCategoryId(first: 10, condition: {{isActive: true}}, {_NEWEST}) "
        "{ nodes { id: rowId name priceMinor currency } } } } }",
        PLAIN: "query ($ids: [UUID!]!) { categories(ids: $ids) { id name products(first: 10) "
        "{ id name priceMinor currency } } }",
    },
    lambda server, keys: {"ids": [global_id("Category", k) if server == ACLUE else str(k) for k in keys]},
)


def _several(server: str, count: int) -> list[dict[str, Any]]:
    ways = [DIRECTIONS[n % len(DIRECTIONS)] for n in range(count)]
    return [
        {
            "productId": PICKED,
            "direction": way.upper() if server == ACLUE else way,
            "clientSwipeId": f"bench-{UNIQUE}",
        }
        for way in ways
    ]


def _swipe_variables(server: str, keys: list[UUID]) -> dict[str, Any]:
    (swipe,) = _several(server, 1)
    return {"swipes": [swipe]} if server == PLAIN else {"input": swipe} if server == ACLUE else swipe


def _swipes_variables(server: str, keys: list[UUID]) -> dict[str, Any]:
    swipes = _several(server, 20)
    if server == POSTGRAPHILE:
        return {f"{name}s": [swipe[name] for swipe in swipes] for name in swipes[0]}
    return {"input": {"swipes": swipes}} if server == ACLUE else {"swipes": swipes}


RECORD = Question(
    "M1",
    "recordSwipe",
    {
        ACLUE: "mutation ($input: SwipeInput!) { done: recordSwipe(input: $input) "
        "{ swipe { id } preferences { totalSwipes } userErrors { code } } }",
        POSTGRAPHILE: "mutation ($productId: UUID!, $direction: String!, $clientSwipeId: String!) { done: "
        "benchRecordSwipe("
        "input: {pProductId: $productId, pDirection: $direction, pClientSwipeId: $clientSwipeId}) "
        "{ swipe: result { id: rowId "
        "profile: profileByUserId { preferences: userPreferenceByUserId { totalSwipes } } } } }",
        PLAIN: "mutation ($swipes: [SwipeInput!]!) { done: recordSwipes(swipes: $swipes) "
        "{ swipes { id } me { preferences { totalSwipes } } } }",
    },
    _swipe_variables,
    writes=True,
)

RECORD_TWENTY = Question(
    "M2",
    "recordSwipes, 20 at once",
    {
        ACLUE: "mutation ($input: RecordSwipesInput!) { done: recordSwipes(input: $input) "
        "{ results { swipe { id } userErrors { code } } preferences { totalSwipes } userErrors { code } } }",
        POSTGRAPHILE: "mutation ($productIds: [UUID]!, $directions: [String]!, $clientSwipeIds: [String]!) "
        "{ done: "
        "benchRecordSwipes(input: "
        "{pProductIds: $productIds, pDirections: $directions, pClientSwipeIds: $clientSwipeIds}) "
        "{ swipes: result { id: rowId } "
        "query { me: benchMe { preferences: userPreferenceByUserId { totalSwipes } } } } }",
        PLAIN: "mutation ($swipes: [SwipeInput!]!) { done: recordSwipes(swipes: $swipes) "
        "{ swipes { id } me { preferences { totalSwipes } } } }",
    },
    _swipes_variables,
    writes=True,
)

QUESTIONS = (ME, PRODUCTS, FEED, EXPLAINED_FEED, SWIPES, CATEGORIES, RECORD, RECORD_TWENTY)


def comparable(question: Question, data: Any) -> Any:
    """An answer in the shape that those of all servers share. Of a mutation: how many swipes it stored, and the
    person's total."""
    if question.writes:
        return _counts(data)
    return _plain(data, question.uncompared)


def _counts(data: Any) -> dict[str, int]:
    text = data["done"]
    swipes = text.get("swipes") or text.get("results") or [text["swipe"]]
    assert all(swipes), data
    return {"stored": len(swipes), "total": _find(text, "totalSwipes")}


def _find(value: Any, key: str) -> Any:
    """The first value of this key, wherever it stands."""
    if isinstance(value, dict):
        return value[key] if key in value else next(filter(None, (_find(v, key) for v in value.values())), None)
    if isinstance(value, list):
        return next(filter(None, (_find(v, key) for v in value)), None)
    return None


def _plain(value: Any, uncompared: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_plain(item, uncompared) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"nodes"}:
        return _plain(value["nodes"], uncompared)
    plain: dict[str, Any] = {}
    for name, item in value.items():
        if name in uncompared:
            continue
        if name == "id":
            plain[name] = _uuid(item)
        elif name == "price":
            plain["priceMinor"], plain["currency"] = int(Decimal(item["amount"]) * 100), item["currencyCode"]
        elif name == "priceMinor":
            plain[name] = int(item)
        elif name == "createdAt":
            plain[name] = datetime.fromisoformat(item).timestamp()
        elif name == "direction":
            plain[name] = item.lower()
        else:
            plain[name] = _plain(item, uncompared)
    return plain


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        decoded = ids.decode(text)
        assert decoded is not None, text
        return decoded[1]
