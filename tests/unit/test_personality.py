"""Scoring the quiz: bounds, reversed items, independence of the traits, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid, Stale
from domain.personality import HIGHEST, LOWEST, MIN_PER_TRAIT, TRAITS, Question, Quiz, check, score

PER_TRAIT = 4
QUESTIONS = [
    Question(f"{trait[:3]}-{number}", trait, is_reversed=number in (2, 4), text="...")
    for number in range(1, PER_TRAIT + 1)
    for trait in TRAITS
]
QUIZ = Quiz("1.0", "en", 10, QUESTIONS, [(value, str(value)) for value in range(LOWEST, HIGHEST + 1)])
CODES = [question.code for question in QUESTIONS]

values = st.integers(LOWEST, HIGHEST)
full_answers = st.fixed_dictionaries(dict.fromkeys(CODES, values))
some_questions = st.tuples(
    *(st.sets(st.integers(1, PER_TRAIT), min_size=MIN_PER_TRAIT) for _ in TRAITS),
).map(lambda sets: [f"{trait[:3]}-{n}" for trait, numbers in zip(TRAITS, sets, strict=True) for n in sorted(numbers)])
partial_answers = some_questions.flatmap(lambda codes: st.fixed_dictionaries(dict.fromkeys(codes, values)))
seconds = st.none() | st.integers(0, 10**9)


def agreeing(trait: str) -> dict[str, int]:
    """Answers that agree with everything of one trait and are neutral on the others."""
    return {
        q.code: 3 if q.trait != trait else (LOWEST if q.is_reversed else HIGHEST)  # 3: somewhere between
        for q in QUESTIONS
    }


@given(partial_answers, seconds)
def test_every_score_is_between_0_and_100(answers: dict[str, int], took: int | None) -> None:
    result = score(QUIZ, answers, took)
    assert set(result.scores) == set(TRAITS)
    assert all(0 <= value <= 100 for value in result.scores.values())


@given(partial_answers, seconds)
def test_quality_and_confidence_are_between_0_and_1(answers: dict[str, int], took: int | None) -> None:
    result = score(QUIZ, answers, took)
    assert 0 <= result.quality <= 1
    assert 0 <= result.confidence <= 1


@given(some_questions, seconds)
def test_neutral_answers_score_50_throughout(codes: list[str], took: int | None) -> None:
    assert score(QUIZ, dict.fromkeys(codes, 3), took).scores == dict.fromkeys(TRAITS, 50)


@pytest.mark.parametrize("trait", TRAITS)
def test_full_agreement_scores_100_on_its_trait_alone(trait: str) -> None:
    result = score(QUIZ, agreeing(trait), 100)
    assert result.scores == {**dict.fromkeys(TRAITS, 50), trait: 100}
    assert result.primary == trait


@given(full_answers)
def test_the_opposite_answers_give_the_opposite_scores(answers: dict[str, int]) -> None:
    opposite = {code: LOWEST + HIGHEST - value for code, value in answers.items()}
    before, after = score(QUIZ, answers, None).scores, score(QUIZ, opposite, None).scores
    assert {t: after[t] for t in TRAITS} == pytest.approx({t: 100 - before[t] for t in TRAITS})


@given(full_answers, st.sampled_from(QUESTIONS))
def test_agreeing_more_moves_a_trait_up_unless_the_question_is_reversed(
    answers: dict[str, int], question: Question
) -> None:
    low = score(QUIZ, {**answers, question.code: LOWEST}, None).scores[question.trait]
    high = score(QUIZ, {**answers, question.code: HIGHEST}, None).scores[question.trait]
    assert high - low == pytest.approx(-25 if question.is_reversed else 25)


@given(full_answers, full_answers, st.sampled_from(TRAITS))
def test_a_trait_does_not_feel_the_answers_to_the_others(
    answers: dict[str, int], others: dict[str, int], trait: str
) -> None:
    mixed = {q.code: (answers if q.trait == trait else others)[q.code] for q in QUESTIONS}
    assert score(QUIZ, mixed, None).scores[trait] == score(QUIZ, answers, None).scores[trait]


@given(full_answers)
def test_the_primary_trait_is_the_highest_and_none_of_the_secondary(answers: dict[str, int]) -> None:
    result = score(QUIZ, answers, None)
    assert result.scores[result.primary] == max(result.scores.values())
    assert result.primary not in result.secondary
    assert all(60 <= result.scores[t] <= result.scores[result.primary] for t in result.secondary)


def test_the_same_answer_everywhere_looks_unread() -> None:
    varied = {code: 1 + i % 5 for i, code in enumerate(CODES)}
    assert score(QUIZ, dict.fromkeys(CODES, 5), 60).quality < score(QUIZ, varied, 60).quality


def test_answers_given_in_no_time_look_unread() -> None:
    varied = {code: 1 + i % 5 for i, code in enumerate(CODES)}
    assert score(QUIZ, varied, 0).quality < score(QUIZ, varied, 10).quality < score(QUIZ, varied, 60).quality


def test_answers_that_contradict_each_other_give_less_confidence() -> None:
    contradicting = dict.fromkeys(CODES, HIGHEST)  # agrees with each statement and with its opposite
    agreeing_with_itself = {q.code: LOWEST if q.is_reversed else HIGHEST for q in QUESTIONS}
    assert score(QUIZ, contradicting, None).confidence < score(QUIZ, agreeing_with_itself, None).confidence


def test_more_answers_give_more_confidence() -> None:
    half = {code: 3 for code in CODES if code[-1] in "13"}
    assert score(QUIZ, half, None).confidence < score(QUIZ, dict.fromkeys(CODES, 3), None).confidence


@given(partial_answers, seconds)
def test_answers_that_can_be_scored_pass_the_check(answers: dict[str, int], took: int | None) -> None:
    assert check(QUIZ, "1.0", list(answers.items()), took) == answers


ENOUGH = [(code, 3) for code in CODES]


def test_another_version_is_stale() -> None:
    with pytest.raises(Stale, match=r"version 1\.0 is current") as refused:
        check(QUIZ, "0.9", ENOUGH, None)
    assert refused.value.field == ("version",)


@pytest.mark.parametrize(
    ("why", "answers", "took", "field"),
    [
        ("negative", ENOUGH, -1, ("completionTimeSeconds",)),
        ("no such question", [*ENOUGH, ("zzz-1", 3)], None, ("answers", "20", "questionId")),
        ("answered twice", [*ENOUGH, ("adv-1", 4)], None, ("answers", "20", "questionId")),
        ("from 1 to 5", [("adv-1", 0), *ENOUGH[1:]], None, ("answers", "0", "value")),
        ("from 1 to 5", [*ENOUGH[:-1], ("soc-4", 6)], None, ("answers", "19", "value")),
        ("10 questions or more", [], None, ("answers",)),
        ("10 questions or more", ENOUGH[:9], None, ("answers",)),
        ("2 on each trait", [a for a in ENOUGH if a[0] not in ("soc-1", "soc-2", "soc-3")], None, ("answers",)),
    ],
)
def test_what_cannot_be_scored_is_refused_where_it_stands(
    why: str, answers: list[tuple[str, int]], took: int | None, field: tuple[str, ...]
) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        check(QUIZ, "1.0", answers, took)
    assert refused.value.field == field
