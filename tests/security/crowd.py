"""A crowd of people whose requests interleave on one server, and what each of them must see: their own rows alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID, uuid4

import asyncpg
import httpx

from domain import ids
from tests.client import SWIPE, Client

PEOPLE = 50

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


class Place(Protocol):
    """A server: in this process or in another. `owner` is its database's, whom row level security does not bind."""

    @property
    def owner(self) -> asyncpg.Connection[Any]: ...

    def client(self, token: str | None = None) -> Client: ...

    def token(self, subject: Any, **claims: Any) -> str: ...


@dataclass
class Person:
    """Somebody with rows of their own. `everything` is what the database, asked by its owner, says they have."""

    client: Client
    ghost: Client  # with the token of somebody who was deleted
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


async def people_of(place: Place) -> list[Person]:
    """Half of them anonymous; each swiped another number of products and asked for one link."""
    ghost = place.client(place.token(uuid4()))
    products = [product["id"] for product in await place.client().products(first=100)]
    found = []
    for number in range(PEOPLE):
        key, name, is_anonymous = uuid4(), f"canary {number} {secrets.token_hex(4)}", number % 2 == 0
        await place.owner.execute(
            "insert into public.profiles (id, is_anonymous, display_name, preferences)"
            " values ($1, $2, $3, jsonb_build_object('canary', $3::text))",
            key,
            is_anonymous,
            name,
        )
        token = place.token(key, role="anon" if is_anonymous else "authenticated", is_anonymous=is_anonymous)
        person = Person(place.client(token), ghost, name, key, is_stuck=number < 2)
        person.products = (products * 2)[number : number + 2 + number % 3]
        for product in person.products:
            await swipe_again(person, product)
        await person.client.do(CLICK, product=person.products[0])
        person.everything = await everything_of(place, person)
        found.append(person)
    for person in found:
        person.all_profiles = [ids.encode("Profile", one.key) for one in found]
    return found


async def everything_of(place: Place, person: Person) -> dict[str, Any]:
    swipes = await place.owner.fetch(
        "select id, direction, product_id from public.swipes where user_id = $1 order by created_at desc", person.key
    )
    clicks = await place.owner.fetch("select id from public.affiliate_clicks where user_id = $1", person.key)
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


UNASKED = ("OVERLOADED", "TIMEOUT", "RATE_LIMITED")  # codes of errors that tell of load, not of rows


class Foreign(AssertionError):
    """Somebody saw anything but their own rows."""


# What somebody may do. Each returns what it saw of the caller's rows and what there is to see.
Seen = tuple[Any, Any]


async def read(person: Person, other: Person) -> Seen:
    return (await person.client.ask(READ))["me"], person.everything


async def read_beside_a_failure(person: Person, other: Person) -> Seen:
    body = (await person.client.post(READ_WITH_FAILURE)).json()
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"], body["errors"]
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
    """Asks for people among whom is the previous user of the connection."""
    wanted = [person.swipes[0], person.clicks[0], *person.all_profiles]
    answer = await Client(person.client.http).ask(
        "query ($ids: [ID!]!) { me { id } nodes(ids: $ids) { id } }", ids=wanted
    )
    return answer, {"me": None, "nodes": [None] * len(wanted)}


async def act_without_a_person(person: Person, other: Person) -> Seen:
    """The token of somebody who was deleted: the statement itself fails."""
    given = {"productId": person.products[0], "direction": "UP", "clientSwipeId": "swipe 0"}
    return await person.ghost.code(SWIPE, input=given), "UNAUTHENTICATED"


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


@dataclass
class Tally:
    """`full` of the answers held rows; `busiest` is how many connections were lent at once, where that is known."""

    answered: int = 0
    full: int = 0
    hang_ups: int = 0
    busiest: int = 0


async def interleave(
    people: Sequence[Person],
    requests: int,
    *,
    seed: int,
    at_once: int,
    tally: Tally,
    lent: Callable[[], int] = lambda: 0,
) -> None:
    """Runs that many requests of all these people, so many at once, and hangs up on one in twenty; adds what became of
    them to the tally. Raises an ExceptionGroup at the end: of Foreign when somebody saw anything but their own rows, of
    AssertionErrors for errors that a request did not ask for, of httpx.TransportErrors for requests without an answer.
    `lent` tells how many connections are lent."""
    chance = random.Random(seed)
    places = asyncio.Semaphore(at_once)
    found: list[Exception] = []

    async def one(deed: Deed, person: Person, other: Person, patience: float | None) -> None:
        try:
            await attempt(deed, person, other, patience)
        except (AssertionError, httpx.TransportError) as error:
            found.append(error)  # and the others go on

    async def attempt(deed: Deed, person: Person, other: Person, patience: float | None) -> None:
        async with places:
            request = asyncio.create_task(deed(person, other))
            if patience is not None:
                await asyncio.wait([request], timeout=patience)
                request.cancel()
            tally.busiest = max(tally.busiest, lent())
            try:
                seen, there_is = await request
            except asyncio.CancelledError:
                tally.hang_ups += 1
                return
        if seen in UNASKED and seen != there_is:
            raise AssertionError(f"{deed.__name__} of {person.name} was answered {seen}")
        if seen != there_is:
            raise Foreign(f"{deed.__name__} of {person.name} saw {seen}, not {there_is}")
        tally.answered += 1
        tally.full += deed not in (ask_without_a_token, act_without_a_person) and seen != "TIMEOUT"

    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            person, other = chance.sample(people, 2)
            patience = chance.uniform(0, 0.05) if chance.random() < 0.05 else None
            group.create_task(one(chance.choice(DEEDS), person, other, patience))
    if found:
        raise ExceptionGroup("not what there is to see", found)


@contextlib.asynccontextmanager
async def stuck(owner: asyncpg.Connection[Any], people: Sequence[Person]) -> AsyncIterator[None]:
    """Holds the profiles of those who are stuck: writing them waits, reading and referring to them does not."""
    async with owner.transaction():
        keys = [person.key for person in people if person.is_stuck]
        await owner.fetch("select from public.profiles where id = any($1) for no key update", keys)
        yield
