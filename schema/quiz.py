"""The quiz."""

from __future__ import annotations

import strawberry

from domain.instruments import MAX_OPTIONS, MAX_QUESTIONS, Item
from resolvers import quiz
from schema.bounds import at_most
from schema.context import Info


@strawberry.type(description="An answer one can give.")
class QuizOption:
    value: int = strawberry.field(description="What to send.")
    label: str = strawberry.field(description="What it says.")


@strawberry.type(description="A question of the quiz.")
class QuizQuestion:
    id: strawberry.ID = strawberry.field(description="Unique within the version.")
    text: str = strawberry.field(description="What to show.")
    is_in_short_form: bool = strawberry.field(
        description="Whether it is one of the few whose answers are enough for a first personality."
    )
    options: list[QuizOption] = strawberry.field(
        description="The answers, lowest first.", metadata=at_most(MAX_OPTIONS)
    )


@strawberry.type(description="The current quiz.")
class Quiz:
    version: str = strawberry.field(description="Send it back with the answers.")
    locale: str = strawberry.field(description="The language it is worded in.")
    min_answers: int = strawberry.field(
        description="How many answers are enough if they cover each trait; those of the short form are, too."
    )
    is_provisional: bool = strawberry.field(
        description="Whether people are compared with a simulation, because too few have answered this version."
    )
    questions: list[QuizQuestion] = strawberry.field(
        description="In the order to ask them.", metadata=at_most(MAX_QUESTIONS)
    )


@strawberry.input(description="An answer.")
class QuizAnswer:
    question_id: strawberry.ID = strawberry.field(description="Which question.")
    value: int = strawberry.field(description="The value of one of its options.")


def _options(found: quiz.Quiz) -> list[QuizOption]:
    return [QuizOption(value=value, label=label) for value, label in sorted(found.texts.options.items())]


def _question(found: quiz.Quiz, item: Item, options: list[QuizOption]) -> QuizQuestion:
    return QuizQuestion(
        id=strawberry.ID(item.code), text=found.texts.items[item.code], is_in_short_form=item.is_short, options=options
    )


@strawberry.type
class QuizQuery:
    @strawberry.field(description="The current quiz, in English where it is not worded in the locale.")
    async def quiz(self, info: Info, locale: str = "en") -> Quiz:
        found = await quiz.current_quiz(info.context.session, locale)
        options = _options(found)
        return Quiz(
            version=found.instrument.version,
            locale=found.locale,
            min_answers=found.instrument.min_answers,
            is_provisional=found.instrument.is_provisional,
            questions=[_question(found, item, options) for item in found.instrument.items],
        )

    @strawberry.field(
        description="The question left that says most about somebody with these answers; null when all are answered."
    )
    async def next_question(
        self, info: Info, version: str, answers: list[QuizAnswer], locale: str = "en"
    ) -> QuizQuestion | None:
        given = [(answer.question_id, answer.value) for answer in answers]
        found = await quiz.next_question(info.context.session, version, given, locale)
        return None if found is None else _question(*found, _options(found[0]))
