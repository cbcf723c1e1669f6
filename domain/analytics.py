"""Figures by group: what they count, by which dimensions, and how sure a rate is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from domain.ledger import booking

# In the order of private.rollups.events.
FUNNEL = ("landing", "view", "impression", "swipe", "like", "click", "redirect", "order", "approved", "paid")
PERFORMANCE = ("shown", "swiped", "liked", "clicked", "bought")
FIGURES = ("expected", "tracked", *booking.FIGURES)
FUNNEL_DIMENSIONS = ("source", "device", "campaign", "network", "retailer", "category")
CLICK_DIMENSIONS = frozenset({"source", "device", "campaign"})  # of an order, known by the click behind it
PERFORMANCE_DIMENSIONS = ("context", "model", "arm")
MAX_FUNNEL_DIMENSIONS = 2  # rollups have each pair
NORMAL_95 = 1.959963984540054


def grouping_of(wanted: Sequence[str], known: Sequence[str]) -> str:
    """The name of a grouping in private.rollups: the dimensions in their order. A shop's network goes with it."""
    chosen = {*wanted, "network"} if "retailer" in wanted else set(wanted)
    return ",".join(name for name in known if name in chosen)


def count_dimensions(wanted: Sequence[str]) -> int:
    """How many dimensions a grouping has beside the day; a shop and its network are one."""
    return len({"retailer" if name == "network" and "retailer" in wanted else name for name in wanted} - {"day"})


@dataclass(frozen=True, slots=True)
class Rate:
    """`low` and `high` are the bounds of the 95 % interval."""

    value: float
    low: float
    high: float


def rate(hits: int, of: int) -> Rate | None:
    """A share with its score interval (Wilson 1927, "Probable Inference, the Law of Succession, and Statistical
    Inference"), which takes the trials as independent; None of nothing."""
    if of <= 0:
        return None
    value = hits / of
    z2 = NORMAL_95**2
    center = (value + z2 / (2 * of)) / (1 + z2 / of)
    half = NORMAL_95 * math.sqrt(value * (1 - value) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Rate(value, max(0.0, center - half), min(1.0, center + half))
