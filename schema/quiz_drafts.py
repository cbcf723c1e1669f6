"""Answers to the quiz that are saved before it is submitted."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.sources import Reference
from domain.instruments import MAX_QUESTIONS
from resolvers import quiz_drafts
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import Row, column, load_own, row
from schema.quiz import QuizAnswer
from schema.scalars import from_jsonb


@strawberry.type(description="A saved answer.")
class SavedAnswer:
    question_id: strawberry.ID = strawberry.field(description="Which question.")
    value: int = strawberry.field(description="The value of the option that was chosen.")


def _answers(jsonb: str) -> list[SavedAnswer]:
    stored = from_jsonb(jsonb)
    if not isinstance(stored, dict):
        return []
    return [
        SavedAnswer(question_id=strawberry.ID(code), value=value)
        for code, value in sorted(stored.items())[:MAX_QUESTIONS]
        if type(value) is int and abs(value) < 2**31
    ]


@row("public.quiz_drafts", owner="user_id")
@strawberry.type(description="A quiz that is being answered; gone once it is submitted.")
class QuizProgress(Row):
    version: str = column("The version that is being answered; start again if it is not the current one.")
    answers: list[SavedAnswer] = column(
        "The answers so far, by question.", read=_answers, is_jsonb=True, limit=MAX_QUESTIONS
    )
    updated_at: datetime = column("When the last answer was saved.")


@strawberry.input(description="Answers to keep until the quiz is submitted.")
class SaveQuizAnswersInput:
    version: str = strawberry.field(description="The version that is being answered.")
    answers: list[QuizAnswer] = strawberry.field(
        description="One or more; each replaces an earlier answer to its question. Others stay."
    )


@strawberry.type(description="The outcome of saving answers.")
class SaveQuizAnswersPayload:
    progress: Reference[QuizProgress] | None = strawberry.field(
        graphql_type=QuizProgress | None, default=None, description="All answers that are saved."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class QuizDraftMutation:
    @strawberry.mutation(
        description="Keeps answers, so that the quiz can be continued later or on another device. mergeSession takes "
        "them along; submitQuiz deletes them."
    )
    @outcome(SaveQuizAnswersPayload)
    async def save_quiz_answers(self, info: Info, input: SaveQuizAnswersInput) -> SaveQuizAnswersPayload:
        given = [(answer.question_id, answer.value) for answer in input.answers]
        await quiz_drafts.save(info.context.session, input.version, given)
        return SaveQuizAnswersPayload(progress=load_own(info, QuizProgress))
