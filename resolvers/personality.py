"""Takes quizzes, and combines them into a personality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from db.session import Session
from domain import personality, quiz_notes
from domain.errors import Unauthenticated
from domain.instruments import Instrument
from domain.personality import MIN_VARIANCE, PRIOR_VARIANCE, Measurement, Result, Score
from resolvers import quiz
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject


@dataclass(frozen=True, slots=True)
class Submitted:
    """`note` gives what to tell the person in a locale, if anything."""

    assessment: UUID
    note: Callable[[str], str | None]


async def submit(
    session: Session,
    *,
    version: str,
    answers: Sequence[tuple[str, int]],
    seconds: int | None,
    trigger: str,
    idempotency_key: str | None,
) -> Submitted:
    """Scores and stores a quiz; quizzes of a person are taken one after the other. Raises Stale, Invalid, Unavailable
    or IdempotencyKeyReused."""
    user = require_subject(session)
    async with session.as_service():
        begun = await session.fetchrow("personality.begin", user_id=user)
    if begun is None:
        raise Unauthenticated("The person of this token no longer exists.")
    found = await quiz.loaded(session, begun)
    given = personality.check(found.instrument, version, answers, seconds)
    request = [version, sorted(given.items()), seconds, trigger]
    notes = []

    async def store() -> UUID:
        assessment, note = await _store(session, user, found.instrument, given, seconds, trigger)
        notes.append(note)
        return assessment

    assessment = await once(session, "submitQuiz", idempotency_key, request, store)
    return Submitted(assessment, notes[0] if notes else await _noted(session, user, assessment))


async def _store(
    session: Session, user: UUID, instrument: Instrument, given: dict[str, int], seconds: int | None, trigger: str
) -> tuple[UUID, Callable[[str], str | None]]:
    async with session.as_service():
        standing = await session.fetchrow("personality.standing", user_id=user)
        assert standing is not None
        earlier = _measurements(standing["measurements"])
        result = personality.score(instrument, given, seconds)
        at: datetime = standing["at"]
        new = Measurement(at, result.scores, result.quality.value, result.confidence)
        combined = personality.combine([*earlier, new])
        share = personality.share_of_newest([*earlier, new])
        parts = {name: part for name, part in asdict(result.quality).items() if name != "value"}
        data = {"instrument": instrument.code, "version": instrument.version, "answers": result.answers}
        row = await session.fetchrow(
            "personality.store",
            at=at,
            data=_json(data),
            **_scores(result.scores),
            primary_type=result.primary,
            secondary_types=list(result.secondary),
            trigger="periodic" if trigger == "initial" and earlier else trigger,
            confidence=result.confidence,
            questions_answered=len(given),
            seconds=seconds,
            quality=result.quality.value,
            quality_parts=_json(parts),
            is_provisional=instrument.is_provisional,
            swipes=standing["swipes"],
            purchases=standing["purchases"],
            consistency=_consistency(result, msgspec.json.decode(standing["swiped"])),
            **{f"combined_{name}": value for name, value in _scores(combined.scores).items()},
            combined_primary=combined.primary,
            combined_secondary=list(combined.secondary),
            combined_confidence=combined.confidence,
            share=share,
            trend=_trend([*earlier, new]),
            feature_vector=_json(personality.feature_vector(combined.scores)),
            segment=personality.segment(combined.scores),
            version=instrument.version,
        )
        assert row is not None
    session.note_change("preferences", str(user))
    return row["id"], _note(result.quality.value, parts, share)


async def recombine(session: Session, user: UUID) -> None:
    """Combines all quizzes of somebody whose profile is one of several that were merged; nothing without a quiz. The
    session is service_role's."""
    standing = await session.fetchrow("personality.standing", user_id=user)
    measurements = _measurements(standing["measurements"]) if standing else []
    if not measurements:
        return
    combined = personality.combine(measurements)
    await session.fetch(
        "personality.recombine",
        user_id=user,
        **_scores(combined.scores),
        primary_type=combined.primary,
        secondary_types=list(combined.secondary),
        confidence=combined.confidence,
        trend=_trend(measurements),
        feature_vector=_json(personality.feature_vector(combined.scores)),
        segment=personality.segment(combined.scores),
    )


async def _noted(session: Session, user: UUID, assessment: UUID) -> Callable[[str], str | None]:
    row = await session.fetchrow("personality.noted", user_id=user, assessment=assessment)
    if row is None:  # the key outlived what it stands for
        return lambda locale: None
    return _note(row["quality"], msgspec.json.decode(row["quality_parts"] or "{}"), row["share"])


def _note(quality: float, parts: Mapping[str, float], share: float) -> Callable[[str], str | None]:
    return lambda locale: quiz_notes.note(quality, parts, share, locale)


def _measurements(jsonb: str) -> list[Measurement]:
    """The quizzes of a history, as personality.standing gives them. Version 1.0 had no errors: a variance of
    100 / confidence stands for them."""
    found = []
    for row in msgspec.json.decode(jsonb):
        confidence = 0.5 if row["confidence"] is None else row["confidence"]
        presumed = min(PRIOR_VARIANCE, 100 / max(confidence, 0.01))
        scores = {}
        for trait, percentile in (row["scores"] or {}).items():
            if percentile is None:
                continue
            variance = (row["variances"] or {}).get(trait)
            variance = presumed if variance is None else variance
            error = (row["errors"] or {}).get(trait)
            error = math.sqrt(variance) if error is None else error
            scores[trait] = Score(percentile, error, max(MIN_VARIANCE, variance))
        if scores:
            quality = 1.0 if row["quality"] is None else row["quality"]
            found.append(Measurement(datetime.fromtimestamp(row["at"], UTC), scores, quality, confidence))
    return found


def _consistency(result: Result, swiped: Mapping[str, float]) -> float | None:
    """How well the swipes agree with a quiz, 0..1; None without swipes."""
    differences = [abs(result.scores[trait].percentile - swiped[trait]) for trait in swiped if trait in result.scores]
    return round(1 - sum(differences) / len(differences) / 100, 4) if differences else None


def _scores(scores: Mapping[str, Score]) -> dict[str, str]:
    return {
        "scores": _json({trait: score.percentile for trait, score in scores.items()}),
        "errors": _json({trait: score.standard_error for trait, score in scores.items()}),
        "variances": _json({trait: score.variance for trait, score in scores.items()}),
    }


def _trend(measurements: Sequence[Measurement]) -> str | None:
    """By days: quizzes of one day are no trend."""
    days = [replace(m, at=m.at.replace(hour=0, minute=0, second=0, microsecond=0)) for m in measurements]
    changes = personality.trend(days)
    return _json({trait: asdict(change) for trait, change in changes.items()}) if changes else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
