"""The joint normal model: conditioning and quadrature agree with closed forms."""

from __future__ import annotations

from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.normal_models import NotPositiveDefinite, expectation, innovations, product, spread, weighted

COVARIANCE = ((2.0, 0.6, 0.3), (0.6, 1.0, 0.2), (0.3, 0.2, 1.5))
MEANS = (3.0, 2.5, 3.5)


@given(st.floats(-3, 3), st.floats(0, 2))
def test_expectations_are_those_of_the_normal_distribution(mean: float, sd: float) -> None:
    assert expectation(lambda x: 1.0, mean, sd) == pytest.approx(1)
    assert expectation(lambda x: x**2, mean, sd) == pytest.approx(mean**2 + sd**2)
    assert expectation(lambda x: exp(x / 2), mean, sd) == pytest.approx(exp(mean / 2 + sd**2 / 8))
    assert spread(lambda x: 3 * x, mean, sd) == pytest.approx(9 * sd**2)


def test_conditioning_on_one_item_is_regression() -> None:
    known = innovations(MEANS, COVARIANCE, {0: 5.0})
    assert known.means == pytest.approx((5, 2.5 + 0.3 * 2, 3.5 + 0.15 * 2))
    assert known.covariance[1][1] == pytest.approx(1 - 0.6**2 / 2)
    assert known.distance == pytest.approx(2)


@given(st.permutations(range(3)), st.tuples(*[st.floats(1, 5)] * 3))
def test_the_distance_does_not_depend_on_the_order_of_the_items(order: list[int], values: tuple[float, ...]) -> None:
    permuted = innovations(
        [MEANS[i] for i in order], [[COVARIANCE[i][j] for j in order] for i in order],
        {place: values[i] for place, i in enumerate(order)},
    )  # fmt: skip
    assert permuted.distance == pytest.approx(innovations(MEANS, COVARIANCE, dict(enumerate(values))).distance)


def test_linear_combinations() -> None:
    assert weighted([1, 3, 4], [0, 1]) == [0.25, 0.75, 0]
    assert sqrt(product([1, 1, 0], COVARIANCE, [1, 1, 0])) == pytest.approx(sqrt(2 + 1 + 2 * 0.6))


def test_a_redundant_item_is_refused() -> None:
    with pytest.raises(NotPositiveDefinite):
        innovations((3.0, 3.0), ((1.0, 1.0), (1.0, 1.0)), {0: 1.0, 1: 2.0})
