"""What a request asks of Postgres, counted where somebody wants to know."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """`statements` are those of resolvers, loaders and plans, not what sets claims or ends transactions; `prepared` of
    them were known to their connection. `seconds` is from sending a statement to its last row. `rankings` were taken
    from those kept."""

    statements: int = 0
    prepared: int = 0
    rows: int = 0
    seconds: float = 0.0
    rankings: int = 0


USAGE: ContextVar[Usage | None] = ContextVar("usage", default=None)
