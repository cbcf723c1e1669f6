"""The order of products within a window of a feed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.windows import DIVERSITY, EXPLORED_PLACE, PLACES, WINDOW, Candidate, arrange, draw

windows = st.lists(
    st.tuples(st.integers(1, 30), st.integers(1, 6), st.floats(0, 1, width=16)), min_size=1, max_size=WINDOW
).map(
    lambda rows: [
        Candidate(number, group, category, score)
        for number, (group, category, score) in enumerate(sorted(rows, key=lambda row: -row[2]))
    ]
)


def ends(window: list[Candidate]) -> tuple[float, float]:
    return window[0].score, window[-1].score


@given(windows, st.binary(min_size=1, max_size=4) | st.none())
def test_each_product_is_shown_once_and_one_variant_of_it(window: list[Candidate], seed: bytes | None) -> None:
    places = arrange(window, *ends(window), seed=seed)
    groups = [window[place.index].group for place in places]
    assert sorted(groups) == sorted({each.group for each in window})
    for place in places:  # the variant with the best score
        group = [index for index, each in enumerate(window) if each.group == window[place.index].group]
        assert place.index == group[0]


@given(windows)
def test_without_diversity_the_order_is_that_of_the_scores(window: list[Candidate]) -> None:
    places = arrange(window, *ends(window), diversity=0.0)
    scores = [window[place.index].score for place in places]
    assert scores == sorted(scores, reverse=True)
    assert all(place.propensity is None for place in places)


def test_a_category_does_not_fill_the_first_places_when_others_are_almost_as_good() -> None:
    window = [Candidate(number, number, "a" if number < 10 else "b", 0.9 - number / 1000) for number in range(20)]
    first = Counter(window[place.index].category for place in arrange(window, *ends(window))[:10])
    assert first["b"] >= 1
    assert arrange(window, *ends(window))[0].index == 0


def test_nothing_loses_more_than_the_diversity_to_its_category() -> None:
    window = [Candidate(number, number, "a", 1.0) for number in range(49)]
    window.append(Candidate(49, 49, "b", 1.0 - DIVERSITY - 0.01))
    assert arrange(window, 1.0, 0.0)[-1].index == 49


@given(windows, st.binary(min_size=1, max_size=4))
def test_one_place_of_ten_is_explored_with_a_known_propensity(window: list[Candidate], seed: bytes) -> None:
    places = arrange(window, *ends(window), seed=seed)
    explored = [at for at, place in enumerate(places, 1) if place.propensity is not None]
    assert explored == list(range(EXPLORED_PLACE, len(places), PLACES))
    assert all(0 < (places[at - 1].propensity or 0) <= 1 for at in explored)
    assert arrange(window, *ends(window), seed=seed) == places


@pytest.mark.parametrize("weights", [[1.0], [1.0, 3.0], [0.5, 0.25, 0.25]])
def test_draws_follow_the_weights(weights: list[float]) -> None:
    count = 4000
    drawn = Counter(draw(weights, number.to_bytes(4, "big"))[0] for number in range(count))
    for index, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(drawn[index] / count - share) < 5 * (share * (1 - share) / count) ** 0.5 + 1e-9
        assert draw([0.0] * index + [weight], b"x") == (index, 1.0)
