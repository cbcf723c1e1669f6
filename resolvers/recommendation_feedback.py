"""Everybody's feedback on recommendations, read by analysts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from db.pages import Window
from db.session import Session
from domain.pages import Cursor, open_cursor
from resolvers.profiles import require_proven_role
from services.services import Services

_SCOPE = "RecommendationFeedback:NEWEST"


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any."""

    kind: str | None = None
    reason: str | None = None
    product_id: UUID | None = None


async def page(session: Session, services: Services, wanted: Filter, *, size: int, after: str | None) -> Window[Any]:
    """A page of feedback, newest first, without the people. Raises Unauthenticated, Forbidden for callers who are not
    analysts or administrators, or BadUserInput."""
    await require_proven_role(session, session.claims.may_analyse, "Only analysts may read feedback.")
    before = open_cursor(after, _SCOPE, services.cursors, "after")[0] if after else None
    rows = await session.fetch(
        "recommendation_feedback.page",
        kind=wanted.kind,
        reason=wanted.reason,
        product_id=wanted.product_id,
        before=before,
        size=size + 1,
    )
    return Window(rows[:size], len(rows) > size, before is not None)


def cursor_of(services: Services, row: asyncpg.Record) -> str:
    """The cursor after a row."""
    return Cursor(_SCOPE, (str(row["id"]),)).sign(services.cursors)
