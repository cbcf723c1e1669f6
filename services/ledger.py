"""The ledger: reports and payments come in, and conversions, postings, settlements and exceptions follow from them.

What follows is a function of all reports, clicks and payments, so the order of imports does not matter. An import
derives again only what it touches: its conversions, the payments that cover them, and what these cover.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from db.session import Session
from domain.affiliate import decode_token
from domain.ledger import adjustments
from domain.ledger.booking import Movement, book
from domain.ledger.payments import PaymentRow, settle
from domain.ledger.postbacks import POSTBACK, counted
from domain.ledger.rates import Rate
from domain.ledger.reports import Report, first_ref
from domain.ledger.sources import timeline_of
from services.ledger_rows import (
    Conversion,
    Group,
    Key,
    arrays,
    decoded,
    encode,
    encoded,
    exception,
    expected_of,
    key_of,
    payment_of,
    payment_row,
    postings_of,
    row_of,
    unmet,
)

_BATCH_REPORTS = 2_000
_Wanted: TypeAlias = MutableMapping[Group, tuple[set[Key], set[UUID]]]  # conversions and payments to derive


@dataclass(frozen=True, slots=True)
class Imported:
    """Counts of an import: reports or payments that are new, and that were there already. `keys`: the conversions of
    new reports."""

    new: int
    repeated: int
    keys: frozenset[Key] = field(default=frozenset(), compare=False)


async def import_reports(
    session: Session, reports: Sequence[Report], *, source: str, origin: str | None = None
) -> Imported:
    """Adds the reports that are new, and derives what follows; `origin` is the name of the file or account. All of it
    happens in the session's transaction, which is a writing one of service_role."""
    await session.fetch("ledger.lock")
    keys: set[Key] = set()
    new = 0
    for start in range(0, len(reports), _BATCH_REPORTS):
        batch = [encoded(report) for report in reports[start : start + _BATCH_REPORTS]]
        rows = await session.fetch("ledger.add_reports", reports=encode(batch), source=source, origin=origin)
        new += len(rows)
        keys.update(Key(*row) for row in rows)
    await derive(session, keys)
    return Imported(new, len(reports) - new, frozenset(keys))


async def import_payments(session: Session, rows: Sequence[PaymentRow], *, origin: str | None = None) -> Imported:
    """Adds the payments that are new, and derives what follows; a known reference is the same payment."""
    await session.fetch("ledger.lock")
    added = await session.fetch(
        "ledger.add_payments", payments=encode([payment_row(row) for row in rows]), origin=origin
    )
    wanted: _Wanted = defaultdict(lambda: (set(), set()))
    for row in added:
        wanted[Group(row["affiliate_network"], row["advertiser_id"], row["currency"])][1].add(row["id"])
    await _derive_groups(session, wanted)
    return Imported(len(added), len(rows) - len(added))


async def import_rates(session: Session, rates: Sequence[Rate], reporting_currency: str) -> tuple[Imported, set[Rate]]:
    """Adds the rates that are new; also returns those that are known of their day and source with another value."""
    values = {
        "days": [rate.day for rate in rates],
        "currencies": [rate.currency for rate in rates],
        "reporting_currency": reporting_currency,
        "rates": [rate.rate for rate in rates],
        "sources": [rate.source for rate in rates],
    }
    added = await session.fetch("ledger.add_rates", **values)
    known = {(row[0], row[1], row[2]) for row in await session.fetch("ledger.rates_that_differ", **values)}
    differing = {rate for rate in rates if (rate.day, rate.currency, rate.source) in known}
    return Imported(len(added), len(rates) - len(added)), differing


async def set_advertiser(
    session: Session, network: str, advertiser_id: str, shop: str, currency: str | None = None
) -> int | None:
    """Says which shop an advertiser is, and derives its conversions again; returns how many. None: there is no such
    shop."""
    await session.fetch("ledger.lock")
    found = await session.fetchval(
        "ledger.set_advertiser", network=network, advertiser_id=advertiser_id, currency=currency, shop=shop
    )
    if found is None:
        return None
    rows = await session.fetch(
        "ledger.conversions_of_advertiser", affiliate_network=network, advertiser_id=advertiser_id
    )
    await derive(session, {key_of(row) for row in rows})
    return len(rows)


async def unknown_networks(session: Session, codes: Sequence[str]) -> set[str]:
    """The codes that are of no network."""
    return {row["code"] for row in await session.fetch("ledger.unknown_networks", codes=sorted(set(codes)))}


async def differing_payments(session: Session, rows: Sequence[PaymentRow]) -> list[PaymentRow]:
    """Those whose reference is known with other values."""
    listed = [{**payment_row(row), "place": place} for place, row in enumerate(rows)]
    found = await session.fetch("ledger.payments_that_differ", payments=encode(listed))
    return [rows[row["place"]] for row in found]


async def rebuild(session: Session) -> int:
    """Derives every conversion and every payment again; returns how many conversions there are."""
    await session.fetch("ledger.lock")
    keys = {Key(*row) for row in await session.fetch("ledger.conversions_of_reports")}
    wanted = await _grouped(session, keys)
    for network, advertiser, currency, payment in await session.fetch("ledger.groups_of_payments"):
        wanted[Group(network, advertiser, currency)][1].add(payment)
    await _derive_groups(session, wanted)
    return len(keys)


async def fingerprint(session: Session) -> str:
    """A digest of all that is derived: equal for equal rows and balances. No import changes it in this transaction."""
    await session.fetch("ledger.lock")
    found: str = await session.fetchval("ledger.fingerprint")
    return found


async def rebuild_and_compare(session: Session) -> tuple[int, bool]:
    """Derives everything again; returns how many conversions there are, and whether what was stored differs."""
    before = await fingerprint(session)
    done = await rebuild(session)
    return done, before != await fingerprint(session)


async def load_conversion(session: Session, key: Key) -> Conversion | None:
    """A conversion as its reports tell it now."""
    return (await _load(session, {key})).get(key)


async def derive_payment(session: Session, group: Group, payment: UUID) -> None:
    """Derives a payment of a group, and what hangs together with it."""
    await _derive_groups(session, {group: (set(), {payment})})


async def derive(session: Session, keys: set[Key]) -> None:
    """Derives these conversions, and what else the payments that cover them pay for. Where a report moves a
    conversion to another advertiser or currency, it also derives the payments that covered it."""
    wanted = await _grouped(session, keys)
    for row in await session.fetch("ledger.settled_ranges", **arrays(keys)):
        group = Group(row["affiliate_network"], row["advertiser_id"], row["currency"])
        if group in wanted and key_of(row) in wanted[group][0]:
            continue
        first, last = row["approved_from"], row["approved_until"]
        payments = await session.fetch("ledger.payments_of", **_named(group))
        wanted[group][1].update(p["id"] for p in payments if first <= p["period_end"] and last >= p["period_start"])
    await _derive_groups(session, wanted)


def _named(group: Group) -> dict[str, str]:
    return {"affiliate_network": group.network, "advertiser_id": group.advertiser_id, "currency": group.currency}


async def _grouped(session: Session, keys: set[Key]) -> _Wanted:
    wanted: _Wanted = defaultdict(lambda: (set(), set()))
    for conversion in (await _load(session, keys)).values():
        wanted[conversion.group][0].add(conversion.key)
    return wanted


async def _derive_groups(session: Session, wanted: _Wanted) -> None:
    """Derives conversions and payments of groups. All is read, and their people are locked, before a row of a person is
    written: to erase a person or to merge a session locks the profile first and these rows afterwards, too."""
    gathered = [(group, *await _gather(session, group, *wanted[group])) for group in sorted(wanted)]
    await _lock_people(session, [each for _, conversions, _ in gathered for each in conversions.values()])
    for group, conversions, payments in gathered:
        await _write(session, group, conversions, payments)


async def _lock_people(session: Session, conversions: Collection[Conversion]) -> None:
    """Keeps the people of these conversions' clicks from going until the end of the transaction, in the order of their
    ids, and finds out who has gone meanwhile, or become another account."""
    while people := {each.click["user_id"] for each in conversions if each.click is not None} - {None}:
        there = {row["id"] for row in await session.fetch("ledger.lock_people", people=sorted(people))}
        if there == people:
            break
        rows = await session.fetch("ledger.clicks_of", **arrays(each.key for each in conversions))
        clicks = {key_of(row): row for row in rows}
        for each in conversions:
            each.click = clicks.get(each.key)


async def _gather(
    session: Session, group: Group, keys: set[Key], payments: set[UUID]
) -> tuple[dict[Key, Conversion], dict[UUID, asyncpg.Record]]:
    """Conversions and payments of a group with all that hangs together with them: payments whose periods hold a day on
    which one of the conversions was approved, and conversions that were approved in these periods."""
    by_name = _named(group)
    known = await session.fetch("ledger.payments_of", **by_name)
    touched = {row["id"]: row for row in known if row["id"] in payments}
    conversions = await _load(session, keys)
    searched: set[UUID] = set()
    while True:
        days = {day for conversion in conversions.values() for day in book(conversion.timeline).days}
        ranges = [(day, day) for day in days] + [
            (row["approved_from"], row["approved_until"])
            for row in await session.fetch("ledger.settled_ranges", **arrays(conversions))
        ]
        for row in known:
            if any(first <= row["period_end"] and last >= row["period_start"] for first, last in ranges):
                touched[row["id"]] = row
        if not touched.keys() - searched:
            break
        found = set(conversions)
        for payment in touched.keys() - searched:
            row = touched[payment]
            approved = await session.fetch(
                "ledger.conversions_approved", **by_name, first_day=row["period_start"], last_day=row["period_end"]
            )
            found.update(Key(group.network, each["reference"]) for each in approved)
        searched = set(touched)
        loaded = await _load(session, found - conversions.keys())
        conversions |= {key: each for key, each in loaded.items() if each.group == group}
    return conversions, touched


async def _load(session: Session, keys: set[Key]) -> dict[Key, Conversion]:
    if not keys:
        return {}
    reports: dict[Key, list[Report]] = defaultdict(list)
    for row in await session.fetch("ledger.reports", **arrays(keys)):
        reports[Key(row["affiliate_network"], row["reference"])].append(decoded(row))
    conversions = {key: conversion_of(key, found) for key, found in reports.items()}
    await _match(session, conversions)
    await _apply_decisions(session, conversions.values())
    return conversions


def conversion_of(key: Key, found: list[Report]) -> Conversion:
    """What reports tell of a conversion, without its click and what people decided."""
    reports = [report for report in found if report.kind != adjustments.KIND]
    reports.sort(key=lambda report: (report.kind == POSTBACK, report.ordered_at, report.identity))
    currency, advertiser = reports[0].currency, reports[0].advertiser_id
    timeline = timeline_of(key.network, [report for report in reports if report.currency == currency])
    faults = list(timeline.faults)
    said = counted(reports)
    if others := sorted({report.currency for report in said} - {currency}):
        faults.append(f"reported in {currency}, and also in {', '.join(others)}")
    if others := sorted({report.advertiser_id for report in said} - {advertiser}):
        faults.append(f"reported of the advertiser {advertiser}, and also of {', '.join(others)}")
    by_hand = [report for report in found if report.kind == adjustments.KIND]
    if others := sorted({report.currency for report in by_hand} - {currency}):
        faults.append(f"adjusted in {', '.join(others)}, and reported in {currency}")
    timeline = replace(timeline, faults=tuple(faults))
    of_currency = [report for report in by_hand if report.currency == currency]
    return Conversion(key, reports, adjustments.adjusted(timeline, of_currency))


async def _apply_decisions(session: Session, conversions: Collection[Conversion]) -> None:
    """What people decided about conversions: the shop of one without a click, and faults that they let happen."""
    by_id = {conversion.key.id: conversion for conversion in conversions}
    for row in await session.fetch("ledger_decisions.of_conversions", conversions=list(by_id)):
        found = by_id[row["conversion_id"]]
        found.match = row if row["retailer_id"] else None
        found.timeline = replace(found.timeline, accepted=frozenset(row["accepted"]))


async def _match(session: Session, conversions: Mapping[Key, Conversion]) -> None:
    """Finds the click of each conversion that has none yet: the last click of those whose tokens came back, else the
    last one that the only person had at the advertiser's shop at the time that the network names. Never a guess at a
    person."""
    found = await session.fetch("ledger.clicks_of", **arrays(conversions))
    matched = {key_of(row): row["click_id"] for row in found}
    by_time = {key_of(row) for row in found if row["matched_by"] == "click_time"}
    missing = conversions.keys() - matched.keys()
    tokens = [
        (key, click)
        for key, conversion in conversions.items()
        for named in [_tokens(conversion.reports)]
        if named and (set(named) != {matched.get(key)} or key in by_time)
        for click in named
    ]
    if tokens:
        await session.fetch(
            "ledger.match_by_click",
            **arrays(key for key, _ in tokens),
            clicks=[click for _, click in tokens],
            times=[conversions[key].ordered_at for key, _ in tokens],
        )
        missing -= {key_of(row) for row in await session.fetch("ledger.clicks_of", **arrays(missing))}
    timed = [(key, *named) for key in missing | by_time for named in sorted(conversions[key].times_of_clicks, key=str)]
    if timed:
        await session.fetch(
            "ledger.match_by_time",
            **arrays(key for key, *_ in timed),
            advertisers=[advertiser for _, advertiser, _, _ in timed],
            currencies=[currency for _, _, currency, _ in timed],
            times=[at for *_, at in timed],
        )
    await session.fetch(
        "ledger.refresh_matches", **arrays(conversions), times=[each.ordered_at for each in conversions.values()]
    )
    found = await session.fetch("ledger.clicks_of", **arrays(conversions))
    for row in found:
        conversions[key_of(row)].click = row


def _tokens(reports: Sequence[Report]) -> list[UUID]:
    """The clicks that come back: of what counts, else with a postback."""
    of_counted, of_all = (
        [click for ref in first_ref(said) if (click := decode_token(ref.lower())) is not None]
        for said in (counted(reports), reports)
    )
    return of_counted or of_all


async def _write(
    session: Session, group: Group, conversions: Mapping[Key, Conversion], payments: Mapping[UUID, Any]
) -> None:
    ids = {row["reference"]: payment for payment, row in payments.items()}
    booked, settlements = settle(
        {key.reference: conversion.timeline for key, conversion in conversions.items()},
        [payment_of(row) for row in payments.values()],
        {row["reference"]: row["accepted_minor"] for row in payments.values()},
    )
    shops = await session.fetch(
        "ledger.shops_of", networks=[group.network], advertisers=[group.advertiser_id], currencies=[group.currency]
    )
    shop = shops[0]["retailer_id"] if shops else None
    variances: Counter[str] = Counter()
    for settlement in settlements:
        if not settlement.settles:
            variances.subtract(settlement.due)
    rows, postings, exceptions = [], [], []
    for key, conversion in conversions.items():
        books = booked[key.reference]
        expected = expected_of(conversion)
        rows.append(
            {**row_of(conversion, books), "expected_minor": expected, "variance_minor": variances[key.reference],
             "retailer_id": conversion.retailer_id or shop}
        )  # fmt: skip
        moves = list(books.movements)
        if expected:
            moves.append(Movement(conversion.ordered_at, "expected", "expectation", expected))
        postings += postings_of(moves, group.currency, conversion_id=key.id)
        day = conversion.ordered_at.date()
        faults = dict.fromkeys(books.faults)  # one that two reports share is one exception
        exceptions += [exception("transition", detail, day, conversion_id=key.id) for detail in faults]
    for settlement in settlements:
        payment = settlement.payment
        moves = [Movement(payment.at, "received", "receivable", payment.amount_minor)]
        if settlement.is_accepted:
            left = settlement.due_minor - payment.amount_minor
            moves.append(Movement(payment.at, "difference", "receivable", left))
        postings += postings_of(moves, group.currency, payment_id=ids[payment.reference])
        if not settlement.settles:
            exceptions.append(unmet(settlement, group.currency, ids[payment.reference]))
    subjects = {"conversions": [key.id for key in conversions], "payments": list(payments)}
    await session.fetch("ledger.write_conversions", conversions=encode(rows))
    await session.fetch("ledger.post", desired=encode(postings), **subjects)
    await session.fetch("ledger.check_balances")
    await session.fetch(
        "ledger.write_settlements",
        settlements=encode(
            [
                {
                    "payment_id": ids[s.payment.reference],
                    "due_minor": s.due_minor,
                    "conversions": len(s.due),
                    "meets": s.meets,
                    "is_accepted": s.is_accepted,
                }
                for s in settlements
            ]
        ),
    )
    await session.fetch("ledger.write_exceptions", exceptions=encode(exceptions), **subjects)
