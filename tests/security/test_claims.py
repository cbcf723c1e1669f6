"""Claims never leak: whoever had a connection before, however their request ended, the next one sees only its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

import db.claims
import db.pipeline
import db.session
from db.claims import ANONYMOUS, Claims
from domain import ids
from settings import ClaimsMode, Settings
from tests.client import SWIPE, Client
from tests.conftest import IN_BOTH_CLAIMS_MODES, Shop

CONNECTIONS = 64
PEOPLE = 50
REQUESTS = 20_000
STATEMENT_TIMEOUT_MS = 8000

EVERYTHING = """
  id displayName statedPreferences
  swipes(first: 10) { totalCount nodes { id direction product { id } } }
  affiliateClicks { totalCount nodes { id } }
  preferences { totalSwipes }
"""
READ = f"query {{ me {{ {EVERYTHING} }} }}"
READ_WITH_FAILURE = f"""query {{
  me {{ {EVERYTHING} }} nothing: node(id: "no id") {{ id }} broken: me {{ swipes(after: "forged") {{ totalCount }} }}
}}"""
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
CLICK = """
mutation ($product: ID!) {
  createAffiliateClick(input: {productId: $product, idempotencyKey: "the same for all"}) {
    click { id } userErrors { code }
  }
}
"""
RENAME = """
mutation ($name: String!) {
  updateProfile(input: {displayName: $name}) { profile { displayName } userErrors { code } }
}
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings,
        database_pool_size=CONNECTIONS,
        database_max_overflow=0,
        database_statement_timeout=STATEMENT_TIMEOUT_MS,
        database_slow_query_threshold=60_000,
    )


@dataclass
class Person:
    """Somebody with rows of their own. `everything` is what the database, asked by its owner, says they have."""

    client: Client
    name: str
    key: UUID
    is_stuck: bool
    products: list[str] = field(default_factory=list)
    everything: dict[str, Any] = field(default_factory=dict)
    all_profiles: list[str] = field(default_factory=list)

    @property
    def swipes(self) -> list[str]:
        return [swipe["id"] for swipe in self.everything["swipes"]["nodes"]]

    @property
    def clicks(self) -> list[str]:
        return [click["id"] for click in self.everything["affiliateClicks"]["nodes"]]


async def people_of(shop: Shop) -> list[Person]:
    """Half of them anonymous; each swiped another number of products and asked for one link."""
    products = [product["id"] for product in await shop.client().products(first=100)]
    found = []
    for number in range(PEOPLE):
        key, name, is_anonymous = uuid4(), f"canary {number} {secrets.token_hex(4)}", number % 2 == 0
        await shop.owner.execute(
            "insert into public.profiles (id, is_anonymous, display_name, preferences)"
            " values ($1, $2, $3, jsonb_build_object('canary', $3::text))",
            key,
            is_anonymous,
            name,
        )
        token = shop.token(key, role="anon" if is_anonymous else "authenticated", is_anonymous=is_anonymous)
        person = Person(shop.client(token), name, key, is_stuck=number < 2)
        person.products = (products * 2)[number : number + 2 + number % 3]
        for product in person.products:
            await swipe_again(person, product)
        await person.client.do(CLICK, product=person.products[0])
        person.everything = await everything_of(shop, person)
        found.append(person)
    for person in found:
        person.all_profiles = [ids.encode("Profile", one.key) for one in found]
    return found


async def everything_of(shop: Shop, person: Person) -> dict[str, Any]:
    swipes = await shop.owner.fetch(
        "select id, direction, product_id from public.swipes where user_id = $1 order by created_at desc", person.key
    )
    clicks = await shop.owner.fetch("select id from public.affiliate_clicks where user_id = $1", person.key)
    assert len(swipes) == len(person.products)
    assert len(clicks) == 1
    return {
        "id": ids.encode("Profile", person.key),
        "displayName": person.name,
        "statedPreferences": {"canary": person.name},
        "swipes": {
            "totalCount": len(swipes),
            "nodes": [
                {
                    "id": ids.encode("Swipe", swipe["id"]),
                    "direction": swipe["direction"].upper(),
                    "product": {"id": ids.encode("Product", swipe["product_id"])},
                }
                for swipe in swipes
            ],
        },
        "affiliateClicks": {
            "totalCount": len(clicks),
            "nodes": [{"id": ids.encode("AffiliateClick", click["id"])} for click in clicks],
        },
        "preferences": {"totalSwipes": len(swipes)},
    }


async def swipe_again(person: Person, product: str) -> dict[str, Any]:
    """Everybody's clientSwipeIds are the same, and repeating one gives the first swipe again."""
    position = person.products.index(product)
    given = {"productId": product, "direction": "RIGHT", "clientSwipeId": f"swipe {position}"}
    return await person.client.do(SWIPE, input=given)


# What somebody may do. Each returns what it saw of the caller's rows and what there is to see.
Seen = tuple[Any, Any]


async def read(person: Person, other: Person) -> Seen:
    return (await person.client.ask(READ))["me"], person.everything


async def read_beside_a_failure(person: Person, other: Person) -> Seen:
    body = (await person.client.post(READ_WITH_FAILURE)).json()
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]
    return body["data"], {"me": person.everything, "nothing": None, "broken": None}


async def read_by_id(person: Person, other: Person) -> Seen:
    wanted = [person.swipes[0], other.swipes[0], person.clicks[0], other.clicks[0], other.everything["id"]]
    nodes = (await person.client.ask(NODES, ids=wanted))["nodes"]
    return nodes, [{"id": person.swipes[0]}, None, {"id": person.clicks[0]}, None, None]


async def swipe(person: Person, other: Person) -> Seen:
    payload = await swipe_again(person, person.products[0])
    return payload["swipe"]["id"], person.swipes[-1]


async def click(person: Person, other: Person) -> Seen:
    return (await person.client.do(CLICK, product=person.products[0]))["click"]["id"], person.clicks[0]


async def rename(person: Person, other: Person) -> Seen:
    """To the same name. Of some people the row is locked: there the statement runs into its time limit."""
    if person.is_stuck:
        return await person.client.code(RENAME, name="too late"), "TIMEOUT"
    return (await person.client.do(RENAME, name=person.name))["profile"]["displayName"], person.name


async def ask_without_a_token(person: Person, other: Person) -> Seen:
    """Whoever had the connection before is among those asked for."""
    wanted = [person.swipes[0], person.clicks[0], *person.all_profiles]
    answer = await Client(person.client.http).ask(
        "query ($ids: [ID!]!) { me { id } nodes(ids: $ids) { id } }", ids=wanted
    )
    return answer, {"me": None, "nodes": [None] * len(wanted)}


async def act_without_a_person(person: Person, other: Person) -> Seen:
    """The token of somebody who was deleted: the statement itself fails."""
    ghost = Client(person.client.http, str(person.client.ghost_token))  # type: ignore[attr-defined]
    given = {"productId": person.products[0], "direction": "UP", "clientSwipeId": "swipe 0"}
    return await ghost.code(SWIPE, input=given), "UNAUTHENTICATED"


Deed = Callable[[Person, Person], Coroutine[Any, Any, Seen]]
DEEDS: list[Deed] = [
    *[read] * 24,
    *[read_beside_a_failure] * 10,
    *[read_by_id] * 40,
    *[swipe] * 6,
    *[click] * 10,
    *[rename] * 3,
    *[ask_without_a_token] * 4,
    *[act_without_a_person] * 3,
]


async def interleave(shop: Shop, people: list[Person], requests: int, seed: int) -> tuple[float, int]:
    """Runs that many requests of all these people at once, hanging up on some. Raises AssertionError when one sees
    anything but its own; returns the share of those that saw rows, and how many connections were busy at once."""
    chance = random.Random(seed)
    ghost_token = shop.token(uuid4())
    for person in people:
        person.client.ghost_token = ghost_token  # type: ignore[attr-defined]
    at_once = asyncio.Semaphore(CONNECTIONS + CONNECTIONS // 4)
    pool = shop.services.database.pool
    full = answered = busiest = 0

    async def one(deed: Deed, person: Person, other: Person, patience: float | None) -> None:
        nonlocal full, answered, busiest
        async with at_once:
            request = asyncio.create_task(deed(person, other))
            if patience is not None:
                await asyncio.wait([request], timeout=patience)
                request.cancel()
            busiest = max(busiest, pool.size - pool.idle)
            try:
                seen, there_is = await request
            except asyncio.CancelledError:
                return
        assert seen == there_is, f"{deed.__name__} of {person.name} saw something else"
        answered += 1
        full += deed not in (ask_without_a_token, act_without_a_person) and seen != "TIMEOUT"

    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            person, other = chance.sample(people, 2)
            patience = chance.uniform(0, 0.05) if chance.random() < 0.05 else None
            group.create_task(one(chance.choice(DEEDS), person, other, patience))
    assert answered > requests * 0.9
    return full / answered, busiest


@contextlib.asynccontextmanager
async def stuck(shop: Shop, people: list[Person]) -> Any:
    """Holds the profiles of those who are stuck: writing them waits, reading and referring to them does not."""
    async with shop.owner.transaction():
        keys = [person.key for person in people if person.is_stuck]
        await shop.owner.fetch("select from public.profiles where id = any($1) for no key update", keys)
        yield


# graphql-core wraps coroutines in coroutines: cancelled before it began, the outer one drops the inner one.
HANGING_UP = pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")


@pytest.mark.long
@HANGING_UP
@pytest.mark.parametrize(
    ("claims_mode", "requests"), [(ClaimsMode.PIPELINED, REQUESTS), (ClaimsMode.TRANSACTION, REQUESTS // 5)]
)
async def test_thousands_of_interleaved_requests_each_see_their_own(shop: Shop, requests: int) -> None:
    people = await people_of(shop)
    async with stuck(shop, people):
        share_with_rows, busiest = await interleave(shop, people, requests, seed=1)
    assert share_with_rows > 0.9
    assert busiest == CONNECTIONS


@IN_BOTH_CLAIMS_MODES
@HANGING_UP
@pytest.mark.parametrize(
    ("anonymous_role", "noticed"),
    [
        ("set local role anon", "ask_without_a_token of .* saw something else"),
        # Where nobody had the connection before, the bare log-in asks, and is refused by Postgres.
        ("select", "saw something else|INTERNAL_SERVER_ERROR"),
    ],
    ids=["claims", "claims and role"],
)
async def test_a_leak_planted_on_purpose_is_noticed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, anonymous_role: str, noticed: str
) -> None:
    """The same requests, with claims (and role) that outlive their transaction and callers without a token who set
    none: in the messages of their own, and in those in front of a query."""
    people = await people_of(shop)
    proper, begun = db.claims.apply, db.pipeline.begun

    async def leaky(connection: Any, claims: Claims, statement_timeout_ms: int) -> None:
        if claims is ANONYMOUS:
            await connection.execute(anonymous_role)
        else:
            await proper(connection, claims, statement_timeout_ms)
            await connection.execute(
                "select set_config('request.jwt.claims', $1, false), set_config('role', $2, false)",
                claims.raw,
                claims.role,
            )

    def leaky_messages(claims: Claims, statement_timeout_ms: int, *, read_only: bool) -> bytes:
        if claims is ANONYMOUS:
            return db.pipeline._BEGIN[read_only] + db.pipeline._binds("leaky_anonymous", 0)(b"")
        return begun(claims, statement_timeout_ms, read_only=read_only)

    leaky_apply = db.claims.APPLY.replace("$2, true", "$2, false").replace("'role', $1, true", "'role', $1, false")
    monkeypatch.setattr(db.claims, "apply", leaky)
    monkeypatch.setattr(db.session, "begun", leaky_messages)
    monkeypatch.setitem(db.pipeline._PREPARED, "aclue_apply", leaky_apply)
    monkeypatch.setitem(db.pipeline._PREPARED, "leaky_anonymous", anonymous_role)
    shop.services.database.pool.renew()
    with pytest.raises(ExceptionGroup) as caught:
        async with stuck(shop, people):
            await interleave(shop, people, 400, seed=2)
    failures = caught.value.exceptions
    assert all(isinstance(failure, AssertionError) for failure in failures)
    assert any(re.search(noticed, str(failure)) for failure in failures)
