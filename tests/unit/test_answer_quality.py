"""Which answers look read."""

from __future__ import annotations

from domain.answer_quality import assess
from tests.instruments import EXAMPLE

ITEMS = EXAMPLE.items
CALM = 60


def answered(values: dict[bool, int]) -> dict[str, int]:
    return {item.code: values[item.is_reversed] for item in ITEMS}


#: somebody with strong likes and dislikes who agrees with themselves
CLEAR = {
    item.code: (5 if item.trait in ("social", "creative") else 2) if not item.is_reversed
    else (1 if item.trait in ("social", "creative") else 4)
    for item in ITEMS
}  # fmt: skip


def test_clear_calm_answers_have_full_quality() -> None:
    quality = assess(EXAMPLE, CLEAR, CALM)
    assert (quality.value, quality.pace, quality.variety, quality.consistency, quality.completeness) == (1, 1, 1, 1, 1)
    assert assess(EXAMPLE, CLEAR, None).pace == 1


def test_the_pace_counts_seconds_an_answer() -> None:
    assert assess(EXAMPLE, CLEAR, 12).pace == 0
    assert assess(EXAMPLE, CLEAR, 26).pace == 0.5
    assert assess(EXAMPLE, CLEAR, 40).pace == 1


def test_one_answer_throughout_has_no_variety() -> None:
    for value in range(1, 6):
        assert assess(EXAMPLE, dict.fromkeys(CLEAR, value), CALM).variety == 0
    mostly = {**dict.fromkeys(CLEAR, 4), **dict.fromkeys(list(CLEAR)[::5], 2)}
    assert 0 < assess(EXAMPLE, mostly, CALM).variety < 1


def test_a_long_run_lowers_variety_although_no_answer_dominates() -> None:
    run = {item.code: 4 if position < 12 else 1 + position % 3 for position, item in enumerate(ITEMS)}
    assert 0 < assess(EXAMPLE, run, CALM).variety < 1


def test_agreeing_to_both_of_two_opposites_is_inconsistent() -> None:
    assert assess(EXAMPLE, answered({False: 5, True: 5}), CALM).consistency == 0
    assert assess(EXAMPLE, answered({False: 5, True: 1}), CALM).consistency == 1
    assert assess(EXAMPLE, answered({False: 3, True: 3}), CALM).consistency == 1


def test_answers_at_random_are_less_consistent_than_clear_ones() -> None:
    at_random = [1, 5, 2, 5, 3, 1, 1, 4, 5, 5, 4, 2, 5, 1, 1, 3, 5, 5, 2, 1]
    given = {item.code: value for item, value in zip(ITEMS, at_random, strict=True)}
    assert assess(EXAMPLE, given, CALM).consistency < 0.5


def test_missing_answers_count_unless_the_short_form_is_complete() -> None:
    assert assess(EXAMPLE, {code: CLEAR[code] for code in list(CLEAR)[5:]}, CALM).completeness == 0.75
    assert assess(EXAMPLE, {code: CLEAR[code] for code in EXAMPLE.short_form}, CALM).completeness == 1


def test_no_answers_have_no_quality() -> None:
    assert assess(EXAMPLE, {}, None).value == 0


def test_contradictions_show_in_the_short_form_too() -> None:
    short = {item.code: 5 if item.trait != "social" else 1 for item in ITEMS if item.is_short}
    assert assess(EXAMPLE, short, CALM).consistency < 0.2
