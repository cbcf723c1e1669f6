"""Rakuten: events (JSON), which are signals, and the signature orders report (CSV), which is what is paid.

A conversion is an order's SKU of an advertiser. Events alone leave it pending; once the report has a row of it, its
events count for nothing. Rows of the report have no id: they are told apart by their content, and equal rows of one
file by their number. The report's header and the format of the events' dates could not be verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from domain.ledger.reports import (
    BadFile,
    BadRow,
    Occurrences,
    Reading,
    Report,
    Row,
    csv_rows,
    currency_of,
    identity,
    json_rows,
    minor_of,
    order_of,
    parse_time,
    read_rows,
    refs_of,
    require_time,
    text_of,
)
from domain.ledger.timelines import Source, Step, Timeline

EVENT, _ROW = "event", "row"
_COLUMNS = ("MID", "Order ID", "Transaction Date", "SKU", "Sales", "Total Commission", "Process Date", "Currency")
_NOTHING = {"n/a", "na", "null"}


def read(text: str) -> Reading:
    """Reports of an array of events, or of the rows of a signature orders report."""
    if text.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        return read_rows(json_rows(text), read_event)
    seen = Occurrences()
    rows = csv_rows(text, _COLUMNS, skip_titles=True)
    if not any(name.startswith("Member ID") for row in rows[:1] for name in row) and rows:
        raise BadFile("there is no column Member ID (U1)")
    return read_rows(rows, lambda row: _row(row, seen))


def _reference(advertiser: str, order: str, sku: str) -> str:
    reference = f"{advertiser}:{order}:{sku}"
    is_clear = len(reference) <= 200 and reference.count(":") == 2
    return reference if is_clear else f"{advertiser}:{identity(order, sku)}"


def read_event(row: Row) -> Report | None:
    """An event; None for one that earns nothing. Raises BadRow."""
    is_event = str(row.get("is_event") or "N").strip().upper()
    if is_event not in ("Y", "N"):
        raise BadRow(f"is_event: {is_event!r} is neither Y nor N")
    if is_event == "Y":
        return None
    currency = currency_of(row, "currency")
    number = text_of(row, "etransaction_id")
    amount, sold = minor_of(row, "commissions", currency), minor_of(row, "sale_amount", currency, default=0)
    processed_at = require_time(row, "process_date")
    advertiser = text_of(row, "advertiser_id")
    return Report(
        network="rakuten",
        reference=_reference(advertiser, text_of(row, "order_id"), text_of(row, "sku_number")),
        identity=identity(EVENT, number, amount, sold, currency, processed_at),
        kind=EVENT,
        state="signal",
        advertiser_id=advertiser,
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=processed_at,
        ordered_at=require_time(row, "transaction_date"),
        click_refs=refs_of(row, "u1"),
        order_id=order_of(row, "order_id"),
        facts={"number": number},
        raw=row,
    )


def _row(row: Row, seen: Occurrences) -> Report:
    currency = currency_of(row, "Currency")
    amount, sold = minor_of(row, "Total Commission", currency), minor_of(row, "Sales", currency)
    ordered_at = parse_time(
        f"{text_of(row, 'Transaction Date')} {row.get('Transaction Time') or ''}", "Transaction Date"
    )
    processed_at = parse_time(f"{text_of(row, 'Process Date')} {row.get('Process Time') or ''}", "Process Date")
    advertiser, items = text_of(row, "MID"), text_of(row, "# of Items", required=False)
    reference = _reference(advertiser, text_of(row, "Order ID"), text_of(row, "SKU"))
    content = identity(_ROW, reference, amount, sold, currency, ordered_at, processed_at, items)
    number = seen.number(content)
    refs = refs_of(row, *(name for name in row if name.startswith("Member ID")))
    return Report(
        network="rakuten",
        reference=reference,
        identity=identity(content, number),
        kind=_ROW,
        state="reversed" if amount < 0 else "approved",
        advertiser_id=advertiser,
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=processed_at,
        ordered_at=ordered_at,
        click_refs=tuple(ref for ref in refs if ref.lower() not in _NOTHING),
        order_id=order_of(row, "Order ID"),
        facts={"number": content, "occurrence": number},
        raw=row,
    )


def timeline(reports: Sequence[Report]) -> Timeline:
    """Pending by the sum of the events (declined if that is zero) until the report has a row; then its positive rows
    approve, each at its process date, and its negative rows take back."""
    ordered = sorted(reports, key=lambda r: (r.stated_at or r.ordered_at, r.amount_minor < 0, r.identity))
    events = [report for report in ordered if report.kind == EVENT]
    rows = [report for report in ordered if report.kind == _ROW]
    first = (events or rows)[0]
    steps, faults = _of_rows(rows) if rows else _of_events(events)
    return Timeline(tuple(steps), first.sale_minor, first.amount_minor, tuple(faults))


def _of_events(events: Sequence[Report]) -> tuple[list[Step], list[str]]:
    present = {str(event.facts["number"]): event for event in events}.values()
    steps: list[Step] = []
    standing = before = 0
    for event in present:
        before = standing or before
        standing += event.amount_minor
        steps.append(Step(event.stated_at or event.ordered_at, "pending", standing, reports=(event.identity,)))
    if standing < 0:
        return [], ["cancellations without what they cancel"]
    if standing == 0 and len(steps) > 1:
        steps[-1] = replace(steps[-1], state="declined", amount_minor=before)
    return steps, []


def _of_rows(rows: Sequence[Report]) -> tuple[list[Step], list[str]]:
    steps: list[Step] = []
    faults: list[str] = []
    standing = 0
    for row in rows:
        if standing + row.amount_minor < 0 or (row.amount_minor < 0 and not steps):
            faults.append("a negative row without what it takes back")
            continue
        standing += row.amount_minor
        steps.append(Step(row.stated_at or row.ordered_at, "approved", standing, reports=(row.identity,)))
    return steps, faults


SOURCE = Source("rakuten", read, timeline)
