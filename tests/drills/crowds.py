"""People who swipe and read while something fails: they repeat what was not acknowledged, with the same id, and note
what was. Afterwards the database must hold exactly that."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from domain import ids
from tests.client import ME, Client

HANGS = 120  # seconds; far more than anything here takes
PEOPLE = 6
PAUSE_SECONDS = 0.05
MAY_BE_REPEATED = {"OVERLOADED", "TIMEOUT", "CONFLICT"}
SWIPE = "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { swipe { id } userErrors { code } } }"
READ = "{ me { id swipes(first: 2) { nodes { id } } } }"
INTERNALS = ("select ", "insert ", "public.", "asyncpg", "postgres", "pgsql", "traceback")


async def until(condition: Callable[[], bool]) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline, "never"
        await asyncio.sleep(0.01)


@dataclass
class Person:
    """`acknowledged`: the client's id of each swipe that was answered without an error, to the swipe's id."""

    client: Client
    id: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    succeeded_at: float = 0.0


class Crowd:
    """`async with Crowd(http) as crowd:` — they swipe and read until the end of the block."""

    def __init__(self, http: httpx.AsyncClient, people: int = PEOPLE) -> None:
        self._http = http
        self._size = people
        self.people: list[Person] = []
        self.failures: Counter[str] = Counter()  # by code of the error
        self.faults: list[str] = []  # answers that nobody may get
        self._products: list[str] = []
        self._is_over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        for _ in range(self._size):
            client = await Client(self._http).start_session()
            self.people.append(Person(client, (await client.ask(ME))["me"]["id"]))
        self._products = [each["id"] for each in await self.people[0].client.products(first=20)]
        self._tasks = [asyncio.create_task(self._live(person)) for person in self.people]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over.set()
        async with asyncio.timeout(HANGS):
            await asyncio.gather(*self._tasks)

    @property
    def acknowledged(self) -> int:
        return sum(len(person.acknowledged) for person in self.people)

    async def work(self, writes: int = 20) -> None:
        """Waits for so many more acknowledged writes."""
        goal = self.acknowledged + writes
        await until(lambda: self.acknowledged >= goal)

    async def meet(self, failures: int = 3) -> None:
        """Waits for so many more failures."""
        goal = self.failures.total() + failures
        await until(lambda: self.failures.total() >= goal)

    async def recover(self) -> float:
        """Waits until each of them has swiped again; returns how many seconds it took the last one."""
        began = time.monotonic()
        await until(lambda: all(person.succeeded_at >= began for person in self.people))
        return max(person.succeeded_at for person in self.people) - began

    async def _live(self, person: Person) -> None:
        number = 0
        while not self._is_over.is_set():
            client_id = f"{person.id}-{number}"
            product = self._products[number % len(self._products)]
            given = {"productId": product, "direction": "RIGHT", "clientSwipeId": client_id}
            payload = await self._insistently(person, SWIPE, input=given)
            if payload is not None:
                person.acknowledged[client_id] = payload["recordSwipe"]["swipe"]["id"]
                person.succeeded_at = time.monotonic()
            read = await self._insistently(person, READ)
            if read is not None and read["me"]["id"] != person.id:
                self.faults.append(f"{person.id} was answered as {read['me']['id']}")
            known = set(person.acknowledged.values())
            if read is not None and (foreign := [n for n in read["me"]["swipes"]["nodes"] if n["id"] not in known]):
                self.faults.append(f"{person.id} reads {foreign}")
            number += 1

    async def _insistently(self, person: Person, document: str, **variables: Any) -> dict[str, Any] | None:
        """Data of an answer without errors, however often it takes; None at the end of the block."""
        while True:
            code = "no answer"
            try:
                answer = await person.client.post(document, **variables)
                body = answer.json()
                if "errors" not in body:
                    data: dict[str, Any] = body["data"]
                    return data
                code = body["errors"][0]["extensions"]["code"]
                if code not in MAY_BE_REPEATED or any(word in answer.text.lower() for word in INTERNALS):
                    self.faults.append(answer.text)
            except httpx.TransportError:
                pass
            self.failures[code] += 1
            if self._is_over.is_set():
                return None
            await asyncio.sleep(PAUSE_SECONDS)

    async def check(self, owner_dsn: str) -> None:
        """Compares with what the database holds: each acknowledged swipe once, none of another person, and of those
        that were never acknowledged at most the last one."""
        assert self.faults == []
        owner: asyncpg.Connection[Any] = await asyncpg.connect(owner_dsn)
        try:
            for person in self.people:
                rows = await owner.fetch(
                    "select client_swipe_id, id from public.swipes where user_id = $1",
                    ids.decode_as("Profile", person.id),
                )
                stored = Counter(row["client_swipe_id"] for row in rows)
                assert set(person.acknowledged) <= set(stored), "an acknowledged swipe is lost"
                assert max(stored.values()) == 1, "a swipe is stored twice"
                assert len(stored) <= len(person.acknowledged) + 1
                assert all(each.startswith(person.id) for each in stored), "a swipe is another person's"
        finally:
            await owner.close()
