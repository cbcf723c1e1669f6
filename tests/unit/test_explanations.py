"""Scores in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.explanations import explain
from domain.personality import TRAITS


@pytest.mark.parametrize(
    ("trait", "percentile", "error", "locale", "sentence"),
    [
        ("intellectual", 80, 9, "en", "In the top 20 % for curiosity, give or take 9."),
        ("creative", 12.4, 7.6, "en-GB", "In the lower 12 % for creativity, give or take 8."),
        ("practical", 55, 9, "en", "About average for practical sense, give or take 9."),
        ("social", 99.9, 0.2, "fr", "In the top 1 % for sociability, give or take 1."),
        ("adventurous", 80, 9, "de_AT", "Unter den oberen 20 % bei Abenteuerlust, plus/minus 9."),
        ("E", 80, 9, "de", "Unter den oberen 20 % bei E, plus/minus 9."),
    ],
)
def test_a_score_in_words(trait: str, percentile: float, error: float, locale: str, sentence: str) -> None:
    assert explain(trait, percentile, error, locale) == sentence


@given(st.sampled_from(TRAITS), st.floats(0, 100), st.floats(0, 50), st.sampled_from(("en", "de", "de_AT", "fr")))
def test_no_share_exceeds_half(trait: str, percentile: float, error: float, locale: str) -> None:
    numbers = [
        int(word) for word in explain(trait, percentile, error, locale).replace(".", " ").split() if word.isdigit()
    ]
    assert all(1 <= number <= 50 for number in numbers)
