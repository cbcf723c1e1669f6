"""Answers to the quiz that are saved before it is submitted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from db.session import Session
from domain import personality
from domain.errors import Invalid
from resolvers import quiz
from resolvers.profiles import require_subject


async def save(session: Session, version: str, answers: Sequence[tuple[str, int]]) -> None:
    """Adds answers to the caller's draft; a question that was answered before has the new answer. As service_role,
    because the answers were checked. Raises Stale, Invalid or Unavailable."""
    require_subject(session)
    found = await quiz.current(session)
    given = personality.check_answers(found.instrument, version, answers)
    if not given:
        raise Invalid("`answers` is empty: send one answer or more.", ("answers",))
    async with session.as_service():
        await session.fetch(
            "quiz_drafts.save",
            instrument=found.instrument.code,
            version=version,
            answers=msgspec.json.encode(given).decode(),
        )
