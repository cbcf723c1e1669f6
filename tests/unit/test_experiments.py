"""Who is in which arm, and what an experiment says."""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.experiments import (
    MIN_EFFECTIVE_SAMPLE,
    Arm,
    Estimate,
    Experiment,
    chi_square_tail,
    off_policy,
    override_errors,
    ratio,
    sample_ratio,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
EXPERIMENT = Experiment(
    key="colour",
    surface=None,
    seed=uuid.UUID(int=7),
    allocation=1,
    starts_at=START,
    ends_at=START + timedelta(days=7),
    arms=[Arm(1, "control", 1, {}), Arm(2, "red", 1, {}), Arm(3, "blue", 2, {})],
)
PEOPLE = [uuid.UUID(int=random.Random(number).getrandbits(128)) for number in range(8000)]


def arms(experiment: Experiment) -> Counter[str | None]:
    return Counter(arm.name if (arm := experiment.arm_of(person)) else None for person in PEOPLE)


def test_people_are_in_arms_as_the_shares_say() -> None:
    found = arms(EXPERIMENT)
    assert not sample_ratio([found["control"], found["red"], found["blue"]], [1, 1, 2]).is_alarming
    assert found[None] == 0


def test_as_many_people_are_in_an_experiment_as_are_allocated_and_in_the_same_arms() -> None:
    some = replace(EXPERIMENT, allocation=0.25)
    found = arms(some)
    assert 1800 < len(PEOPLE) - found[None] < 2200
    assert not sample_ratio([found["control"], found["red"], found["blue"]], [1, 1, 2]).is_alarming
    assert all(some.arm_of(person) in (None, EXPERIMENT.arm_of(person)) for person in PEOPLE)


def test_another_seed_assigns_people_to_other_arms() -> None:
    other = replace(EXPERIMENT, seed=uuid.UUID(int=8))
    same = sum(other.arm_of(person) == EXPERIMENT.arm_of(person) for person in PEOPLE)
    assert same / len(PEOPLE) == pytest.approx(0.25**2 * 2 + 0.5**2, abs=0.03)


@given(st.uuids(), st.uuids())
def test_a_person_has_one_arm(seed: uuid.UUID, person: uuid.UUID) -> None:
    one = replace(EXPERIMENT, seed=seed)
    assert one.arm_of(person) == replace(one).arm_of(person) in one.arms


def test_an_experiment_runs_from_its_start_until_before_its_end() -> None:
    end = START + timedelta(days=7)
    moment = timedelta(microseconds=1)
    running = [EXPERIMENT.is_running(at) for at in (START - moment, START, end - moment, end)]
    assert running == [False, True, True, False]
    assert replace(EXPERIMENT, ends_at=None).is_running(end)


@pytest.mark.parametrize(
    ("overrides", "errors"),
    [
        ({}, []),
        ({"discover": {"personality": 0.2}, "half_life_days": 30}, []),
        ({"discover": {"personality": 0.9}}, ["discover.personality is 0.9; give 0 to 0.45"]),
        ({"half_life_days": 0}, ["half_life_days is 0; give 1 to 10000"]),
        ({"discover": {"charm": 1}}, ["discover.charm is no parameter; there are personality"]),
        ({"discover": 1}, ["discover is a group of parameters: give an object"]),
        ({"half_life_days": "90"}, ["half_life_days is a text; give a number"]),
        ({"half_life_days": True}, ["half_life_days is a boolean; give a number"]),
        ({"half_life_days": None}, ["half_life_days is null; give a number"]),
        ({"a": 1}, ["a is no parameter; there are discover, half_life_days"]),
    ],
)
def test_overrides_are_parameters_of_the_model(overrides: dict[str, object], errors: list[str]) -> None:
    assert override_errors(overrides, {"discover": {"personality": 0.45}, "half_life_days": 90}) == errors


@pytest.mark.parametrize(  # tables of the chi-square distribution
    ("x", "degrees", "p"),
    [(0, 1, 1), (3.841, 1, 0.05), (10.828, 1, 0.001), (5.991, 2, 0.05), (13.816, 2, 0.001), (16.919, 9, 0.05)],
)
def test_the_tail_of_the_chi_square_distribution(x: float, degrees: int, p: float) -> None:
    assert chi_square_tail(x, degrees) == pytest.approx(p, rel=2e-3)


@given(st.floats(0, 200), st.integers(1, 9))
def test_tails_are_probabilities_that_grow_with_the_degrees(x: float, degrees: int) -> None:
    assert 0 <= chi_square_tail(x, degrees) <= chi_square_tail(x, degrees + 1) + 1e-12 <= 1 + 2e-12


def test_a_ratio_of_people_that_is_off_is_alarming() -> None:
    assert not sample_ratio([5000, 5100], [1, 1]).is_alarming
    assert sample_ratio([5000, 5500], [1, 1]).is_alarming
    assert not sample_ratio([5000, 10100], [1, 2]).is_alarming
    assert sample_ratio([0, 0], [1, 1]).p == 1


def sums(rows: list[tuple[int, int]]) -> tuple[int, int, int, int, int, int]:
    products: list[Callable[[int, int], int]] = [
        lambda n, _: n,
        lambda _, y: y,
        lambda n, _: n * n,
        lambda n, y: n * y,
        lambda _, y: y * y,
    ]
    return (len(rows), *(sum(product(n, y) for n, y in rows) for product in products))  # type: ignore[return-value]


def test_an_interval_of_a_ratio_covers_it_as_often_as_it_says() -> None:
    chance = random.Random(1)
    covered = 0
    for _ in range(400):
        rows = []
        for _ in range(200):
            taste, n = chance.choice([0.05, 0.35]), chance.randint(1, 30)  # likes of a person depend on each other
            rows.append((n, sum(chance.random() < taste for _ in range(n))))
        estimate = ratio(*sums(rows))
        assert estimate is not None
        covered += estimate.low <= 0.2 <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98


def test_a_ratio_needs_people() -> None:
    assert ratio(*sums([(3, 1)])) is None
    assert ratio(*sums([(0, 0), (0, 0)])) is None


def test_the_error_of_a_difference_is_that_of_both() -> None:
    assert Estimate(0.5, 0.3).minus(Estimate(0.2, 0.4)) == Estimate(pytest.approx(0.3), 0.5)


def test_inverse_propensity_finds_what_even_choice_would_earn() -> None:
    chance = random.Random(2)
    likes, policy = [0.1, 0.2, 0.6], [0.2, 0.2, 0.6]  # the policy prefers what is liked
    w = ww = wy = wwy = 0.0
    for _ in range(20_000):
        (action,) = chance.choices(range(3), policy)
        weight, liked = 1 / policy[action], chance.random() < likes[action]
        w, ww, wy, wwy = w + weight, ww + weight**2, wy + weight * liked, wwy + weight**2 * liked
    found = off_policy(w, ww, wy, wwy)
    assert found.estimate is not None
    assert found.estimate.low < 0.3 < found.estimate.high
    assert found.estimate.error < 0.01
    assert found.effective_sample < 20_000


@given(st.lists(st.floats(0.01, 0.99), max_size=400))
def test_no_estimate_of_a_small_sample(propensities: list[float]) -> None:
    weights = [1 / p for p in propensities]
    found = off_policy(math.fsum(weights), math.fsum(w * w for w in weights), 1.0, 1.0)
    assert found.effective_sample <= len(weights) + 1e-6 < MIN_EFFECTIVE_SAMPLE
    assert found.estimate is None
