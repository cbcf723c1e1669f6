"""The quiz and the personality."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.rows import Order
from db.sources import Reference
from domain.personality import MAX_OPTIONS, MAX_QUESTIONS, TRAITS
from resolvers import personality
from schema.bounds import at_most
from schema.connection import Connection, connect, paged
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import RowNode, column, load, load_own, row
from schema.scalars import from_jsonb


@strawberry.enum(description="The five traits.")
class Trait(Enum):
    ADVENTUROUS = strawberry.enum_value("adventurous", description="Seeks novelty, the outdoors and thrills.")
    INTELLECTUAL = strawberry.enum_value("intellectual", description="Enjoys ideas, books and puzzles.")
    PRACTICAL = strawberry.enum_value("practical", description="Likes useful things that work.")
    CREATIVE = strawberry.enum_value("creative", description="Makes things; enjoys art and music.")
    SOCIAL = strawberry.enum_value("social", description="Thrives among people.")


@strawberry.enum(description="Why an assessment was taken.")
class AssessmentTrigger(Enum):
    INITIAL = strawberry.enum_value("initial", description="The first one.")
    PERIODIC = strawberry.enum_value("periodic", description="Taken again after a while.")
    BEHAVIOR_CHANGE = strawberry.enum_value("behavior_change", description="The swipes changed.")


@strawberry.enum(description="What a personality was derived from.")
class AssessmentMethod(Enum):
    QUIZ = strawberry.enum_value("quiz", description="Answers alone.")
    BEHAVIOR = strawberry.enum_value("behavior", description="Swipes alone.")
    HYBRID = strawberry.enum_value("hybrid", description="Both.")


@strawberry.type(description="A possible answer.")
class QuizOption:
    value: int = strawberry.field(description="The value to send.")
    label: str = strawberry.field(description="The text to show.")


@strawberry.type(description="A question of the quiz.")
class QuizQuestion:
    id: strawberry.ID = strawberry.field(description="Unique within the version.")
    text: str = strawberry.field(description="The text to show.")
    options: list[QuizOption] = strawberry.field(
        description="The answers, lowest first.", metadata=at_most(MAX_OPTIONS)
    )


@strawberry.type(description="The current quiz.")
class Quiz:
    version: str = strawberry.field(description="Send it back with the answers.")
    locale: str = strawberry.field(description="The language of its texts.")
    questions: list[QuizQuestion] = strawberry.field(
        description="In the order in which to ask them.", metadata=at_most(MAX_QUESTIONS)
    )


@strawberry.type(description="A score of a trait.")
class TraitScore:
    trait: Trait = strawberry.field(description="The trait.")
    score: float = strawberry.field(description="0 to 100; 50 is neutral.")
    standard_error: float | None = strawberry.field(
        default=None, description="In points of the score; null while the quiz is not calibrated."
    )


def _scores(jsonb: str) -> list[TraitScore]:
    """What is no score is left out: one malformed row does not hide the others."""
    stored = from_jsonb(jsonb)
    scores = {trait: stored.get(trait) for trait in TRAITS} if isinstance(stored, dict) else {}
    return [
        TraitScore(trait=Trait(trait), score=float(score))
        for trait, score in scores.items()
        if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) <= sys.float_info.max
    ]


def _traits(names: list[str | None]) -> list[Trait]:
    return [Trait(name) for name in names if name in TRAITS]


@row(
    "public.personality_assessment_history",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.assessment_timestamp", "timestamptz", descending=True)},
)
@strawberry.type(description="A quiz that was taken, or a change caused by swipes.")
class Assessment(RowNode):
    method: AssessmentMethod = column("What it was derived from.", "assessment_method", read=AssessmentMethod)
    primary_type: Trait = column("The strongest trait.", read=Trait)
    scores: list[TraitScore] = column(
        "All five traits.", "personality_scores", read=_scores, is_jsonb=True, limit=len(TRAITS)
    )
    trigger: AssessmentTrigger = column("Why it was taken.", "assessment_trigger", read=AssessmentTrigger)
    questions_answered: int = column("How many questions were answered; 0 for a change caused by swipes.")
    completion_time_seconds: int | None = column("How long it took, in seconds.")
    quality: float | None = column(
        "How carefully the quiz seems to have been answered, 0 to 1.", "assessment_quality_score"
    )
    taken_at: datetime = column("When.", "assessment_timestamp")


@row("public.personality_profiles", owner="user_id")
@strawberry.type(description="A person's personality, according to the quiz and the swipes.")
class PersonalityProfile(RowNode):
    primary_type: Trait = column("The strongest trait.", read=Trait)
    secondary_types: list[Trait] = column("Traits nearly as strong, strongest first.", read=_traits, limit=len(TRAITS))
    scores: list[TraitScore] = column(
        "All five traits.", "personality_scores", read=_scores, is_jsonb=True, limit=len(TRAITS)
    )
    confidence: float = column(
        "0 to 1: grows with the number of answers, and with their agreement with each other and with the swipes.",
        "confidence_level",
    )
    assessment_method: AssessmentMethod = column("What it was derived from.", read=AssessmentMethod)
    questions_answered: int = column("How many questions were answered.", "total_questions_answered")
    last_assessment_at: datetime = column("When it was last assessed.")

    @paged("The quizzes that were taken and the changes caused by swipes, newest first.", "user_id")
    @staticmethod
    def history(info: Info, first: int | None = None, after: str | None = None) -> Connection[Assessment]:
        return connect(
            info,
            Assessment.ROW,
            Assessment.ROW.orders["NEWEST"],
            first=first,
            after=after,
            parent="r.user_id = parent.key",
        )


@strawberry.type
class PersonalityQuery:
    @strawberry.field(description="The current quiz, in English if it has no texts in the locale.")
    async def quiz(self, info: Info, locale: str = "en") -> Quiz:
        found = await personality.current_quiz(info.context.session, locale)
        options = [QuizOption(value=value, label=label) for value, label in found.options]
        return Quiz(
            version=found.version,
            locale=found.locale,
            questions=[QuizQuestion(id=strawberry.ID(q.code), text=q.text, options=options) for q in found.questions],
        )


@strawberry.input(description="An answer.")
class QuizAnswer:
    question_id: strawberry.ID = strawberry.field(description="The question's id.")
    value: int = strawberry.field(description="The value of one of its options.")


@strawberry.input(description="Answers to the quiz.")
class SubmitQuizInput:
    version: str = strawberry.field(description="The version that was answered.")
    answers: list[QuizAnswer] = strawberry.field(description="At least 10, and 2 of each trait.")
    completion_time_seconds: int | None = strawberry.field(default=None, description="How long it took.")
    trigger: AssessmentTrigger = strawberry.field(default=AssessmentTrigger.INITIAL, description="Why it was taken.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="A repeat with the same key returns the first assessment."
    )


@strawberry.type(description="The outcome of submitting a quiz.")
class SubmitQuizPayload:
    personality: Reference[PersonalityProfile] | None = strawberry.field(
        graphql_type=PersonalityProfile | None, default=None, description="As it is now."
    )
    assessment: Reference[Assessment] | None = strawberry.field(
        graphql_type=Assessment | None, default=None, description="This quiz."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class PersonalityMutation:
    @strawberry.mutation(description="Scores and stores a quiz.")
    @outcome(SubmitQuizPayload, stores=Stores(row=500))
    async def submit_quiz(self, info: Info, input: SubmitQuizInput) -> SubmitQuizPayload:
        assessment = await personality.submit(
            info.context.session,
            version=input.version,
            answers=[(answer.question_id, answer.value) for answer in input.answers],
            seconds=input.completion_time_seconds,
            trigger=cast(str, input.trigger.value),
            idempotency_key=input.idempotency_key,
        )
        return SubmitQuizPayload(
            personality=load_own(info, PersonalityProfile), assessment=load(info, Assessment, assessment)
        )
