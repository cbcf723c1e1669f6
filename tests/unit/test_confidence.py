"""The probability of a like is as it was fitted, in training and in SQL."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from domain.confidence import FEATURES, STRAIGHT, BadCalibration, Calibration, Logistic, probability
from training import calibration as fitting
from training.rankings import Serving, reach_of, reach_of_dislike
from training.signals import Signals
from training.slim import KINDS, Table, top

PRODUCTS = 30


def calibration(seed: int = 1) -> Calibration:
    random = np.random.default_rng(seed)
    sizes = len(FEATURES) + 1, len(FEATURES), len(FEATURES), 5, 3
    models = {kind: Logistic(*(tuple(np.abs(random.normal(size=size)).tolist()) for size in sizes)) for kind in KINDS}
    return Calibration(models, 0.7)


def stored(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(calibration().to_json())) | changes


def stored_model() -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = stored()["kinds"]
    return kinds["few"]


def ask(found: Calibration | None = None, kind: str = "few", **changes: float) -> float:
    values = {"product_rate": 0.6, "liked": 3, "disliked": 1, "added": 0.2, "taken": 0.1} | changes
    return probability(found, kind, **values)


@pytest.mark.parametrize("models", [True, False])
@given(seed=st.integers(0, 10_000), signals=st.integers(0, 25))
def test_serving_gives_what_training_fitted(models: bool, seed: int, signals: int) -> None:
    random = np.random.default_rng(seed)
    weights = sparse.random(PRODUCTS, PRODUCTS, 0.3, "csr", random_state=seed)
    tables = {kind: Table(weights, np.zeros(PRODUCTS)) for kind in KINDS}
    products = random.permutation(PRODUCTS)[:signals]
    values = random.choice([0.2, 0.8, 0.95], signals)
    ages = random.uniform(0, 400, signals)
    known = Signals(np.zeros(signals, np.int64), products, values, ages, 1, PRODUCTS)
    found = calibration(seed) if models else Calibration({}, 0.6)
    serving = Serving(dict.fromkeys(KINDS, 0.8), 1.25, 180.0)
    rates = random.uniform(0, 1, PRODUCTS)
    fitted = fitting.Calibration(found, rates, serving)
    targets = np.arange(PRODUCTS)
    expected = fitted.probabilities(tables, known, np.zeros(PRODUCTS, np.int64), targets)
    kind = "first" if signals <= 3 else "few" if signals <= 10 else "many"
    strengths = np.where(values > 0.9, 1.25, 1.0) * 0.5 ** (ages / 180)
    liked = values > 0.5
    reach = reach_of(int(liked.sum()))
    of_liked, of_disliked = (top(weights, size).toarray() for size in (reach, reach_of_dislike(reach)))
    for target in targets:
        from_signals = np.where(liked, of_liked[products, target], of_disliked[products, target]) * strengths
        served = probability(
            Calibration.from_json(json.loads(json.dumps(found.to_json()))),
            kind,
            product_rate=float(rates[target]),
            liked=int(liked.sum()),
            disliked=int((~liked).sum()),
            added=float(from_signals[liked].sum()),
            taken=float(from_signals[~liked].sum()),
        )
        assert served == pytest.approx(expected[target], abs=1e-9)


def test_without_a_model_the_odds_of_product_and_person_are_multiplied() -> None:
    assert ask(liked=0, disliked=0) == pytest.approx(0.6)
    assert ask(liked=5, disliked=0, product_rate=0.5) == pytest.approx(0.75)  # (5 + 2.5) / 10
    assert ask(liked=5, disliked=0) == pytest.approx(1 / (1 + 0.4 / 0.6 * 0.25 / 0.75))
    assert ask(Calibration({}, 0.8), liked=0, disliked=0, product_rate=0.8) == pytest.approx(0.8)


@given(
    product_rate=st.floats(0, 1),
    liked=st.integers(0, 10**6),
    disliked=st.integers(0, 10**6),
    added=st.floats(0, 1e9),
    taken=st.floats(0, 1e9),
    kind=st.sampled_from([*KINDS, "another"]),
)
def test_it_lies_in_0_to_1(kind: str, **values: float) -> None:
    assert 0 < ask(calibration(), kind, **values) < 1
    assert 0 < ask(None, kind, **values) < 1


@pytest.mark.parametrize("name", ["liked", "disliked", "added", "taken", "product_rate"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_numbers_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        ask(**{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ["product"]},
        {"features": None},
        {"kinds": {"few": {"weights": [1.0], "means": [], "deviations": []}}},
        {"kinds": {"few": {}}},
        {"kinds": []},
        {"kinds": {"few": {name: ["1"] * (8 + (name == "weights")) for name in ("weights", "means", "deviations")}}},
        {"kinds": {"few": stored_model() | {"curve": [0.0, 1.0, 0.5]}}},
        {"kinds": {"few": stored_model() | {"knots": [float("inf")], "curve": [0.0, 1.0, 0.5]}}},
        {"mean_rate": None},
        {"mean_rate": float("nan")},
    ],
)
def test_a_calibration_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadCalibration, match="calibration: "):
        Calibration.from_json(stored(**changes))
    with pytest.raises(BadCalibration):
        Calibration.from_json({})


def test_a_model_without_a_curve_is_straight() -> None:
    """As those that were stored before there were curves."""
    model = stored_model()
    del model["curve"], model["knots"]
    assert Calibration.from_json(stored(kinds={"few": model})).models["few"].bent(-1.7) == -1.7


def test_a_curve_is_fitted_where_the_odds_are_not_straight() -> None:
    """Likes that hardly get rarer below a point: the straight model has a probability that is too low there."""
    random = np.random.default_rng(1)
    raw = np.column_stack([random.normal(size=20_000), *(np.zeros(20_000) for _ in FEATURES[1:])])
    odds = np.where(raw[:, 0] < -0.5, 0.3 * (raw[:, 0] + 0.5) - 1, 2 * raw[:, 0])
    liked = (random.random(20_000) < 1 / (1 + np.exp(-odds))).astype(float)
    model = fitting._logistic(raw, liked, np.ones(20_000))
    straight = dataclasses.replace(model, curve=STRAIGHT, knots=())
    errors = [
        fitting.expected_error(fitting._probabilities(Calibration({"few": each}, 0.5), "few", raw), liked)
        for each in (model, straight)
    ]
    assert errors[0] < 0.01 < 0.02 < errors[1]
