"""The weight of a person's signals for others: in popularity, and in everything learned from all swipes.

Sessions and unverified e-mails cost nothing, so signals are weighted. Two things bound their weight:

    ripeness = clamp((days since the person came - 3) / 4, 0, 1)

and the capacity of a household, its site and its provider's range for signals of one product. Votes flow up a tree of
networks with capacities, and a network with more votes than its capacity scales all of them down equally:

    w1 = ripeness * min(1, 1 / sum of ripeness in the household)
    w2 = w1       * min(1, 2 / sum of w1 in the site)
    w3 = w2       * min(1, 8 / sum of w2 in the range)

This is vote collection through links of bounded capacity (Tran, Min, Li and Subramanian, "Sybil-resilient online
content voting", NSDI 2009), with networks in place of a social graph. The order matters: a crowded household does not
reduce the weight of its neighbours. Accounts with a verified e-mail are counted separately, with four times the
capacities.

private.trusted_signals (sql/functions/product_signals.sql) is the same in SQL; a test compares the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

YOUNG_DAYS, RIPE_DAYS = 3, 7
CAPACITIES = (1, 2, 8)
"""Capacities of a household, a site and a provider's range: how many people's signals of one product count in full."""
VERIFIED_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's vote on a product. `networks`: the household, the site, the range."""

    ripeness: float
    is_verified: bool
    networks: tuple[str, str, str]


def ripeness(days: float) -> float:
    """The ripeness, 0..1, of a person who came so many days ago."""
    return max(0.0, min(1.0, (days - YOUNG_DAYS) / (RIPE_DAYS - YOUNG_DAYS)))


def weights(votes: Sequence[Vote]) -> list[float]:
    """The weight, 0..1, of each vote; `votes` are all votes on one product."""
    found = [vote.ripeness for vote in votes]
    for level, capacity in enumerate(CAPACITIES):
        totals: defaultdict[tuple[bool, str], float] = defaultdict(float)
        for vote, weight in zip(votes, found, strict=True):
            totals[vote.is_verified, vote.networks[level]] += weight
        for index, vote in enumerate(votes):
            total = totals[vote.is_verified, vote.networks[level]]
            maximum = capacity * (VERIFIED_FACTOR if vote.is_verified else 1)
            found[index] *= min(1.0, maximum / total) if total else 1.0
    return found
