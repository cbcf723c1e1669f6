"""A crowd at a real server for a long time: fifty people, hang-ups, locked rows and no CPU to spare.

Every answer is compared with what the database holds for that person. What the server says of itself counts too: an
error in its log, a connection that its pool ended, memory that grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

import settings as settings_module
from bench.processes import private_memory
from db import secrets
from db.embedded import running_dsns
from services.tokens import Tokens
from settings import ClaimsMode
from tests.client import Client
from tests.e2e.conftest import HANGS, Service, served
from tests.security.crowd import Foreign, Person, Tally, interleave, people_of, stuck

CONNECTIONS = 16
AT_ONCE = 40
ROUND = 5_000  # requests between two looks at memory
BURNERS = 2  # processes that take what CPU time they get
# graphql-core wraps coroutines in coroutines: cancelled before it began, the outer one drops the inner one.
DROPPED = ("was never awaited", "Enable tracemalloc", "run_until_complete(task)")
DOUBLE_LEND = "the pool ended a connection"


@dataclass
class Place:
    """A served database, as the crowd needs it."""

    owner: asyncpg.Connection[Any]
    http: httpx.AsyncClient
    tokens: Tokens

    def client(self, token: str | None = None) -> Client:
        return Client(self.http, token)

    def token(self, subject: Any, **claims: Any) -> str:
        return self.tokens.issue(subject, lifetime=24 * 3600, **claims)[0]


@dataclass
class Outcome:
    """Of one claims mode. `foreign` are answers that held anything but the person's own rows; `refused` are errors that
    the request did not ask for, such as TIMEOUT on a machine that is too busy; `failures` are requests without an
    answer; `memory` are MB of the server's private memory after so many requests."""

    claims_mode: ClaimsMode
    requests: int = 0
    answered: int = 0
    hang_ups: int = 0
    seconds: float = 0.0
    foreign: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    double_lends: int = 0
    log_errors: list[str] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.foreign or self.refused or self.failures or self.double_lends or self.log_errors)

    @property
    def memory_slope(self) -> float:
        """MB per 100,000 requests: least squares over the second half, when caches are full."""
        points = self.memory[len(self.memory) // 2 :]
        if len(points) < 3:
            return 0.0
        middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
        over = sum((x - middle_x) * (y - middle_y) for x, y in points)
        return 100_000 * over / sum((x - middle_x) ** 2 for x, _ in points)

    def __str__(self) -> str:
        start, end = (self.memory[0][1], self.memory[-1][1]) if self.memory else (0.0, 0.0)
        lines = [
            f"{self.claims_mode.value}: {self.requests:,} requests in {self.seconds:,.0f} s, "
            f"{self.answered:,} answered, {self.hang_ups:,} hang-ups",
            f"  foreign rows {len(self.foreign)}, double lends {self.double_lends}, errors {len(self.refused)}, "
            f"requests without an answer {len(self.failures)}, errors in the log {len(self.log_errors)}",
            f"  memory {start:.1f} -> {end:.1f} MB, slope {self.memory_slope:+.2f} MB per 100,000 requests",
            *(
                f"  {found[:500]}"
                for each in (self.foreign, self.refused, self.failures, self.log_errors)
                for found in each[:5]
            ),
        ]
        return "\n".join(lines)


@contextlib.contextmanager
def cpu_load(burners: int) -> Iterator[None]:
    """As many processes that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(burners)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def soak(
    home: Path,
    claims_mode: ClaimsMode,
    *,
    requests: int,
    seconds: float,
    burners: int = BURNERS,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """At least so many requests, for at least so long, at a server of its own on this data folder. `tell` is called
    after each round."""
    more = {
        "CLAIMS_MODE": claims_mode.value,
        "DATABASE_POOL_SIZE": str(CONNECTIONS),
        "DATABASE_MAX_OVERFLOW": "0",
        "DATABASE_STATEMENT_TIMEOUT": "8000",
        "DATABASE_SLOW_QUERY_THRESHOLD": "60000",
        "SHED_LATENCY": "0",  # every request is to be answered, however busy the machine is
    }
    with served(home, **more) as service, cpu_load(burners):
        return asyncio.run(_soak(service, claims_mode, requests, seconds, tell))


async def _soak(
    service: Service, claims_mode: ClaimsMode, requests: int, seconds: float, tell: Callable[[Outcome], None]
) -> Outcome:
    kept = secrets.load_or_create(service.home)
    dsns = running_dsns(service.home, kept)
    assert dsns
    assert dsns.owner
    owner = await asyncpg.connect(dsns.owner)
    # Requests that are hung up on may keep their place in httpx's pool: with a limit, the others would wait for it.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
    outcome = Outcome(claims_mode)
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS, limits=limits) as http:
            tokens = Tokens(settings_module.load({"ACLUE_HOME": str(service.home)}), kept.jwt)
            place = Place(owner, http, tokens)
            people = await people_of(place)
            started = time.monotonic()
            async with stuck(owner, people):
                while outcome.requests < requests or time.monotonic() - started < seconds:
                    await _round(outcome, people, min(requests, ROUND))
                    outcome.seconds = time.monotonic() - started
                    outcome.memory.append((outcome.requests, private_memory(service.process.pid)))
                    tell(outcome)
    finally:
        await owner.close()
    _read_log(service.errors, outcome)
    return outcome


async def _round(outcome: Outcome, people: Sequence[Person], requests: int) -> None:
    tally = Tally()
    try:
        await interleave(people, requests, seed=outcome.requests, at_once=AT_ONCE, tally=tally)
    except ExceptionGroup as group:
        for error in group.exceptions:
            if isinstance(error, Foreign):
                found = outcome.foreign
            else:
                found = outcome.refused if isinstance(error, AssertionError) else outcome.failures
            found.append(f"{type(error).__name__}: {error}")
    outcome.requests += requests
    outcome.answered += tally.answered
    outcome.hang_ups += tally.hang_ups


def _read_log(path: Path, outcome: Outcome) -> None:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # a traceback, or a library's own words
                if not any(words in line for words in DROPPED):
                    outcome.log_errors.append(line.strip())
                continue
            if entry.get("event") == DOUBLE_LEND:
                outcome.double_lends += 1
            elif entry.get("level") in ("error", "critical"):
                outcome.log_errors.append(line.strip())
