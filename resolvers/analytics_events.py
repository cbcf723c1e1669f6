"""Analytics events of front ends: recorded by all callers, counted by analysts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from db.session import Session
from domain.bounds import require_period, require_text
from domain.errors import Invalid, UserError
from resolvers import client_ids
from resolvers.profiles import as_jsonb, require_proven_role

MAX_PROPERTIES_BYTES = 4096  # jsonb adds spaces; the table's limit is 8192
MAX_EVENT_NAME = 100
MAX_PAGE = 200
MAX_COUNTS = 500  # as in private.count_events()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`id` is the client's text."""

    id: str
    name: str
    properties: Any
    page: str | None


@dataclass(frozen=True, slots=True)
class _Checked:
    name: str
    properties: str
    page: str | None


async def record(session: Session, events: Sequence[NewEvent], sent_at: datetime | None) -> tuple[int, list[UserError]]:
    """Stores new events: see client_ids.record. Raises LimitReached."""
    columns = partial(_columns, session)
    stored, errors = await client_ids.record(session, "analytics_events", "events", events, sent_at, _check, columns)
    return len(stored), errors


def _check(event: NewEvent, field: tuple[str, ...], skew: int) -> tuple[UUID, _Checked]:
    id = client_ids.recent(event.id, (*field, "id"), skew)
    require_text(event.name, (*field, "name"), MAX_EVENT_NAME, minimum=1)
    require_text(event.page, (*field, "page"), MAX_PAGE)
    return id, _Checked(event.name, _properties(event.properties, (*field, "properties")), event.page)


def _columns(session: Session, checked: Sequence[_Checked]) -> dict[str, Any]:
    return {
        "session_id": session.claims.session_id,
        "names": [event.name for event in checked],
        "properties": [event.properties for event in checked],
        "pages": [event.page for event in checked],
    }


def _properties(value: Any, field: tuple[str, ...]) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise Invalid(f"`{field[-1]}` must be a JSON object.", field)
    try:
        return as_jsonb(value, field[-1], MAX_PROPERTIES_BYTES)
    except Invalid as error:
        raise Invalid(str(error), field) from None


async def counts(session: Session, since: datetime, until: datetime | None) -> list[asyncpg.Record]:
    """How often each event occurred, and for how many people, most frequent first. Raises Forbidden for callers who are
    not analysts or administrators, Invalid for a period that is empty or longer than a year."""
    await require_proven_role(session, session.claims.may_analyse, "Only analysts may count events.")
    until = until or datetime.now(UTC)
    require_period(since, until)
    return await session.fetch("analytics_events.count", since=since, until=until)
