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
from domain.money import to_decimal

KIND = "adjustment"
STATE: Final = "adjusted"


def report(first: Report, amount_minor: int, at: datetime, timeline: Timeline) -> Report:
    """The report of an adjustment of the conversion that `first` is of. It keeps what of the timeline has no time, so
    that what comes later can be told from it."""
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
        facts={"undated": sorted(identity for step in _undated(timeline) for identity in step.reports)},
    )


def adjusted(timeline: Timeline, adjustments: Iterable[Report]) -> Timeline:
    """The timeline with these adjustments, each after the last step that is not later than it. What the network said
    without a time may be later or earlier than an adjustment that did not know it: that is a fault."""
    steps = list(timeline.steps)
    in_order = sorted(adjustments, key=lambda r: (_time(r), r.amount_minor, r.identity))
    for each in in_order:
        at = _time(each)
        place = max((number for number, step in enumerate(steps, 1) if step.at <= at), default=0)
        steps.insert(place, Step(at, STATE, each.amount_minor, reports=(each.identity,)))
    faults = _unknown_to(in_order[-1], timeline) if in_order else ()
    return replace(timeline, steps=tuple(steps), faults=(*timeline.faults, *faults))


def _undated(timeline: Timeline) -> list[Step]:
    return [step for step in timeline.steps if not step.is_dated]


def _unknown_to(adjustment: Report, timeline: Timeline) -> Iterable[str]:
    known = adjustment.facts.get("undated")
    if known is None:  # made before this was kept
        return
    for step in _undated(timeline):
        if not set(step.reports) <= set(known):
            amount = to_decimal(step.amount_minor, adjustment.currency)
            yield (
                f"{step.state} with {amount} {adjustment.currency} was said without a time, and the adjustment of "
                f"{_time(adjustment):%Y-%m-%d %H:%M:%S} UTC did not know it"
            )


def _time(adjustment: Report) -> datetime:
    return adjustment.stated_at or adjustment.ordered_at
