"""Conversions: filters, and what explains their figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from db.queries import QUERIES, Fragment
from db.session import Session
from domain.ledger.booking import Movement, Payment, book
from domain.ledger.reports import Report
from domain.ledger.timelines import Step
from resolvers.filters import text_of, texts_of
from resolvers.finance import currency_of, month_of, require_money_reader, start_of
from services.ledger import conversion_of
from services.ledger_rows import Key, decoded, payment_of


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any. Times are of the order, `until` exclusive."""

    networks: Sequence[str] | None = None
    retailer_id: UUID | None = None
    states: Sequence[str] | None = None
    currency: str | None = None
    reference: str | None = None
    month: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_matched: bool | None = None
    is_held: bool | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """The filter as SQL conditions. Raises Unauthenticated, Forbidden or Invalid."""
    require_money_reader(session)
    found = []
    if wanted.networks is not None:
        found.append(QUERIES["conversions.of_networks"].bind(networks=texts_of(wanted.networks, "networks")))
    if wanted.retailer_id is not None:
        found.append(QUERIES["conversions.of_retailer"].bind(retailer=wanted.retailer_id))
    if wanted.states is not None:
        found.append(QUERIES["conversions.in_states"].bind(states=list(wanted.states)))
    if wanted.currency is not None:
        found.append(QUERIES["conversions.in_currency"].bind(currency=currency_of(wanted.currency)))
    if wanted.reference is not None:
        found.append(QUERIES["conversions.with_reference"].bind(reference=text_of(wanted.reference, "reference")))
    since, until = wanted.since, wanted.until
    if wanted.month is not None:
        first, after = (start_of(day) for day in month_of(wanted.month, ("filter", "month")))
        since, until = max(since or first, first), min(until or after, after)
    if since is not None:
        found.append(QUERIES["conversions.since"].bind(at=since))
    if until is not None:
        found.append(QUERIES["conversions.until"].bind(at=until))
    if wanted.is_matched is not None:
        found.append(QUERIES["conversions.is_matched"].bind(is_matched=wanted.is_matched))
    if wanted.is_held is not None:
        found.append(QUERIES["conversion_flags.held"].bind(is_held=wanted.is_held))
    return found


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps of a conversion, and the movements of its money, each with the ids of the reports that say so; of a
    movement by a payment, with the payment's. `faults` moved nothing."""

    currency: str
    steps: list[tuple[Step, list[UUID]]]
    movements: list[tuple[Movement, list[UUID], UUID | None]]
    faults: list[str]


async def explain(session: Session, conversions: Sequence[UUID]) -> list[Explanation | None]:
    """How the figures of each conversion follow from its reports, derived again; None where the caller may not read
    these."""
    reports: dict[UUID, dict[str, list[UUID]]] = defaultdict(lambda: defaultdict(list))
    found: dict[UUID, list[Report]] = defaultdict(list)
    for row in await session.fetch("conversions.reports_of", conversions=list(conversions)):
        report = decoded(row)
        reports[row["conversion_id"]][report.state_identity].append(row["id"])
        found[row["conversion_id"]].append(report)
    payments: dict[UUID, list[tuple[Payment, UUID]]] = defaultdict(list)
    for row in await session.fetch("conversions.payments_of", conversions=list(found)):
        payments[row["conversion_id"]].append((payment_of(row), row["id"]))
    decisions = await session.fetch("ledger_decisions.of_conversions", conversions=list(found))
    accepted = {row["conversion_id"]: frozenset(row["accepted"]) for row in decisions}
    explained = {
        id: _explanation(listed, reports[id], payments[id], accepted.get(id, frozenset()))
        for id, listed in found.items()
    }
    return [explained.get(id) for id in conversions]


def _explanation(
    reports: list[Report], ids: dict[str, list[UUID]], payments: list[tuple[Payment, UUID]], accepted: frozenset[str]
) -> Explanation:
    conversion = conversion_of(Key(reports[0].network, reports[0].reference), reports)
    timeline = replace(conversion.timeline, accepted=accepted)
    booked = book(timeline, [payment for payment, _ in payments])
    by_reference = {payment.reference: id for payment, id in payments}
    return Explanation(
        currency=conversion.group.currency,
        steps=[(step, [id for state in step.reports for id in ids[state]]) for step in timeline.steps],
        movements=[
            (move, [id for state in move.reports for id in ids[state]], by_reference.get(move.payment))
            for move in booked.movements
        ],
        faults=list(dict.fromkeys(booked.faults)),
    )
