"""Scoring quizzes: bounds, keys, errors, types, and combining measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid, Stale
from domain.instruments import Instrument, Item
from domain.personality import (
    BALANCED,
    MIN_VARIANCE,
    PRIOR_VARIANCE,
    TRAITS,
    Measurement,
    Score,
    check,
    combine,
    feature_vector,
    next_item,
    score,
    segment,
    trend,
    types,
)
from tests.instruments import EXAMPLE

CODES = [item.code for item in EXAMPLE.items]
SHORT = sorted(EXAMPLE.short_form)
START = datetime(2026, 1, 1, tzinfo=UTC)

values = st.integers(1, 5)
full_answers = st.fixed_dictionaries(dict.fromkeys(CODES, values))
some_answers = st.dictionaries(st.sampled_from(CODES), values, min_size=1)
seconds = st.none() | st.integers(0, 10**6)
percentiles = st.floats(0, 100)
scores_of_five = st.fixed_dictionaries(
    {trait: st.builds(Score, percentiles, st.just(8.0), st.floats(MIN_VARIANCE, 400)) for trait in TRAITS}
)
measurements = st.builds(
    Measurement,
    at=st.integers(0, 3000).map(lambda days: START + timedelta(days=days)),
    scores=scores_of_five,
    quality=st.floats(0, 1),
    confidence=st.floats(0, 1),
)


def agreeing(*traits: str) -> dict[str, int]:
    """Answers that agree with everything of these traits and are neutral on the others."""
    return {q.code: 3 if q.trait not in traits else (1 if q.is_reversed else 5) for q in EXAMPLE.items}


def points(answers: dict[str, int], instrument: Instrument = EXAMPLE) -> dict[str, float]:
    return {trait: s.percentile for trait, s in score(instrument, answers, None).scores.items()}


@given(some_answers, seconds)
def test_everything_is_bounded(answers: dict[str, int], took: int | None) -> None:
    result = score(EXAMPLE, answers, took)
    assert set(result.scores) == {item.trait for item in EXAMPLE.items if item.code in answers}
    for s in result.scores.values():
        assert 0 <= s.percentile <= 100
        assert 0 < s.standard_error <= 50
        assert MIN_VARIANCE <= s.variance <= 5000
    assert 0 <= result.quality.value <= 1
    assert 0 <= result.confidence <= result.quality.value


def test_the_median_person_scores_50() -> None:
    assert points(dict.fromkeys(CODES, 3)) == dict.fromkeys(TRAITS, 50)
    assert points(dict.fromkeys(SHORT, 3)) == dict.fromkeys(TRAITS, 50)
    assert points(dict.fromkeys(CODES[:15], 3)) == dict.fromkeys(TRAITS, 50)


@given(some_answers, st.sampled_from(EXAMPLE.items))
def test_agreeing_more_never_moves_a_trait_the_wrong_way(answers: dict[str, int], item: Item) -> None:
    low, high = (points({**answers, item.code: value})[item.trait] for value in (2, 4))
    assert high < low if item.is_reversed else high > low


@given(full_answers)
def test_the_order_of_answers_is_irrelevant(answers: dict[str, int]) -> None:
    assert score(EXAMPLE, dict(reversed(answers.items())), 60) == score(EXAMPLE, answers, 60)


@given(some_answers)
def test_the_opposite_answers_give_the_opposite_scores(answers: dict[str, int]) -> None:
    before, after = points(answers), points({code: 6 - value for code, value in answers.items()})
    assert after == pytest.approx({trait: 100 - p for trait, p in before.items()}, abs=0.011)


@given(some_answers, st.sampled_from(range(len(CODES))))
def test_a_reversed_key_is_the_reversed_answer(answers: dict[str, int], position: int) -> None:
    items = list(EXAMPLE.items)
    code = items[position].code
    items[position] = replace(items[position], is_reversed=not items[position].is_reversed)
    answered = {**answers, code: 6 - answers[code]} if code in answers else answers
    assert points(answered, replace(EXAMPLE, items=tuple(items))) == points(answers)


@given(full_answers, full_answers, st.sampled_from(TRAITS))
def test_a_trait_does_not_feel_the_answers_to_the_others(
    answers: dict[str, int], others: dict[str, int], trait: str
) -> None:
    mixed = {q.code: (answers if q.trait == trait else others)[q.code] for q in EXAMPLE.items}
    assert points(mixed)[trait] == points(answers)[trait]


@pytest.mark.parametrize("value", [0, 6, -1, float("nan"), float("inf"), None, True, "5", 3.0, 10**30])
def test_what_is_no_answer_never_scores(value: object) -> None:
    answers: dict[str, object] = {**agreeing("social"), "adv-1": value, "unknown-1": 5}
    without = {code: v for code, v in answers.items() if code not in ("adv-1", "unknown-1")}
    assert score(EXAMPLE, answers, None) == score(EXAMPLE, without, None)  # type: ignore[arg-type]


def test_the_short_form_reads_its_own_norms() -> None:
    short = points(dict.fromkeys(SHORT, 4))
    reference = EXAMPLE.norms["social"].short
    assert reference is not None
    assert short["social"] == pytest.approx(dict(reference.percentiles)[4.0], abs=0.01)


def test_fewer_items_are_not_more_accurate() -> None:
    whole = dict.fromkeys(CODES, 3)
    part = {code: 3 for code in CODES if code not in ("adv-2", "soc-3")}
    full, partial = score(EXAMPLE, whole, None).scores, score(EXAMPLE, part, None).scores
    assert partial["adventurous"].variance > full["adventurous"].variance
    assert partial["adventurous"].standard_error >= full["adventurous"].standard_error
    assert partial["creative"] == full["creative"]


def test_twenty_equal_answers_in_three_seconds_say_nothing() -> None:
    for value in range(1, 6):
        assert score(EXAMPLE, dict.fromkeys(CODES, value), 3).confidence < 0.2


@given(full_answers, st.integers(0, 200), st.integers(0, 200))
def test_haste_never_raises_confidence(answers: dict[str, int], took: int, less: int) -> None:
    hasty, calm = (score(EXAMPLE, answers, s) for s in sorted((took, less)))
    assert hasty.quality.value <= calm.quality.value
    assert hasty.confidence <= calm.confidence


@given(some_answers, some_answers, seconds)
def test_worse_quality_never_raises_confidence(a: dict[str, int], b: dict[str, int], took: int | None) -> None:
    """Of two quizzes that answer the same questions, the better one has the higher confidence."""
    b = {code: b.get(code, 6 - value) for code, value in a.items()}
    worse, better = sorted((score(EXAMPLE, x, took) for x in (a, b)), key=lambda result: result.quality.value)
    assert worse.confidence <= better.confidence


def test_more_answers_give_more_confidence() -> None:
    answers = agreeing("social", "adventurous")
    fewer = {code: v for code, v in answers.items() if code not in ("cre-3", "pra-4")}
    assert score(EXAMPLE, fewer, None).confidence < score(EXAMPLE, answers, None).confidence


@given(scores_of_five)
def test_the_primary_type_is_the_highest_and_the_secondary_are_within_the_error(scores: dict[str, Score]) -> None:
    primary, secondary = types(scores)
    if primary == BALANCED:
        assert secondary == ()
        return
    best = scores[primary]
    assert best.percentile == max(s.percentile for s in scores.values())
    assert primary not in secondary
    assert len(secondary) <= 2
    for trait in secondary:
        assert (best.percentile - scores[trait].percentile) ** 2 <= best.variance + scores[trait].variance + 1e-9


def scores(*percentiles: float, variance: float = 100) -> dict[str, Score]:
    return {t: Score(p, 8.0, variance) for t, p in zip(TRAITS, percentiles, strict=True)}


def test_close_traits_are_both_named_and_a_flat_profile_is_balanced() -> None:
    assert types(scores(90, 50, 80, 40, 20)) == ("adventurous", ("practical",))
    assert types(scores(90, 50, 75, 40, 20)) == ("adventurous", ())
    assert types(scores(90, 88, 87, 86, 0)) == ("adventurous", ("intellectual", "practical"))
    assert types(scores(55, 50, 60, 45, 52)) == (BALANCED, ())
    assert types(scores(55, 50, 60, 45, 52, variance=16)) == ("practical", ("adventurous",))
    assert types({}) == (BALANCED, ())


def test_types_do_not_depend_on_the_order_of_the_scores() -> None:
    tied = scores(90, 90, 10, 10, 10)
    assert types(dict(reversed(tied.items()))) == types(tied) == ("adventurous", ("intellectual",))


def test_segments_and_features_follow_the_scores() -> None:
    assert segment(scores(80, 10, 90, 40, 20)) == "adventurous+practical"
    assert segment(scores(10, 10, 90, 40, 20)) == "practical"
    assert segment(scores(50, 50, 50, 50, 50)) == BALANCED
    features = feature_vector(scores(100, 50, 0, 75, 25))
    shrunk = PRIOR_VARIANCE / (PRIOR_VARIANCE + 100)
    assert list(features.values()) == pytest.approx([shrunk, 0, -shrunk, shrunk / 2, -shrunk / 2], abs=1e-4)


def measured(*percentiles: float, quality: float = 1.0, days: int = 0, confidence: float = 0.8) -> Measurement:
    return Measurement(START + timedelta(days=days), scores(*percentiles), quality, confidence)


def test_one_good_measurement_is_the_profile() -> None:
    one = measured(90, 50, 80, 40, 20)
    combined = combine([one])
    assert combined.scores == one.scores
    assert (combined.primary, combined.secondary, combined.confidence) == ("adventurous", ("practical",), 0.8)


@given(st.lists(measurements, min_size=1, max_size=5), st.randoms())
def test_a_combination_lies_between_its_parts_in_any_order(parts: list[Measurement], random: Random) -> None:
    combined = combine(parts)
    for trait, s in combined.scores.items():
        given_points = [m.scores[trait].percentile for m in parts]
        assert min(given_points) - 0.01 <= s.percentile <= max(given_points) + 0.01
        assert s.variance <= round(PRIOR_VARIANCE, 2)
    assert 0 <= combined.confidence < 1
    random.shuffle(parts)
    again = combine(parts)
    for trait, s in again.scores.items():
        assert s.percentile == pytest.approx(combined.scores[trait].percentile, abs=0.011)


def test_a_hasty_retake_barely_moves_a_good_profile() -> None:
    good, hasty = measured(90, 50, 80, 40, 20), measured(10, 50, 20, 60, 80, quality=0.1, days=30, confidence=0.08)
    combined = combine([good, hasty])
    assert combined.scores["adventurous"].percentile == pytest.approx(90, abs=1.5)
    assert combined.primary == "adventurous"
    assert combined.confidence >= combine([good]).confidence


def test_an_equal_retake_counts_as_much_and_an_old_quiz_counts_less() -> None:
    first, second = measured(80, 50, 50, 50, 50), measured(60, 50, 50, 50, 50)
    both = combine([first, second]).scores["adventurous"]
    assert both.percentile == 70
    assert both.variance == 50
    assert both.standard_error == pytest.approx(8 / 2**0.5, abs=0.01)
    late = combine([first, measured(60, 50, 50, 50, 50, days=1461)]).scores["adventurous"]  # 4 years: variance 300
    assert late.percentile == 65


@given(st.lists(measurements, min_size=1, max_size=4), st.floats(0, 1))
def test_worse_quality_never_narrows_a_profile(parts: list[Measurement], worse: float) -> None:
    lowered = [replace(parts[0], quality=min(worse, parts[0].quality)), *parts[1:]]
    for trait, s in combine(lowered).scores.items():
        assert s.variance >= combine(parts).scores[trait].variance - 0.01


@pytest.mark.parametrize(
    "bad", [Score(float("nan"), 8.0, 100.0), Score(50.0, 8.0, float("nan")), Score(50.0, 8.0, 0.0)]
)
def test_a_score_that_is_no_number_is_left_out(bad: Score) -> None:
    good = measured(90, 50, 80, 40, 20)
    broken = replace(good, scores={**good.scores, "adventurous": bad}, at=START + timedelta(days=1))
    assert combine([good, broken]).scores["adventurous"].percentile == 90
    assert "adventurous" not in combine([broken]).scores
    assert types(broken.scores)[0] == "practical"
    assert "adventurous" not in feature_vector(broken.scores)
    assert "adventurous" in trend([good, replace(good, at=broken.at), broken])


def test_a_trend_is_the_fitted_change_with_its_error() -> None:
    change = trend([measured(40, 50, 50, 50, 50), measured(60, 50, 50, 50, 50, days=100)])["adventurous"]
    assert (change.change, change.standard_error) == (20, round(200**0.5, 2))
    steady = trend([measured(40 + d / 10, 50, 50, 50, 50, days=d) for d in (0, 100, 200)])["adventurous"]
    assert steady.change == 20
    assert trend([measured(40, 50, 50, 50, 50)]) == {}
    assert trend([measured(40, 50, 50, 50, 50), measured(60, 50, 50, 50, 50)]) == {}


@given(full_answers)
def test_the_next_item_is_new_until_all_are_answered(answers: dict[str, int]) -> None:
    given_so_far: dict[str, int] = {}
    order = []
    while (item := next_item(EXAMPLE, given_so_far)) is not None:
        order.append(item)
        given_so_far[item.code] = answers[item.code]
    assert sorted(item.code for item in order) == sorted(CODES)
    assert {item.trait for item in order[: len(TRAITS)]} == set(TRAITS)


@given(full_answers, seconds)
def test_answers_that_can_be_scored_pass_the_check(answers: dict[str, int], took: int | None) -> None:
    assert check(EXAMPLE, "1.0", list(answers.items()), took) == answers


ENOUGH = [(code, 3) for code in CODES]


def test_another_version_is_stale() -> None:
    with pytest.raises(Stale, match=r"version 1\.0 is current") as refused:
        check(EXAMPLE, "0.9", ENOUGH, None)
    assert refused.value.field == ("version",)


def test_the_short_form_is_accepted_and_so_is_the_short_form_with_more() -> None:
    short = [(code, 4) for code in SHORT]
    assert len(short) == 8
    assert check(EXAMPLE, "1.0", short, 20) == dict(short)
    assert check(EXAMPLE, "1.0", [*short, ("adv-3", 2)], 20) == {**dict(short), "adv-3": 2}


@pytest.mark.parametrize(
    ("why", "answers", "took", "field"),
    [
        ("negative", ENOUGH, -1, ("completionTimeSeconds",)),
        ("no such question", [*ENOUGH, ("zzz-1", 3)], None, ("answers", "20", "questionId")),
        ("answered twice", [*ENOUGH, ("adv-1", 4)], None, ("answers", "20", "questionId")),
        ("from 1 to 5", [("adv-1", 0), *ENOUGH[1:]], None, ("answers", "0", "value")),
        ("from 1 to 5", [*ENOUGH[:-1], ("soc-4", 6)], None, ("answers", "19", "value")),
        ("from 1 to 5", [*ENOUGH[:-1], ("soc-4", True)], None, ("answers", "19", "value")),
        ("10 questions or more", [], None, ("answers",)),
        ("10 questions or more", [(code, 3) for code in SHORT[:-1]], None, ("answers",)),
        ("social 2", [a for a in ENOUGH if a[0] not in ("soc-1", "soc-2", "soc-3")], None, ("answers",)),
    ],
)
def test_what_cannot_be_scored_is_refused_where_it_stands(
    why: str, answers: list[tuple[str, int]], took: int | None, field: tuple[str, ...]
) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        check(EXAMPLE, "1.0", answers, took)
    assert refused.value.field == field
