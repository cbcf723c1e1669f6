"""Awin: an array of transactions (JSON), each as it stands when the file is made.

The field names are those of Awin's publisher API. Order of the states of a transaction: pending, then by
validationDate, then unpaid before paid, unamended before amended, approved before declined. That validationDate moves
when a transaction is declined or amended after its approval is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from domain.ledger.reports import (
    BadRow,
    Reading,
    Report,
    Row,
    currency_of,
    identity,
    json_rows,
    minor_of,
    order_of,
    read_rows,
    refs_of,
    require_time,
    text_of,
    time_of,
)
from domain.ledger.timelines import Source, State, Step, Timeline

_STATES: dict[str, State] = {"pending": "pending", "approved": "approved", "declined": "declined", "deleted": "void"}
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def read(text: str) -> Reading:
    """Reports of the array of transactions."""
    return read_rows(json_rows(text), _report)


def _member(row: Row, name: str) -> Any:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _report(row: Row) -> Report:
    commission, sale = _member(row, "commissionAmount"), _member(row, "saleAmount")
    if not commission:
        raise BadRow("commissionAmount is missing")
    currency = currency_of(commission, "currency")
    status = text_of(row, "commissionStatus").lower()
    if status not in _STATES:
        raise BadRow(f"commissionStatus: {status!r} is unknown")
    state = _STATES[status]
    stated_at = time_of(row, "validationDate", required=state == "approved")
    amount = minor_of(commission, "amount", currency)
    sold = minor_of(sale, "amount", currency, default=0)
    old = _member(row, "oldCommissionAmount")
    old_sale = _member(row, "oldSaleAmount")
    facts = {
        "paid": row.get("paidToPublisher") is True,
        "amended": row.get("amended") is True,
        "old_minor": minor_of(old, "amount", currency) if old else None,
        "old_sale_minor": minor_of(old_sale, "amount", currency) if old_sale else None,
    }
    refs = _member(row, "clickRefs")
    return Report(
        network="awin",
        reference=text_of(row, "id"),
        identity=identity(state, stated_at, amount, sold, currency, *facts.values()),
        kind="transaction",
        state=state,
        advertiser_id=text_of(row, "advertiserId"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=stated_at,
        ordered_at=require_time(row, "transactionDate"),
        clicked_at=time_of(row, "clickDate", required=False),
        click_refs=refs_of(refs, *sorted(refs)),
        order_id=order_of(row, "orderRef"),
        facts=facts,
        raw=row,
    )


def _key(report: Report) -> tuple[Any, ...]:
    return (
        report.state != "pending",
        _EARLIEST if report.state == "pending" else report.stated_at or report.ordered_at,
        bool(report.facts["paid"]),
        bool(report.facts["amended"]),
        report.state in ("declined", "void"),
    )


def _in_order(reports: Sequence[Report]) -> list[Report]:
    """By the key; several amendments of one key follow from the old amount that each carries."""
    waiting = sorted(reports, key=lambda r: (_key(r), -r.amount_minor, r.identity))
    ordered: list[Report] = []
    while waiting:
        same = [report for report in waiting if _key(report) == _key(waiting[0])]
        standing = ordered[-1].amount_minor if ordered else None
        following = [report for report in same if report.facts["old_minor"] == standing]
        chosen = (following or same)[0]
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def timeline(reports: Sequence[Report]) -> Timeline:
    """The states of a transaction. The status stays `approved` after payment: paidToPublisher says that it is paid."""
    ordered = _in_order(reports)
    first = ordered[0]
    steps = [
        Step(
            report.stated_at if report.stated_at and report.state != "pending" else report.ordered_at,
            report.state,  # type: ignore[arg-type]
            report.amount_minor,
            bool(report.facts["paid"]),
            (report.identity,),
            is_dated=report.stated_at is not None and report.state != "pending",
        )
        for report in ordered
    ]
    old_sale, old = first.facts["old_sale_minor"], first.facts["old_minor"]
    return Timeline(
        tuple(steps),
        first_sale_minor=first.sale_minor if old_sale is None else old_sale,
        first_amount_minor=first.amount_minor if old is None else old,
    )


SOURCE = Source("awin", read, timeline)
