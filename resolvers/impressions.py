"""Impressions: recommendations that were on a person's screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from db.session import Session
from domain.bounds import require_period, require_range
from domain.errors import Invalid, LimitReached, NotFound, UserError
from domain.recommendations import Shown
from resolvers import client_ids, experiments, recommendations
from resolvers.profiles import require_proven_role, require_subject
from services.services import Services

MAX_POSITION = 10_000
MAX_DURATION_MS = 24 * 3600 * 1000
MAX_PER_DAY = 5000  # of a person
MAX_DRIFT = timedelta(days=1)  # private.impression_outcomes() finds impressions by their ids


@dataclass(frozen=True, slots=True)
class NewImpression:
    """`id` and `recommendation` are the client's texts."""

    id: str
    recommendation: str
    position: int
    shown_at: datetime
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class _Checked:
    index: int
    id: UUID
    shown: Shown
    position: int
    shown_at: datetime
    duration_ms: int | None

    @property
    def day(self) -> datetime:
        at = datetime.fromtimestamp((self.id.int >> 80) / 1000, UTC)
        return at.replace(hour=0, minute=0, second=0, microsecond=0)


async def record(
    session: Session, services: Services, impressions: Sequence[NewImpression], sent_at: datetime | None
) -> tuple[int, list[UserError]]:
    """Stores new impressions (see client_ids.record), which of the person's recommendations were shown, and the
    exposure to arms of experiments. As service_role, because all but position and times is from ids that we signed.
    Raises LimitReached."""
    user = require_subject(session)
    session_id = session.claims.session_id
    checked: dict[UUID, _Checked] = {}

    def columns(found: Sequence[_Checked]) -> dict[str, Any]:
        for item in found:
            checked.setdefault(item.id, item)
        return {**_columns(found), "session_id": session_id}

    async with session.as_service():
        await session.fetch("impressions.lock", user_id=user)
        check = partial(_check, session, services)
        rows, errors = await client_ids.record(
            session, "impressions", "impressions", impressions, sent_at, check, columns
        )
        stored = [checked[row["id"]] for row in rows if row["is_stored"]]
        if stored:
            await _note(session, user, stored)
    session.stored_part = len(stored) / max(1, len(impressions))
    return len(stored), [*errors, *(_beyond(checked[row["id"]]) for row in rows if not row["is_stored"])]


def _beyond(item: _Checked) -> UserError:
    return LimitReached(f"A person has at most {MAX_PER_DAY} impressions a day.", ("impressions", str(item.index)))


async def _note(session: Session, user: UUID, stored: Sequence[_Checked]) -> None:
    await recommendations.note_terms(session, [item.shown for item in stored])
    await session.fetch(
        "impressions.note_shown",
        user_id=user,
        product_ids=[item.shown.product_id for item in stored],
        shown_ats=[item.shown_at for item in stored],
    )
    await experiments.expose(session, [(item.shown.arm, item.shown_at) for item in stored if item.shown.arm])


def _check(
    session: Session, services: Services, new: NewImpression, field: tuple[str, ...], skew: int
) -> tuple[UUID, _Checked]:
    id = client_ids.recent(new.id, (*field, "id"), skew)
    shown = recommendations.find_shown(session, services, new.recommendation)
    if shown is None:
        raise NotFound("There is no such recommendation.", (*field, "recommendationId"))
    require_range(new.position, (*field, "position"), 1, MAX_POSITION)
    require_range(new.duration_ms, (*field, "durationMs"), 0, MAX_DURATION_MS, "milliseconds")
    shown_at = new.shown_at
    at = datetime.fromtimestamp((id.int >> 80) / 1000, UTC) + timedelta(milliseconds=skew)  # as the client says it
    if not -MAX_DRIFT < shown_at - at < timedelta(seconds=client_ids.CLOCK_SKEW_SECONDS):
        raise Invalid("Generate the id when it is shown: their times differ by too much.", (*field, "shownAt"))
    return id, _Checked(
        int(field[-1]), id, shown, new.position, shown_at - timedelta(milliseconds=skew), new.duration_ms
    )


def _columns(checked: Sequence[_Checked]) -> dict[str, Any]:
    return {
        "product_ids": [item.shown.product_id for item in checked],
        "contexts": [item.shown.context for item in checked],
        "models": [item.shown.model for item in checked],
        "arms": [item.shown.arm for item in checked],
        "propensities": [item.shown.propensity for item in checked],
        "positions": [item.position for item in checked],
        "shown_ats": [item.shown_at for item in checked],
        "durations": [item.duration_ms for item in checked],
        "days": [item.day for item in checked],
        "maximum": MAX_PER_DAY,
    }


async def counts(session: Session, since: datetime, until: datetime | None) -> list[asyncpg.Record]:
    """Per context: impressions, and how many were followed by what. Raises Forbidden for callers who are not analysts
    or administrators, Invalid for a period that is empty or longer than a year."""
    await require_proven_role(session, session.claims.may_analyse, "Only analysts may count impressions.")
    until = until or datetime.now(UTC)
    require_period(since, until)
    return await session.fetch("impressions.count", since=since, until=until)
