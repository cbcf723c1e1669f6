"""Product views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from db.session import Session
from domain.bounds import require_range, require_text
from domain.errors import UserError
from resolvers import client_ids

MAX_DURATION_SECONDS = 24 * 3600
MAX_SOURCE_PAGE = 200


@dataclass(frozen=True, slots=True)
class NewView:
    """`id` is the client's; `product_id` is None if the client's id is not that of a product."""

    id: str
    product_id: UUID | None
    source_page: str | None
    duration_seconds: int | None


async def record(session: Session, views: Sequence[NewView], sent_at: datetime | None) -> tuple[int, list[UserError]]:
    """Stores new views: see client_ids.record. Raises LimitReached."""
    columns = partial(_columns, session)
    stored, errors = await client_ids.record(session, "product_views", "views", views, sent_at, _check, columns)
    return len(stored), errors


def _check(view: NewView, field: tuple[str, ...], skew: int) -> tuple[UUID, NewView]:
    id = client_ids.recent(view.id, (*field, "id"), skew)
    require_text(view.source_page, (*field, "sourcePage"), MAX_SOURCE_PAGE)
    require_range(view.duration_seconds, (*field, "durationSeconds"), 0, MAX_DURATION_SECONDS, "seconds")
    return id, view


def _columns(session: Session, checked: Sequence[NewView]) -> dict[str, Any]:
    return {
        "session_id": session.claims.session_id,
        "product_ids": [view.product_id for view in checked],
        "sources": [view.source_page for view in checked],
        "durations": [view.duration_seconds for view in checked],
    }
