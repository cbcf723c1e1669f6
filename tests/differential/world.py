"""Who asks, and the values that arguments may name: ids, cursors, slugs, words. Gathered once per database, in an order
that follows from the data alone, so that a seed makes the same documents again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from domain import ids
from schema.node import NODES
from tests.client import Client
from tests.conftest import Shop

DAY = 24 * 3600
ADMINISTRATORS = ("admin", "service")
ADMINISTRATORS_READ = (
    "AuditEntry", "ImportRun", "SystemLog",
    "Conversion", "ConversionFlag", "ConversionReport", "LedgerDecision", "LedgerEntry", "LedgerException", "Payment",
)  # fmt: skip
PUBLIC_TYPES = ("Product", "ProductOffer", "Category", "Brand", "Retailer")

_PAGE = "(first: 3) { edges { cursor } }"
_BACK = "(last: 3, orderBy: %s) { edges { cursor } }"
ORDERS = ("NEWEST", "PRICE_ASC", "PRICE_DESC", "NAME", "POPULARITY")


@dataclass(frozen=True)
class Caller:
    """Somebody who asks. `own` and `foreign` are ids by type: their own rows, and other people's; `recommendations`
    are ids of what was shown to them, with the product of each."""

    name: str
    token: str | None
    weight: int
    own: Mapping[str, Sequence[str]]
    foreign: Mapping[str, Sequence[str]]
    recommendations: Mapping[str, str]
    cursors: Mapping[str, Sequence[str]]

    @property
    def may_administer(self) -> bool:
        return self.name in ADMINISTRATORS

    @property
    def may_analyse(self) -> bool:
        return self.name in (*ADMINISTRATORS, "analyst")


@dataclass(frozen=True)
class World:
    """`public` are ids by type that anybody may read; `slugs` by kind."""

    callers: Sequence[Caller]
    public: Mapping[str, Sequence[str]]
    slugs: Mapping[str, Sequence[str]]
    questions: Sequence[str]
    gift_tokens: Sequence[str]
    now: datetime


async def explore(shop: Shop, people: Mapping[str, tuple[UUID, UUID | None]]) -> World:
    """Looks at a filled database, as its owner and as each of these people."""
    public = {name: await _ids(shop, name, None) for name in PUBLIC_TYPES}
    callers = []
    for name, weight in (
        ("nobody", 3), ("visitor", 4), ("anna", 10), ("withdrawn", 2), ("fresh", 2), ("admin", 3), ("analyst", 1),
        ("service", 2), ("expired", 0),
    ):  # fmt: skip
        person, token = _token(shop, people, name)
        own = await _rows(shop, person, is_owner=True)
        if name not in ADMINISTRATORS:
            own = {type_name: found for type_name, found in own.items() if type_name not in ADMINISTRATORS_READ}
        foreign = await _rows(shop, person, is_owner=False)
        client = shop.client(token)
        may_read = name != "expired"
        callers.append(
            Caller(
                name,
                token,
                weight,
                own,
                foreign,
                recommendations=await _recommendations(client) if may_read else {},
                cursors=await _cursors(client, name) if may_read else {},
            )
        )
    slugs = {
        kind: [row[0] for row in await shop.owner.fetch(f"select slug from public.{kind} order by slug")]
        for kind in ("brands", "categories", "retailers")
    }
    asked = await shop.client().ask("{ quiz { questions { id } } }")
    questions = [question["id"] for question in asked["quiz"]["questions"]]
    _, annas = _token(shop, people, "anna")
    links = (await shop.client(annas).ask("{ me { giftLinks { nodes { url } } } }"))["me"]["giftLinks"]["nodes"]
    tokens = [link["url"].rpartition("/")[2] for link in links]
    return World(callers, public, slugs, questions, tokens, datetime.now(UTC))


def _token(shop: Shop, people: Mapping[str, tuple[UUID, UUID | None]], name: str) -> tuple[UUID | None, str | None]:
    if name == "nobody":
        return None, None
    person, session = people.get(name) or people["anna"]
    claims = {
        "visitor": {"role": "anon", "is_anonymous": True},
        "admin": {"app_metadata": {"role": "admin"}},
        "analyst": {"app_metadata": {"role": "analyst"}},
        "service": {"role": "service_role"},
        "expired": {"lifetime": -1},
    }.get(name, {})
    return person, shop.token(person, **{"session_id": session, "lifetime": DAY, **claims})


async def _rows(shop: Shop, person: UUID | None, *, is_owner: bool) -> dict[str, list[str]]:
    """Ids of the types that belong to people, and of what administrators read."""
    found = {}
    for name in sorted(NODES):
        row_type = getattr(NODES[name], "ROW", None)
        if row_type is None or name in PUBLIC_TYPES:
            continue
        owner = row_type.owner or ("id" if name == "Profile" else None)
        if owner is None:
            found[name] = await _ids(shop, name, None)
        elif person is not None or not is_owner:
            sign = "=" if is_owner else "is distinct from"
            found[name] = await _ids(shop, name, f"{owner} {sign} {_literal(person)}")
    return {name: of_type for name, of_type in found.items() if of_type}


def _literal(person: UUID | None) -> str:
    return "null" if person is None else f"'{person}'"


async def _ids(shop: Shop, name: str, condition: str | None) -> list[str]:
    """Some of the global ids of this type, oldest first."""
    table = NODES[name].ROW.table
    where = f"where {condition}" if condition else ""
    order = "external_id" if name == "Product" else "id"
    rows = await shop.owner.fetch(f"select id from {table} {where} order by {order} limit 100")
    return [ids.encode(name, row[0]) for row in rows]


async def _recommendations(client: Client) -> dict[str, str]:
    data = await client.ask(
        """{ recommendations(first: 5) { nodes { id product { id } } }
             products(first: 2, orderBy: NAME) { nodes { similar(first: 2) { id product { id } } } }
             giftFinder(input: {traits: [CREATIVE]}, first: 2) { nodes { id product { id } } } }"""
    )
    shown = data["recommendations"]["nodes"] + data["giftFinder"]["nodes"]
    shown += [similar for product in data["products"]["nodes"] for similar in product["similar"]]
    return {one["id"]: one["product"]["id"] for one in shown}


async def _cursors(client: Client, name: str) -> dict[str, list[str]]:
    """Cursors of each connection by its coordinate; those of products by their order too."""
    asked = {f"Query.products {order}": f"products{_BACK % order}" for order in ORDERS}
    asked["Query.products RELEVANCE"] = 'products(search: "camping", orderBy: RELEVANCE, first: 3) { edges { cursor } }'
    asked["Query.brands"] = f"brands{_PAGE}"
    asked["Query.recommendations"] = f"recommendations{_PAGE}"
    asked["Query.giftFinder"] = "giftFinder(input: {traits: [CREATIVE]}, first: 3) { edges { cursor } }"
    for field in ("swipes", "affiliateClicks", "giftLinks", "dismissedReasons", "sessions"):
        asked[f"Profile.{field}"] = f"me {{ {field}{_PAGE} }}"
    asked["PersonalityProfile.history"] = f"me {{ personality {{ history{_PAGE} }} }}"
    if name in ADMINISTRATORS:
        asked["Query.auditLog"] = f"auditLog{_PAGE}"
        asked["Query.importRuns"] = f"importRuns{_PAGE}"
        asked["Query.systemLogs"] = f"systemLogs{_PAGE}"
        for connection in ("conversions", "conversionFlags", "ledger", "payments", "exceptions"):
            asked[f"Query.{connection}"] = f"{connection}{_PAGE}"
        asked["Query.recommendationFeedback"] = f"recommendationFeedback{_PAGE}"
    found = {}
    for coordinate, field in asked.items():
        data = await client.ask(f"{{ {field} }}")
        found[coordinate] = list(_found_cursors(data))
    found |= {key.replace("Query", "Category"): found[key] for key in asked if key.startswith("Query.products")}
    return {coordinate: cursors for coordinate, cursors in found.items() if cursors}


def _found_cursors(value: object) -> list[str]:
    if isinstance(value, dict):
        if "cursor" in value:
            return [value["cursor"]]
        return [cursor for item in value.values() for cursor in _found_cursors(item)]
    return [cursor for item in value for cursor in _found_cursors(item)] if isinstance(value, list) else []
