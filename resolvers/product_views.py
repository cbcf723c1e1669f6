"""Products looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.session import Session
from domain.errors import Invalid, LimitReached
from resolvers.profiles import require_subject

MAX_VIEWS = 100
OLDEST_SECONDS = 30 * 24 * 3600
CLOCK_SKEW_SECONDS = 5 * 60
MAX_DURATION_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class NewView:
    """`id` is the client's text, `product_id` None where it is no product's."""

    id: str
    product_id: UUID | None
    source_page: str | None
    duration_seconds: int | None


def _view_id(text: str, field: tuple[str, ...]) -> UUID:
    """The id as a UUIDv7 of a time that can be: not in the future, not older than 30 days. Raises Invalid."""
    try:
        view = UUID(text)
    except ValueError:
        view = None
    if view is None or view.version != 7:
        raise Invalid("Give a UUID of version 7, made when the product was shown.", field)
    age = time.time() - (view.int >> 80) / 1000
    if not -CLOCK_SKEW_SECONDS <= age <= OLDEST_SECONDS:
        raise Invalid("The time of this id is in the future or more than 30 days ago.", field)
    return view


async def record(session: Session, views: Sequence[NewView]) -> int:
    """Stores what is new of these views; how many that were. Raises LimitReached or Invalid, then nothing is stored."""
    require_subject(session)
    if len(views) > MAX_VIEWS:
        raise LimitReached(f"At most {MAX_VIEWS} views at once.", ("views",))
    ids = []
    for position, view in enumerate(views):
        field = ("views", str(position))
        ids.append(_view_id(view.id, (*field, "id")))
        if view.source_page is not None and (len(view.source_page) > 200 or "\0" in view.source_page):
            raise Invalid("At most 200 characters.", (*field, "sourcePage"))
        if view.duration_seconds is not None and not 0 <= view.duration_seconds <= MAX_DURATION_SECONDS:
            raise Invalid("From 0 seconds to a day.", (*field, "durationSeconds"))
    stored = await session.fetch(
        "product_views.record",
        ids=ids,
        product_ids=[view.product_id for view in views],
        sources=[view.source_page for view in views],
        durations=[view.duration_seconds for view in views],
        session_id=session.claims.session_id,
    )
    return len(stored)
