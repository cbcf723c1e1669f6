"""The personality, and the quizzes and swipes behind it."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.rows import Order
from db.sources import Reference
from domain.explanations import explain
from domain.personality import TRAITS
from domain.quiz_notes import quality_note
from resolvers import personality
from resolvers.personality import Submitted
from schema.connection import Connection, connect
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import RowNode, column, load, load_own, row
from schema.quiz import QuizAnswer
from schema.scalars import from_jsonb


@strawberry.enum(description="The five traits, and balanced.")
class Trait(Enum):
    ADVENTUROUS = strawberry.enum_value("adventurous", description="Seeks the new, the outdoors, a thrill.")
    INTELLECTUAL = strawberry.enum_value("intellectual", description="Enjoys ideas, books and puzzles.")
    PRACTICAL = strawberry.enum_value("practical", description="Likes what works and is used.")
    CREATIVE = strawberry.enum_value("creative", description="Makes things; has an eye or an ear.")
    SOCIAL = strawberry.enum_value("social", description="Thrives among people.")
    BALANCED = strawberry.enum_value(
        "balanced",
        description="No trait stands out. A type of people, and no trait: it has no score, and no input takes it.",
    )


@strawberry.enum(description="Why an assessment was taken.")
class AssessmentTrigger(Enum):
    INITIAL = strawberry.enum_value("initial", description="The first one.")
    PERIODIC = strawberry.enum_value("periodic", description="Taken again after a while.")
    BEHAVIOR_CHANGE = strawberry.enum_value("behavior_change", description="The swipes had changed.")


@strawberry.enum(description="What a personality was made from.")
class AssessmentMethod(Enum):
    QUIZ = strawberry.enum_value("quiz", description="Answers alone.")
    BEHAVIOR = strawberry.enum_value("behavior", description="Swipes alone.")
    HYBRID = strawberry.enum_value("hybrid", description="Both.")


@strawberry.type(description="A score of a trait, among people.")
class TraitScore:
    trait: Trait = strawberry.field(description="Which trait.")
    percentile: float = strawberry.field(
        description="0 to 100: the share of people who score lower; 50 is the median person."
    )
    score: float = strawberry.field(description="The same.", deprecation_reason="Read `percentile`.")
    standard_error: float | None = strawberry.field(
        default=None, description="In points of the percentile; null for version 1.0 of the quiz, which had none."
    )

    @strawberry.field(
        description="The score and its error in a sentence, in English where there is no text in the locale; null "
        "without a standard error."
    )
    def explanation(self, locale: str = "en") -> str | None:
        if self.standard_error is None:
            return None
        return explain(cast(str, self.trait.value), self.percentile, self.standard_error, locale)


@strawberry.type(description="How a trait has changed between the first and the newest quiz.")
class TraitTrend:
    trait: Trait = strawberry.field(description="Which trait.")
    change: float = strawberry.field(description="In points of the percentile.")
    standard_error: float = strawberry.field(
        description="Of the change, in points: a smaller change than twice this may be chance."
    )


@strawberry.type(description="What the quality of answers is the product of; 0 to 1 each.")
class AnswerQuality:
    pace: float = strawberry.field(description="Whether there was time to read the questions.")
    variety: float = strawberry.field(description="Whether the answers differ.")
    consistency: float = strawberry.field(description="Whether the answers agree with each other.")
    completeness: float = strawberry.field(description="Whether the questions were answered.")


def _number(value: object) -> float | None:
    """A float for a number that a float can hold."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    return None


def _object(jsonb: str | None) -> dict[str, object]:
    stored = None if jsonb is None else from_jsonb(jsonb)
    return stored if isinstance(stored, dict) else {}


def _scores(jsonb: str | None, errors: str | None) -> list[TraitScore]:
    """What is no score is left out: one malformed row does not hide the others."""
    scores, of_errors = _object(jsonb), _object(errors)
    found = []
    for trait in TRAITS:
        score = _number(scores.get(trait))
        if score is not None:
            error = _number(of_errors.get(trait))
            found.append(TraitScore(trait=Trait(trait), percentile=score, score=score, standard_error=error))
    return found


def _combined(scores: str | None, errors: str | None, own_scores: str, own_errors: str | None) -> list[TraitScore]:
    return _scores(own_scores, own_errors) if scores is None else _scores(scores, errors)


def _trend(jsonb: str | None) -> list[TraitTrend]:
    found = []
    changes = _object(jsonb)
    for trait in TRAITS:
        stored = changes.get(trait)
        if isinstance(stored, dict):
            change, error = _number(stored.get("change")), _number(stored.get("standard_error"))
            if change is not None and error is not None:
                found.append(TraitTrend(trait=Trait(trait), change=change, standard_error=error))
    return found


def _parts(jsonb: str | None) -> dict[str, float]:
    parts = {name: _number(part) for name, part in _object(jsonb).items()}
    return {name: part for name, part in parts.items() if part is not None}


def _quality(jsonb: str | None) -> AnswerQuality | None:
    parts = _parts(jsonb)
    names = ("pace", "variety", "consistency", "completeness")
    return AnswerQuality(**{name: parts[name] for name in names}) if all(name in parts for name in names) else None


def _type(name: str) -> Trait:
    return Trait(name) if name in TRAITS else Trait.BALANCED


def _traits(names: list[str | None]) -> list[Trait]:
    return [Trait(name) for name in names if name in TRAITS]


@row(
    "public.personality_assessment_history",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.assessment_timestamp", "timestamptz", descending=True)},
)
@strawberry.type(description="A quiz taken, or a change that the swipes made.")
class Assessment(RowNode):
    method: AssessmentMethod = column("What it was made from.", "assessment_method", read=AssessmentMethod)
    primary_type: Trait = column("The strongest trait of this one alone; BALANCED if none stands out.", read=_type)
    secondary_types: list[Trait] = column(
        "Traits that may be as strong, by their errors, strongest first.", read=_traits, limit=len(TRAITS)
    )
    scores: list[TraitScore] = column(
        "All traits, as this quiz alone measured them.",
        "personality_scores",
        "standard_errors",
        read=_scores,
        is_jsonb=True,
        limit=len(TRAITS),
    )
    combined: list[TraitScore] = column(
        "All traits, as the profile had them after it: every quiz, weighted by its precision.",
        "combined_scores",
        "combined_errors",
        "personality_scores",
        "standard_errors",
        read=_combined,
        is_jsonb=True,
        limit=len(TRAITS),
    )
    trigger: AssessmentTrigger = column("Why it was taken.", "assessment_trigger", read=AssessmentTrigger)
    confidence: float | None = column(
        "0 to 1, of this one alone: the reliability of the answered questions times their quality.", "confidence_level"
    )
    questions_answered: int = column("How many questions were answered; 0 where swipes made the change.")
    completion_time_seconds: int | None = column("How long it took, in seconds.")
    quality: float | None = column(
        "How much the answers look read, 0 to 1; null where swipes made the change.", "assessment_quality_score"
    )
    quality_parts: AnswerQuality | None = column(
        "What the quality is the product of; null for version 1.0.", read=_quality, is_jsonb=True
    )
    share: float | None = column("Its share in the profile after it, 0 to 1.", "combined_share")
    is_provisional: bool = column(
        "Whether people were compared with a simulation, because too few had answered the quiz.", read=bool
    )
    swipes: int = column("How many swipes there were then.", "user_swipes_count")
    purchases: int = column("How many purchases were known then.", "user_purchases_count")
    behavioral_consistency: float | None = column(
        "How well the swipes agreed with the quiz, 0 to 1; null without either."
    )
    taken_at: datetime = column("When.", "assessment_timestamp")

    @strawberry.field(description="Why the quality is low, in a sentence; null if it is not.")
    def quality_note(self, locale: str = "en") -> str | None:
        return quality_note(self.record["assessment_quality_score"], _parts(self.record["quality_parts"]), locale)


@row("public.personality_profiles", owner="user_id")
@strawberry.type(description="What the quizzes and the swipes say of somebody.")
class PersonalityProfile(RowNode):
    primary_type: Trait = column("The strongest trait; BALANCED if none stands out from its error.", read=_type)
    secondary_types: list[Trait] = column(
        "Traits that may be as strong, by their errors, strongest first.", read=_traits, limit=len(TRAITS)
    )
    scores: list[TraitScore] = column(
        "All five traits.",
        "personality_scores",
        "standard_errors",
        read=_scores,
        is_jsonb=True,
        limit=len(TRAITS),
    )
    confidence: float = column(
        "0 to 1: more answers that look read, and swipes that agree with them, give more.", "confidence_level"
    )
    assessment_method: AssessmentMethod = column("What it was made from.", read=AssessmentMethod)
    questions_answered: int = column("How many questions the last quiz answered.", "total_questions_answered")
    segment: str | None = column(
        "The group of people with the same leading traits, such as `adventurous+social`; null before the first quiz.",
        "clustering_segment",
    )
    trend: list[TraitTrend] = column(
        "How each trait has changed since the first quiz; empty before a quiz of another day.",
        read=_trend,
        is_jsonb=True,
        limit=len(TRAITS),
    )
    last_assessment_at: datetime = column("When it was last assessed.")
    reassessment_suggested_at: datetime | None = column(
        "Since when the swipes differ from the quiz by more than their errors explain, so that it is worth taking "
        "again; null while they agree."
    )

    @strawberry.field(description="The quizzes taken and the changes that the swipes made, newest first.")
    def history(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Assessment]:
        return connect(
            info,
            Assessment.ROW,
            Assessment.ROW.orders["NEWEST"],
            first=first,
            after=after,
            parent="r.user_id = parent.key",
            parent_key=self.record["user_id"],
        )


@strawberry.input(description="Answers to the quiz.")
class SubmitQuizInput:
    version: str = strawberry.field(description="The version that was answered.")
    answers: list[QuizAnswer] = strawberry.field(
        description="Of all questions, of those of the short form, or of `minAnswers` or more that cover each trait."
    )
    completion_time_seconds: int | None = strawberry.field(default=None, description="How long it took.")
    trigger: AssessmentTrigger = strawberry.field(
        default=AssessmentTrigger.INITIAL, description="Why it was taken; a second quiz is PERIODIC by itself."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="A repeat with the same key gives the first assessment again."
    )


@strawberry.type(description="What came of a quiz.")
class SubmitQuizPayload:
    taken: strawberry.Private[Submitted | None] = None
    personality: Reference[PersonalityProfile] | None = strawberry.field(
        graphql_type=PersonalityProfile | None, default=None, description="As it is now."
    )
    assessment: Reference[Assessment] | None = strawberry.field(
        graphql_type=Assessment | None, default=None, description="This quiz."
    )
    user_errors: list[UserError] = user_errors()

    @strawberry.field(
        description="What to tell the person, if their answers look unread: that earlier answers keep counting most, "
        "or that this is a first impression. Null otherwise."
    )
    def note(self, locale: str = "en") -> str | None:
        return None if self.taken is None else self.taken.note(locale)


@strawberry.type
class PersonalityMutation:
    @strawberry.mutation(
        description="Scores a quiz and adds it to the history. The personality is the combination of all quizzes, each "
        "weighted by its precision and quality."
    )
    @outcome(SubmitQuizPayload, stores=Stores(row=4000))
    async def submit_quiz(self, info: Info, input: SubmitQuizInput) -> SubmitQuizPayload:
        taken = await personality.submit(
            info.context.session,
            version=input.version,
            answers=[(answer.question_id, answer.value) for answer in input.answers],
            seconds=input.completion_time_seconds,
            trigger=cast(str, input.trigger.value),
            idempotency_key=input.idempotency_key,
        )
        return SubmitQuizPayload(
            taken=taken,
            personality=load_own(info, PersonalityProfile),
            assessment=load(info, Assessment, taken.assessment),
        )
