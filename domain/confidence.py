"""The probability that a person likes a product: a logistic model on like rates and on what the trained weights say.

`aclue train` fits the model (`training/calibration.py`) and stores it; formulas and figures: docs/training.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite, log, log1p, sqrt
from typing import Any

RATE_PRIOR = 5.0  # imagined events of a person or a product
CONTRAST_PRIOR = 0.05  # a sum of weights that says nothing
RATE_BOUNDS = (1e-4, 1 - 1e-4)
CONTRAST_BOUNDS = (0.01, 0.99)
MAX_LOG_ODDS = 30.0
MEAN_RATE = 0.5  # while nothing was learned
STRAIGHT = (0.0, 1.0)  # the curve that changes nothing

FEATURES = (
    "product",
    "person",
    "product_person",
    "added",
    "taken",
    "contrast",
    "events",
    "person_events",
)
"""In the order of the weights; `features` says what each one is."""


class BadCalibration(ValueError):
    """A stored calibration cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """`weights`: of the constant and of the standardised features; `means` and `deviations`: of the features. The odds
    then go through a rising curve of straight pieces: `curve` are its value at 0 and its slope before the first knot,
    then how much steeper it is after each of the `knots`."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    curve: tuple[float, ...] = STRAIGHT
    knots: tuple[float, ...] = ()

    def bent(self, odds: float) -> float:
        """The log odds on the curve."""
        return (
            self.curve[0]
            + self.curve[1] * odds
            + sum(slope * max(odds - knot, 0.0) for slope, knot in zip(self.curve[2:], self.knots, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """`models`: one for each kind of table. `mean_rate`: the share of likes among all events."""

    models: Mapping[str, Logistic]
    mean_rate: float

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; says of each kind which feature has which weight."""
        return {
            "mean_rate": self.mean_rate,
            "features": list(FEATURES),
            "kinds": {
                kind: {
                    "weights": list(model.weights),
                    "means": list(model.means),
                    "deviations": list(model.deviations),
                    "curve": list(model.curve),
                    "knots": list(model.knots),
                }
                for kind, model in self.models.items()
            },
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Calibration:
        """Raises BadCalibration if it was fitted on other features than FEATURES, or is malformed."""
        try:
            if tuple(stored["features"]) != FEATURES:
                raise BadCalibration(f"calibration: the features are {stored['features']}, not {list(FEATURES)}")
            models = {kind: _logistic(model) for kind, model in stored["kinds"].items()}
            (mean_rate,) = _floats([stored["mean_rate"]], 1)
        except (KeyError, TypeError, AttributeError) as error:
            raise BadCalibration(f"calibration: {type(error).__name__} {error}") from None
        return cls(models, mean_rate)


def _logistic(stored: Mapping[str, Any]) -> Logistic:
    """Models that were stored before there were curves have the straight one."""
    size, knots = len(FEATURES), stored.get("knots", ())
    return Logistic(
        weights=_floats(stored["weights"], size + 1),
        means=_floats(stored["means"], size),
        deviations=_floats(stored["deviations"], size),
        curve=_floats(stored.get("curve", STRAIGHT), len(knots) + 2),
        knots=_floats(knots, len(knots)),
    )


def _floats(values: Any, size: int) -> tuple[float, ...]:
    if len(values) != size or not all(isinstance(value, (int, float)) and isfinite(value) for value in values):
        raise BadCalibration(f"calibration: {size} finite numbers are needed, not {values}")
    return tuple(float(value) for value in values)


def probability(
    calibration: Calibration | None,
    kind: str,
    *,
    product_rate: float,
    liked: float,
    disliked: float,
    added: float,
    taken: float,
) -> float:
    """Of a like, 0..1, of a person with so many likes and dislikes, by the model of this kind of table.

    `product_rate` is the smoothed share of likes of the product; `added` and `taken` are the sums of strength times
    weight to the product, of the liked and of the disliked products. Without a calibration, or a model of this kind,
    the odds of the product's and of the person's like rate are multiplied, which supposes that they are independent.
    Raises ValueError for numbers below 0 or not finite, and for a rate above 1.
    """
    for name, value in (("liked", liked), ("disliked", disliked), ("added", added), ("taken", taken)):
        if not (isfinite(value) and value >= 0):
            raise ValueError(f"{name} is a number of 0 or more, not {value}")
    if not 0 <= product_rate <= 1:
        raise ValueError(f"product_rate lies in 0..1, not {product_rate}")
    mean_rate = MEAN_RATE if calibration is None else calibration.mean_rate
    model = None if calibration is None else calibration.models.get(kind)
    found = features(mean_rate, product_rate, liked, disliked, added, taken)
    if model is None:
        return _sigmoid(found[0] + found[1] - _log_odds(mean_rate))
    odds = model.weights[0]
    for value, weight, mean, deviation in zip(found, model.weights[1:], model.means, model.deviations, strict=True):
        odds += weight * (value - mean) / (deviation if deviation > 0 else 1.0)
    return _sigmoid(model.bent(odds))


def features(
    mean_rate: float, product_rate: float, liked: float, disliked: float, added: float, taken: float
) -> tuple[float, ...]:
    """The values of FEATURES: log odds of like rates, the two sums and how they compare, and the number of events."""
    events = liked + disliked
    product = _log_odds(product_rate)
    person = _log_odds((liked + RATE_PRIOR * mean_rate) / (events + RATE_PRIOR))
    share = (added + CONTRAST_PRIOR * mean_rate) / (added + taken + CONTRAST_PRIOR)
    low, high = CONTRAST_BOUNDS
    contrast = _log_odds(min(max(share, low), high))
    count = log1p(events)
    return (
        product,
        person,
        product * person,
        sqrt(added),
        sqrt(taken),
        contrast,
        count,
        person * count,
    )


def _log_odds(share: float) -> float:
    low, high = RATE_BOUNDS
    share = min(max(share, low), high)
    return log(share / (1 - share))


def _sigmoid(odds: float) -> float:
    return 1 / (1 + exp(-min(max(odds, -MAX_LOG_ODDS), MAX_LOG_ODDS)))
