"""Counts a request's use of Postgres, if a receipt was requested."""

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
