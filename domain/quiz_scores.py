"""Scores version 1.0 of the quiz, which has no norms: five traits, 0..100 each, from Likert answers 1..5.

A trait's score is the mean of its answers (reversed items counted 6 - answer), mapped linearly from 1..5 to 0..100:
50 is neutral. Traits are independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from domain.errors import Invalid, Stale

TRAITS = ("adventurous", "intellectual", "practical", "creative", "social")
LOWEST, HIGHEST = 1, 5
MAX_OPTIONS = HIGHEST - LOWEST + 1  # as in the table of texts
MAX_QUESTIONS = 100  # of a version, as in their table
MIN_PER_TRAIT = 2
SECONDARY_FROM = 60.0
SECONDARY_WITHIN = 25.0


@dataclass(frozen=True, slots=True)
class Question:
    code: str
    trait: str
    is_reversed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Quiz:
    """A version of the quiz; `options` are (value, label), lowest first."""

    version: str
    locale: str
    min_answers: int
    questions: Sequence[Question]
    options: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Result:
    """`confidence` and `quality` are 0..1."""

    scores: Mapping[str, float]
    primary: str
    secondary: tuple[str, ...]
    confidence: float
    quality: float
    answers: Mapping[str, int]


def check(quiz: Quiz, version: str, answers: Sequence[tuple[str, int]], seconds: int | None) -> dict[str, int]:
    """Validates answers; returns them by question code. Raises Stale for another version, Invalid for anything else."""
    if version != quiz.version:
        raise Stale(f"The quiz has changed: version {quiz.version} is current.", ("version",))
    if seconds is not None and seconds < 0:
        raise Invalid("The time cannot be negative.", ("completionTimeSeconds",))
    known = {question.code: question for question in quiz.questions}
    given: dict[str, int] = {}
    for position, (code, value) in enumerate(answers):
        path = ("answers", str(position))
        if code not in known:
            raise Invalid("There is no such question in this version.", (*path, "questionId"))
        if code in given:
            raise Invalid("This question is answered twice.", (*path, "questionId"))
        if not LOWEST <= value <= HIGHEST:
            raise Invalid(f"An answer is a number from {LOWEST} to {HIGHEST}.", (*path, "value"))
        given[code] = value
    per_trait = {trait: sum(known[code].trait == trait for code in given) for trait in TRAITS}
    if len(given) < quiz.min_answers or min(per_trait.values()) < MIN_PER_TRAIT:
        raise Invalid(
            f"Answer {quiz.min_answers} questions or more, and at least {MIN_PER_TRAIT} on each trait.", ("answers",)
        )
    return given


def score(quiz: Quiz, answers: Mapping[str, int], seconds: int | None) -> Result:
    """Scores checked answers."""
    values: dict[str, list[int]] = {trait: [] for trait in TRAITS}
    for question in quiz.questions:
        if question.code in answers:
            answer = answers[question.code]
            values[question.trait].append(LOWEST + HIGHEST - answer if question.is_reversed else answer)
    scores = {trait: round((fmean(v) - LOWEST) / (HIGHEST - LOWEST) * 100, 2) for trait, v in values.items()}
    ranked = sorted(TRAITS, key=lambda trait: (-scores[trait], TRAITS.index(trait)))
    best = scores[ranked[0]]
    secondary = tuple(trait for trait in ranked[1:3] if scores[trait] >= max(SECONDARY_FROM, best - SECONDARY_WITHIN))
    # Inconsistent answers to a trait (the maximum spread on a 1..5 scale is 2) lower the confidence.
    consistency = 1 - fmean(pstdev(v) for v in values.values()) / ((HIGHEST - LOWEST) / 2)
    coverage = len(answers) / len(quiz.questions)
    return Result(
        scores=scores,
        primary=ranked[0],
        secondary=secondary,
        confidence=round(max(0.0, min(1.0, coverage * (0.4 + 0.6 * consistency))), 4),
        quality=round(_quality(answers, seconds), 4),
        answers=dict(answers),
    )


def _quality(answers: Mapping[str, int], seconds: int | None) -> float:
    """How likely the questions were read: identical answers, or less than 2 seconds per question, lower it."""
    pace = 1.0 if seconds is None else min(1.0, seconds / (2 * len(answers)))
    commonest = max(list(answers.values()).count(value) for value in range(LOWEST, HIGHEST + 1)) / len(answers)
    variety = 1.0 if commonest <= 0.6 else (1 - commonest) / 0.4
    return 0.5 * pace + 0.5 * variety
