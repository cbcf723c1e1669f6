"""The load of bench/day.py: people who ask over a connection each, at a fixed rate, in a process of its own.

Open loop: requests fall due at times of a Poisson process, whether or not earlier ones were answered, and a latency
counts from when a request was due. Somebody whose last request is not answered yet waits with the next one, and its
latency counts that wait. The process reads trials from stdin, a line of JSON each, and writes what it saw to stdout.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.mix import DECK, Asked, Mix, Server  # noqa: E402
from bench.processes import cpu_seconds, machine_cpu_seconds  # noqa: E402

SWIPE_SECONDS = 0.5  # between a swipe and the feed that follows it
ANSWER_SECONDS = 60.0  # for which answers are waited for at the end of a trial
CONNECTING = 100  # at once


class Given(msgspec.Struct):
    """`kinds`: those of the mix that are asked. `watched`: processes whose CPU time is wanted, by name."""

    server: Server
    tokens: list[str]
    products: list[str]
    quiz: tuple[str, list[str]]
    kinds: list[str]
    watched: dict[str, list[int]]
    seed: int = 1


class Trial(msgspec.Struct):
    """`ramp` seconds of the same rate come before the `seconds` that count."""

    rate: float
    seconds: float
    ramp: float = 2.0


class Latencies(msgspec.Struct):
    """In seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    highest: float

    @classmethod
    def of(cls, seen: array[float]) -> Latencies:
        every = sorted(seen) or [0.0]
        p50, p95, p99 = (every[min(int(len(every) * share), len(every) - 1)] for share in (0.5, 0.95, 0.99))
        return cls(len(seen), p50, p95, p99, every[-1])


class Seen(msgspec.Struct):
    """Of a trial. `all` and `kinds`: what was answered with data. `overloaded`: what was refused as such, and after how
    long. CPU is in seconds: `cpu` by name of what was watched, `others_cpu` of all else on the machine."""

    seconds: float
    all: Latencies
    kinds: dict[str, Latencies]
    overloaded: Latencies
    errors: int
    first_error: str
    reconnected: int
    cpu: dict[str, float]
    generator_cpu: float
    others_cpu: float

    @property
    def requests(self) -> int:
        return self.all.count + self.overloaded.count + self.errors


class Person(asyncio.Protocol):
    """Somebody with a connection, over which one request at a time is answered."""

    def __init__(self, crowd: Crowd, asked: Asked) -> None:
        self.asked = asked
        self._crowd = crowd
        self._waiting: deque[tuple[float, str]] = deque()
        self._current: tuple[float, str] | None = None
        self._transport: Any = None
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._data = b""
        if self._current is None and self._waiting:
            self._send()

    def ask(self, due: float, kind: str) -> None:
        self._waiting.append((due, kind))
        if self._current is None and self._transport is not None:
            self._send()

    def _send(self) -> None:
        self._current = self._waiting.popleft()
        self._transport.write(self._crowd.mix.request(self._current[1], self.asked))

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        length = _length_of(data[:end].lower()) if end >= 0 else 0
        if end < 0 or len(data) < end + 4 + length:
            self._data = data
            return
        self._data = b""
        assert self._current is not None, "an answer that nobody asked for"
        (due, kind), self._current = self._current, None
        self._crowd.answered(due, kind, self.asked, data)
        if self._waiting and self._transport is not None:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._current is not None:
            (due, kind), self._current = self._current, None
            self._crowd.failed(due, f"{kind}: the server closed the connection")
        self._crowd.lost(self)


def _length_of(head: bytes) -> int:
    at = head.find(b"content-length:")
    if at < 0:
        if head[9:12] in (b"302", b"304"):
            return 0
        raise RuntimeError(f"an answer without Content-Length: {head!r}")
    return int(head[at + 15 :].split(b"\r\n", 1)[0])


class Crowd:
    """All people, and what they see during a trial."""

    def __init__(self, given: Given, port: int) -> None:
        self.mix = Mix(given.server, given.products, given.quiz)
        self._given = given
        self._port = port
        self._random = random.Random(given.seed)
        self._deck: list[str] = []
        self._people = [Person(self, Asked.of(place, token)) for place, token in enumerate(given.tokens)]
        self._swiped: deque[tuple[float, Person]] = deque()
        self._is_over = False
        self._begin()

    def _begin(self) -> None:
        self._opens = self._closes = float("inf")
        self._all, self._refused = array("d"), array("d")
        self._kinds: dict[str, array[float]] = {}
        self._errors, self._first_error, self._reconnected, self._open_requests = 0, "", 0, 0

    async def connect(self) -> None:
        """Everybody asks for something small at once: a connection on which nothing is asked is soon closed."""
        for start in range(0, len(self._people), CONNECTING):
            people = self._people[start : start + CONNECTING]
            await asyncio.gather(*map(self._connected, people))
            for person in people:
                self._open_requests += 1
                person.ask(time.perf_counter(), "hello")
            await self._until_answered()

    async def _until_answered(self) -> None:
        deadline = time.perf_counter() + ANSWER_SECONDS
        while self._open_requests and time.perf_counter() < deadline:  # noqa: ASYNC110  looked at rarely
            await asyncio.sleep(0.01)

    async def _connected(self, person: Person) -> None:
        await asyncio.get_running_loop().create_connection(lambda: person, "127.0.0.1", self._port)

    def lost(self, person: Person) -> None:
        """Connects again: a server may close connections of people who wait."""
        if not self._is_over:
            self._reconnected += 1
            self._reconnecting = asyncio.ensure_future(self._connected(person))

    def answered(self, due: float, kind: str, asked: Asked, data: bytes) -> None:
        now = time.perf_counter()
        self._open_requests -= 1
        counts = self._opens <= due < self._closes
        if data[9:12] in (b"200", b"302") and b'"errors":[' not in data and b'"userErrors":[{' not in data:
            self.mix.learn(kind, asked, data)
            if counts:
                self._all.append(now - due)
                self._kinds.setdefault(kind, array("d")).append(now - due)
        elif b'"OVERLOADED"' in data:
            if counts:
                self._refused.append(now - due)
        else:
            self._errors += 1
            self._first_error = self._first_error or f"{kind}: {data[:1000].decode(errors='replace')}"

    def failed(self, due: float, why: str) -> None:
        self._open_requests -= 1
        self._errors += 1
        self._first_error = self._first_error or why

    def _ask_next(self, due: float) -> None:
        if not self._deck:
            self._deck = [kind for kind in DECK if kind in self._given.kinds]
            self._random.shuffle(self._deck)
        kind = self._deck.pop()
        person = self._random.choice(self._people)
        if kind == "feed" and self._swiped and self._swiped[0][0] <= due:
            person = self._swiped.popleft()[1]
        elif kind == "swipe":
            self._swiped.append((due + SWIPE_SECONDS, person))
        self._open_requests += 1
        person.ask(due, kind)

    async def _pace(self, rate: float) -> None:
        due = time.perf_counter()
        while due < self._closes:
            if (now := time.perf_counter()) < due:
                await asyncio.sleep(due - now)
            self._ask_next(due)
            due += self._random.expovariate(rate)

    async def run(self, trial: Trial) -> Seen:
        self._begin()
        self._opens = time.perf_counter() + trial.ramp
        self._closes = self._opens + trial.seconds
        pacing = asyncio.create_task(self._pace(trial.rate))
        await asyncio.sleep(trial.ramp)
        watched = self._given.watched
        before = {name: cpu_seconds(pids) for name, pids in watched.items()}
        machine, own = machine_cpu_seconds(), time.process_time()
        await pacing
        deadline = self._closes + ANSWER_SECONDS
        while self._open_requests and time.perf_counter() < deadline:  # noqa: ASYNC110  looked at rarely  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        cpu = {name: cpu_seconds(pids) - before[name] for name, pids in watched.items()}
        own = time.process_time() - own
        others = max(machine_cpu_seconds() - machine - own - sum(cpu.values()), 0)
        if self._open_requests:
            self._errors += self._open_requests
            self._first_error = self._first_error or f"{self._open_requests} requests were never answered"
        return Seen(
            seconds=trial.seconds,
            all=Latencies.of(self._all),
            kinds={kind: Latencies.of(seen) for kind, seen in sorted(self._kinds.items())},
            overloaded=Latencies.of(self._refused),
            errors=self._errors,
            first_error=self._first_error,
            reconnected=self._reconnected,
            cpu=cpu,
            generator_cpu=own,
            others_cpu=others,
        )

    def stop(self) -> None:
        self._is_over = True


async def _main() -> None:
    loop = asyncio.get_running_loop()
    port, given = msgspec.json.decode(
        await loop.run_in_executor(None, sys.stdin.buffer.readline), type=tuple[int, Given]
    )
    crowd = Crowd(given, port)
    await crowd.connect()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        seen = await crowd.run(msgspec.json.decode(line, type=Trial))
        print(msgspec.json.encode(seen).decode(), flush=True)
    crowd.stop()


if __name__ == "__main__":
    uvloop.run(_main())
