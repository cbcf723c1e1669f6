"""Product views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.session import Session
from domain.errors import Invalid, LimitReached, UserError
from domain.texts import require_no_nul
from resolvers import client_ids
from resolvers.profiles import require_subject

MAX_VIEWS = 100
MAX_DURATION_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class NewView:
    """`id` is the client's; `product_id` is None if the client's id is not that of a product."""

    id: str
    product_id: UUID | None
    source_page: str | None
    duration_seconds: int | None


async def record(session: Session, views: Sequence[NewView], sent_at: datetime | None) -> tuple[int, list[UserError]]:
    """Stores new views; returns how many (none without consent to analytics), and the errors of others. `sent_at` is
    the client's time when sending. Raises LimitReached."""
    user = require_subject(session)
    if len(views) > MAX_VIEWS:
        raise LimitReached(f"At most {MAX_VIEWS} views at once.", ("views",))
    skew = client_ids.skew_of(sent_at)
    checked: list[tuple[UUID, NewView]] = []
    errors: list[UserError] = []
    for position, view in enumerate(views):
        try:
            checked.append((_check(view, ("views", str(position)), skew), view))
        except UserError as error:
            errors.append(error)
    may_repeat_corrected = client_ids.may_repeat_corrected(sent_at, (id for id, _ in checked))
    if may_repeat_corrected:
        await session.fetch("product_views.lock", user_id=user)
    stored = await session.fetch(
        "product_views.record",
        user_id=user,
        may_repeat_corrected=may_repeat_corrected,
        ids=[id for id, _ in checked],
        product_ids=[view.product_id for _, view in checked],
        sources=[view.source_page for _, view in checked],
        durations=[view.duration_seconds for _, view in checked],
        session_id=session.claims.session_id,
    )
    session.stored_part = len(stored) / max(1, len(views))
    return len(stored), await client_ids.without_repeats(session, "product_views.known", user, errors)


def _check(view: NewView, field: tuple[str, ...], skew: int) -> UUID:
    """Its id."""
    found = client_ids.recent(view.id, (*field, "id"), skew)
    require_no_nul(view.source_page, (*field, "sourcePage"))
    if view.source_page is not None and len(view.source_page) > 200:
        raise Invalid("At most 200 characters.", (*field, "sourcePage"))
    if view.duration_seconds is not None and not 0 <= view.duration_seconds <= MAX_DURATION_SECONDS:
        raise Invalid("Give 0 to 86400 seconds.", (*field, "durationSeconds"))
    return found
