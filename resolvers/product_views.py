"""Products looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.session import Session
from domain.errors import Invalid, LimitReached
from resolvers import client_ids
from resolvers.profiles import require_subject

MAX_VIEWS = 100
MAX_DURATION_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class NewView:
    """`id` is the client's text, `product_id` None where it is no product's."""

    id: str
    product_id: UUID | None
    source_page: str | None
    duration_seconds: int | None


async def record(session: Session, views: Sequence[NewView]) -> int:
    """Stores what is new of these views; how many that were, which is none after analytics were withdrawn. Raises
    LimitReached or Invalid, then nothing is stored."""
    user = require_subject(session)
    if len(views) > MAX_VIEWS:
        raise LimitReached(f"At most {MAX_VIEWS} views at once.", ("views",))
    ids = []
    for position, view in enumerate(views):
        field = ("views", str(position))
        ids.append(client_ids.recent(view.id, (*field, "id")))
        if view.source_page is not None and (len(view.source_page) > 200 or "\0" in view.source_page):
            raise Invalid("At most 200 characters.", (*field, "sourcePage"))
        if view.duration_seconds is not None and not 0 <= view.duration_seconds <= MAX_DURATION_SECONDS:
            raise Invalid("From 0 seconds to a day.", (*field, "durationSeconds"))
    stored = await session.fetch(
        "product_views.record",
        user_id=user,
        ids=ids,
        product_ids=[view.product_id for view in views],
        sources=[view.source_page for view in views],
        durations=[view.duration_seconds for view in views],
        session_id=session.claims.session_id,
    )
    session.stored_part = len(stored) / max(1, len(views))
    return len(stored)
