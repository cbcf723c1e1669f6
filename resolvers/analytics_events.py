"""Analytics events of front ends: recorded by all callers, counted by analysts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from db.session import Session
from domain.errors import Invalid, LimitReached, UserError
from domain.texts import require_no_nul
from resolvers import client_ids
from resolvers.profiles import as_jsonb, require_proven_role, require_subject

MAX_EVENTS = 100
MAX_PROPERTIES_BYTES = 4096  # jsonb adds spaces; the table's limit is 8192
MAX_NAME = 100
MAX_PAGE = 200
MAX_COUNTS = 500  # as in private.count_events()
MAX_PERIOD = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`id` is the client's text."""

    id: str
    name: str
    properties: Any
    page: str | None


@dataclass(frozen=True, slots=True)
class _Checked:
    id: UUID
    name: str
    properties: str
    page: str | None


async def record(session: Session, events: Sequence[NewEvent], sent_at: datetime | None) -> tuple[int, list[UserError]]:
    """Stores new events; returns how many (none without consent to analytics), and the errors of others. `sent_at` is
    the client's time when sending. Raises LimitReached."""
    user = require_subject(session)
    if len(events) > MAX_EVENTS:
        raise LimitReached(f"At most {MAX_EVENTS} events at once.", ("events",))
    skew = client_ids.skew_of(sent_at)
    checked: list[_Checked] = []
    errors: list[UserError] = []
    for position, event in enumerate(events):
        try:
            checked.append(_check(event, ("events", str(position)), skew))
        except UserError as error:
            errors.append(error)
    may_repeat_corrected = client_ids.may_repeat_corrected(sent_at, (item.id for item in checked))
    if may_repeat_corrected:
        await session.fetch("analytics_events.lock", user_id=user)
    stored = await session.fetch(
        "analytics_events.record",
        user_id=user,
        may_repeat_corrected=may_repeat_corrected,
        ids=[item.id for item in checked],
        names=[item.name for item in checked],
        properties=[item.properties for item in checked],
        pages=[item.page for item in checked],
        session_id=session.claims.session_id,
    )
    session.stored_part = len(stored) / max(1, len(events))
    return len(stored), await client_ids.without_repeats(session, "analytics_events.known", user, errors)


def _check(event: NewEvent, field: tuple[str, ...], skew: int) -> _Checked:
    found = client_ids.recent(event.id, (*field, "id"), skew)
    require_no_nul(event.name, (*field, "name"))
    require_no_nul(event.page, (*field, "page"))
    if not 1 <= len(event.name) <= MAX_NAME:
        raise Invalid(f"Give 1 to {MAX_NAME} characters.", (*field, "name"))
    if event.page is not None and len(event.page) > MAX_PAGE:
        raise Invalid(f"At most {MAX_PAGE} characters.", (*field, "page"))
    return _Checked(found, event.name, _properties(event.properties, (*field, "properties")), event.page)


def _properties(value: Any, field: tuple[str, ...]) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise Invalid("Give a JSON object.", field)
    try:
        return as_jsonb(value, field[-1], MAX_PROPERTIES_BYTES)
    except Invalid as error:
        raise Invalid(str(error), field) from None


async def counts(session: Session, since: datetime, until: datetime | None) -> list[asyncpg.Record]:
    """How often each event occurred, and for how many people, most frequent first. Raises Forbidden for callers who are
    not analysts or administrators, Invalid for a period that is empty or longer than a year."""
    await require_proven_role(session, session.claims.may_analyse, "Only analysts may count events.")
    until = until or datetime.now(UTC)
    if not timedelta() <= until - since <= MAX_PERIOD:
        raise Invalid(f"Give a period that ends after it starts, of at most {MAX_PERIOD.days} days.", ("since",))
    return await session.fetch("analytics_events.count", since=since, until=until)
