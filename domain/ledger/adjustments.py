"""Adjustments: what a person says that a conversion earns, where the network does not say it.

An adjustment is a report like others, a fact that stays. It states what the commission is from a time on, so a repeat
changes nothing, and what the network says of a later time counts again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from domain.ledger.reports import Report, identity
from domain.ledger.timelines import Step, Timeline

KIND = "adjustment"
STATE: Final = "adjusted"


def report(first: Report, amount_minor: int, at: datetime) -> Report:
    """The report of an adjustment of the conversion that `first` is of."""
    return Report(
        network=first.network,
        reference=first.reference,
        identity=identity(KIND, first.currency, amount_minor, at),
        kind=KIND,
        state=STATE,
        advertiser_id=first.advertiser_id,
        currency=first.currency,
        amount_minor=amount_minor,
        sale_minor=0,
        stated_at=at,
        ordered_at=first.ordered_at,
    )


def adjusted(timeline: Timeline, adjustments: Iterable[Report]) -> Timeline:
    """The timeline with these adjustments, each after the last step that is not later than it."""
    steps = list(timeline.steps)
    for each in sorted(adjustments, key=lambda r: (_time(r), r.amount_minor, r.identity)):
        at = _time(each)
        place = max((number for number, step in enumerate(steps, 1) if step.at <= at), default=0)
        steps.insert(place, Step(at, STATE, each.amount_minor, reports=(each.identity,)))
    return replace(timeline, steps=tuple(steps))


def _time(adjustment: Report) -> datetime:
    return adjustment.stated_at or adjustment.ordered_at
