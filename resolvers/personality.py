"""The personality quiz and its results."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from db.session import Session
from domain import quiz_scores as personality
from domain.errors import Unavailable
from domain.quiz_scores import Question, Quiz
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject


async def current_quiz(session: Session, locale: str) -> Quiz:
    """The current version in this locale, or in English without a translation."""
    rows = await session.fetch("personality.current_quiz", locale=locale[:35].replace("\0", ""))
    if not rows:
        raise Unavailable("There is no quiz now.")
    version, spoken = rows[0]["version"], rows[0]["locale"]
    options = await session.fetch("personality.quiz_options", version=version, locale=spoken)
    return Quiz(
        version=version,
        locale=spoken,
        min_answers=rows[0]["min_answers"],
        questions=[Question(r["code"], r["trait"], r["is_reversed"], r["text"]) for r in rows],
        options=[(r["value"], r["text"]) for r in options],
    )


async def submit(
    session: Session,
    *,
    version: str,
    answers: Sequence[tuple[str, int]],
    seconds: int | None,
    trigger: str,
    idempotency_key: str | None,
) -> UUID:
    """Scores and stores an assessment; the new assessment's id. Raises Stale, Invalid or IdempotencyKeyReused."""
    require_subject(session)
    quiz = await current_quiz(session, "en")
    given = personality.check(quiz, version, answers, seconds)
    request = [version, sorted(given.items()), seconds, trigger]
    return await once(
        session, "submitQuiz", idempotency_key, request, lambda: _store(session, quiz, given, seconds, trigger)
    )


async def _store(session: Session, quiz: Quiz, given: dict[str, int], seconds: int | None, trigger: str) -> UUID:
    result = personality.score(quiz, given, seconds)
    scores = msgspec.json.encode(result.scores).decode()
    data = msgspec.json.encode({"version": quiz.version, "answers": result.answers}).decode()
    async with session.as_service():
        await session.fetch(
            "personality.store_profile",
            primary_type=result.primary,
            secondary_types=list(result.secondary),
            scores=scores,
            confidence=result.confidence,
            responses=data,
            questions_answered=len(given),
            version=quiz.version,
        )
        assessment: UUID = await session.fetchval(
            "personality.store_assessment",
            user_id=session.claims.subject,
            data=data,
            scores=scores,
            primary_type=result.primary,
            trigger=trigger,
            confidence=result.confidence,
            questions_answered=len(given),
            seconds=seconds,
            quality=result.quality,
        )
    await session.fetch("personality.mark_due")
    session.note_change("preferences", str(session.claims.subject))
    return assessment
