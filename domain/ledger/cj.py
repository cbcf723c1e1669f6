"""CJ: the answer of the GraphQL query publisherCommissions, as it is (JSON).

A conversion is an originalActionId, and earns the sum of its commissions. A correction is a commission of its own. That
`closed` means paid, and the states of corrections are assumptions. The API gives no currency: that of the publisher's
account is known to who asks, and files name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from domain.ledger.reports import (
    BadFile,
    BadRow,
    Reading,
    Report,
    Row,
    currency_of,
    identity,
    minor_of,
    order_of,
    parse_json,
    read_rows,
    refs_of,
    require_time,
    text_of,
    time_of,
)
from domain.ledger.timelines import Source, Step, Timeline

_RANKS = {"new": 0, "extended": 1, "locked": 2, "closed": 3}


def read(text: str, *, is_closed_paid: bool = True, currency: str | None = None) -> Reading:
    """Reports of the records; warns if the payload is not complete. Unless `closed` means paid, it is read as `locked`,
    which it was before. `currency` is that of the publisher's account, for records that name none."""
    document = parse_json(text)
    data = document.get("data") if isinstance(document, dict) else None
    found = data.get("publisherCommissions") if isinstance(data, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("records"), list):
        errors = document.get("errors") if isinstance(document, dict) else None
        raise BadFile(f"there is no data.publisherCommissions.records{'; the answer has errors' if errors else ''}")
    warnings = (
        () if found.get("payloadComplete") is not False else ("payloadComplete is false: more commissions follow",)
    )
    return read_rows(found["records"], lambda row: _report(row, is_closed_paid, currency), warnings)


def _report(row: Row, is_closed_paid: bool, default_currency: str | None) -> Report:
    currency = default_currency if default_currency and not row.get("currency") else currency_of(row, "currency")
    state = text_of(row, "actionStatus").lower()
    if state not in _RANKS:
        raise BadRow(f"actionStatus: {state!r} is unknown")
    if state == "closed" and not is_closed_paid:
        state = "locked"
    amount = minor_of(row, "pubCommissionAmountPubCurrency", currency)
    sold = minor_of(row, "saleAmountPubCurrency", currency, default=0)
    locked_at = time_of(row, "lockingDate", required=False)
    posted_at = require_time(row, "postingDate")
    number = text_of(row, "commissionId")
    is_original = row.get("original") in (True, "true", "TRUE")
    return Report(
        network="cj",
        reference=text_of(row, "originalActionId"),
        identity=identity(number, state, is_original, amount, sold, currency, posted_at, locked_at),
        kind="original" if is_original else "correction",
        state=state,
        advertiser_id=text_of(row, "advertiserId"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=posted_at,
        ordered_at=require_time(row, "eventDate"),
        clicked_at=time_of(row, "clickDate", required=False),
        click_refs=refs_of(row, "shopperId", "sid"),
        order_id=order_of(row, "orderId"),
        facts={"number": number, "locked_at": locked_at.isoformat() if locked_at else None},
        raw=row,
    )


def _posted(report: Report) -> datetime:
    return report.stated_at or report.ordered_at


def _present(reports: Sequence[Report]) -> list[Report]:
    """The last state of each commission, in order of posting."""
    last: dict[str, Report] = {}
    for report in sorted(reports, key=lambda r: (_RANKS[r.state], str(r.facts["locked_at"] or ""), r.identity)):
        last[str(report.facts["number"])] = report
    return sorted(last.values(), key=lambda r: (_posted(r), r.kind != "original", r.identity))


def _identities(reports: Iterable[Report]) -> tuple[str, ...]:
    return tuple(report.identity for report in reports)


def timeline(reports: Sequence[Report]) -> Timeline:
    """Corrections posted up to the original's locking date amend it, later ones change what was approved, and those
    posted after the payment (the original is closed, they are not) take back what was paid. Rows of one posting date
    count by their sum: a restatement is two rows."""
    commissions = _present(reports)
    originals = [report for report in commissions if report.kind == "original"]
    if not originals:
        first = commissions[0]
        return Timeline((), first.sale_minor, first.amount_minor, ("a correction without its original",))
    original = max(originals, key=lambda r: (_RANKS[r.state], r.identity))
    is_locked, is_closed = _RANKS[original.state] >= _RANKS["locked"], original.state == "closed"
    locked_at = datetime.fromisoformat(str(original.facts["locked_at"])) if original.facts["locked_at"] else None
    approved_at = (locked_at or _posted(original)) if is_locked else None

    standing = sum(report.amount_minor for report in originals)
    said_by = (original.identity,)
    steps = [Step(_posted(original), "pending", standing, reports=said_by)]
    is_declined = False
    corrections = (report for report in commissions if report.kind == "correction")
    changes = [(at, list(rows)) for at, rows in groupby(corrections, key=_posted)]
    early = [change for change in changes if approved_at is None or change[0] <= approved_at]
    for number, (at, rows) in enumerate(early, 1):
        before, standing = standing, standing + sum(row.amount_minor for row in rows)
        is_declined = standing == 0 and number == len(early)
        amount = before if is_declined else standing
        steps.append(Step(at, "declined" if is_declined else "pending", amount, reports=_identities(rows)))
    if approved_at is not None and not is_declined:
        steps.append(Step(approved_at, "approved", standing, reports=said_by))
        for at, rows in changes[len(early) :]:
            standing += sum(row.amount_minor for row in rows)
            is_late = is_closed and any(row.state != "closed" for row in rows)
            steps.append(Step(at, "approved", standing, is_late, _identities(rows)))
        if is_closed:
            steps.append(Step(steps[-1].at, "approved", standing, True, said_by))
    faults = ("corrections exceed the commission",) if standing < 0 else ()
    return Timeline(
        tuple(steps) if not faults else tuple(steps[:1]),
        first_sale_minor=sum(report.sale_minor for report in originals),
        first_amount_minor=sum(report.amount_minor for report in originals),
        faults=faults,
    )


SOURCE = Source("cj", read, timeline)
