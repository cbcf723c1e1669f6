"""Counts a request's use of Postgres: what it is charged for, and if a receipt was requested, the details."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """`statements` are those of resolvers, loaders and plans, without those that set claims or end transactions;
    `prepared` of them were already prepared on their connection. `seconds` is the time from sending a statement to its
    last row."""

    statements: int = 0
    prepared: int = 0
    rows: int = 0
    seconds: float = 0.0


USAGE: ContextVar[Usage | None] = ContextVar("usage", default=None)


MAX_STATEMENT_SECONDS = 2.0  # a longer statement has mostly waited: for a lock, or for a server busy with others


@dataclass(slots=True)
class Meter:
    """What a caller is charged for afterwards, summed over all sessions of a request. `seconds`: Postgres worked for
    it, without the time in which the event loop was busy, and at most MAX_STATEMENT_SECONDS a statement. `cut_off`
    statements were cancelled before they ended, and `closed` connections had to be closed."""

    seconds: float = 0.0
    cut_off: int = 0
    closed: int = 0

    def add(self, seconds: float) -> None:
        """Adds the time of a statement."""
        if seconds > 0:
            self.seconds += min(seconds, MAX_STATEMENT_SECONDS)


METER: ContextVar[Meter | None] = ContextVar("meter", default=None)
