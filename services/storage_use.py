"""Storage limits: bytes per person, anonymous session and network in a UTC day.

What a mutation is about to write is counted in memory, without a round trip. Each process adds its counts to Postgres
every second and reads the totals; a mutation waits for that only if a subject has used a fiftieth of its limit in the
meantime. So each process can exceed a limit by a fiftieth at most.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from db import metrics
from db.claims import SERVICE, Claims
from domain.errors import LimitReached
from domain.networks import networks
from domain.pseudonyms import Pseudonyms
from settings import Settings

if TYPE_CHECKING:
    from db.database import Database

log = structlog.get_logger("aclue.storage_use")

UNSHARED = 50  # a process shares its counts after 1/UNSHARED of a limit at the latest
RESERVE = 10  # 1/RESERVE on top of a limit is for what protects a person: signing out, withdrawing consent
INTERVAL_SECONDS = 1.0
SHUTDOWN_SECONDS = 2.0
MAX_SUBJECTS = 50_000


@dataclass(slots=True, eq=False)
class _Use:
    """The use of a subject on a day. `shared` is the total in Postgres when it was last read, `own` what this process
    has counted but not added yet."""

    day: date
    subject: bytes
    shared: int = 0
    own: int = 0


@dataclass(slots=True)
class Taken:
    """Bytes that were counted; `give_back` returns those that were not stored after all."""

    amount: int
    uses: Sequence[_Use]

    def give_back(self, part: float = 1.0) -> None:
        for use in self.uses:
            use.own -= int(self.amount * part)


class StorageUse:
    """Call `take` before storing anything. service_role is not limited."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        pseudonyms: Pseudonyms,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._anonymous = settings.storage_limit_anonymous
        self._account = settings.storage_limit_account
        self._network = settings.storage_limit_network
        self._database = database
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._uses: dict[tuple[date, bytes], _Use] = {}
        self._day = clock().date()
        self._sharing = asyncio.Lock()
        self._has_some = asyncio.Event()
        self._is_stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def take(self, claims: Claims, address: str, amount: int, *, is_essential: bool = False) -> Taken:
        """Counts bytes for a caller and their networks. Raises LimitReached, and counts nothing, if one of them would
        exceed its daily limit. `is_essential`: the limit is a tenth higher."""
        if claims.role == "service_role":
            return Taken(0, ())
        limits = [(self._network_of(network.name), self._network * network.factor) for network in networks(address)]
        if claims.subject is not None:
            limits.append((self._person(claims.subject), self._limit(claims)))
        uses = [(self._use(subject), limit) for subject, limit in limits]
        if any(use.own + amount > limit // UNSHARED for use, limit in uses):
            await self.share([use for use, _ in uses])
        for use, limit in uses:
            maximum = limit + limit // RESERVE if is_essential else limit
            if use.shared + use.own + amount > maximum:
                metrics.LIMITS.labels("storage").inc()
                raise LimitReached("The storage limit of the day is used up: try again after midnight, UTC.")
        for use, _ in uses:
            use.own += amount
        self._has_some.set()
        return Taken(amount, [use for use, _ in uses])

    async def take_over(self, session: UUID, claims: Claims) -> Callable[[], None]:
        """Moves what an anonymous session stored today to the account that it is merged into; returns a function that
        undoes that. Raises LimitReached, as take() does."""
        of_session, own = self._use(self._person(session)), self._use(self._person(claims.subject or session))
        await self.share([of_session, own])
        amount = of_session.shared + of_session.own
        if own.shared + own.own + amount > self._limit(claims):
            metrics.LIMITS.labels("storage").inc()
            raise LimitReached("Both together exceed the storage limit of the day: merge them after midnight, UTC.")

        def move(bytes_: int) -> None:
            own.own += bytes_
            of_session.own -= bytes_
            self._has_some.set()

        move(amount)
        return partial(move, -amount)

    def _network_of(self, name: str) -> bytes:
        return self._pseudonyms.of(f"network:{name}", self._clock().timestamp())

    def _person(self, subject: UUID) -> bytes:
        return self._pseudonyms.of(f"person:{subject}", self._clock().timestamp())

    def _limit(self, claims: Claims) -> int:
        return self._anonymous if claims.is_anonymous or claims.role == "anon" else self._account

    def _use(self, subject: bytes) -> _Use:
        day = self._clock().date()
        use = self._uses.get((day, subject))
        if use is None:
            use = self._uses[day, subject] = _Use(day, subject)
        return use

    async def share(self, wanted: Sequence[_Use] = ()) -> None:
        """Adds local counts to the totals in Postgres, and reads these totals: of `wanted` and of all that changed."""
        async with self._sharing:
            batch = {id(use): use for use in (*wanted, *(use for use in self._uses.values() if use.own))}
            uses = list(batch.values())
            if not uses:
                return
            for use in wanted:
                self._uses.setdefault((use.day, use.subject), use)
            added = [use.own for use in uses]
            async with self._database.session(SERVICE, read_only=False) as session:
                rows = await session.fetch(
                    "storage_use.add",
                    days=[use.day for use in uses],
                    subjects=[use.subject for use in uses],
                    bytes=added,
                )
            sums = {(row["day"], row["subject"]): row["bytes"] for row in rows}
            for use, amount in zip(uses, added, strict=True):
                use.shared = sums[use.day, use.subject]
                use.own -= amount
            self._forget(wanted)

    def _forget(self, wanted: Sequence[_Use]) -> None:
        """Evicts past days; and, with too many subjects, those with nothing to add that are not `wanted`."""
        today = self._clock().date()
        is_full = len(self._uses) > MAX_SUBJECTS
        for key, use in list(self._uses.items()) if is_full or self._day != today else ():
            if not use.own and use not in wanted and (is_full or use.day != today):
                del self._uses[key]
        self._day = today

    def start(self) -> None:
        self._task = asyncio.create_task(self._share_for_ever())

    async def stop(self) -> None:
        """Adds what is left, within SHUTDOWN_SECONDS."""
        if self._task is None:
            return
        self._is_stopping.set()
        self._has_some.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, SHUTDOWN_SECONDS)

    async def _share_for_ever(self) -> None:
        while not self._is_stopping.is_set():
            await self._has_some.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), INTERVAL_SECONDS)
            self._has_some.clear()
            await self._try_to_share()
        await self._try_to_share()

    async def _try_to_share(self) -> None:
        try:
            await self.share()
        except Exception as error:  # the counts stay, and are added the next time
            log.warning("storage use was not shared", exception=type(error).__name__)
