"""The rows of the ledger: what is written of conversions, postings and exceptions, and how it is encoded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import asyncpg
import msgspec

from domain.affiliate import decode_token
from domain.ledger.booking import Booked, Movement, Payment
from domain.ledger.payments import PaymentRow, Settlement
from domain.ledger.postbacks import POSTBACK
from domain.ledger.reports import Report
from domain.ledger.timelines import Timeline
from domain.money import to_decimal

_NAMES = UUID("6f0ccab5-7b0c-4c5e-9a2e-5d0f3c1f7f0b")  # of ids that follow from what they stand for
_CLICK_VERSION = 7  # of their UUIDs: few other texts are like a token of ours
_json = msgspec.json.Encoder(decimal_format="number")
_REPORT_COLUMNS = {"affiliate_network", *(f.name for f in fields(Report))}


def derived_id(what: str) -> UUID:
    """The id of a row that follows from what it stands for."""
    return uuid5(_NAMES, what)


class Key(NamedTuple):
    """A conversion: its network, and its reference there."""

    network: str
    reference: str

    @property
    def id(self) -> UUID:
        """The id of its row."""
        return derived_id(f"conversion {self.network} {self.reference}")


class Group(NamedTuple):
    """What a payment may cover: the conversions of an advertiser in a currency."""

    network: str
    advertiser_id: str
    currency: str


@dataclass(slots=True)
class Conversion:
    """What the network reported of a conversion, in an order that does not depend on arrival, postbacks last, and its
    click if it is known. The timeline has the adjustments, too."""

    key: Key
    reports: list[Report]
    timeline: Timeline
    click: asyncpg.Record | None = None
    match: asyncpg.Record | None = None  # a person's, to a shop or a placement

    @property
    def group(self) -> Group:
        """Its advertiser and currency."""
        return Group(self.key.network, self.reports[0].advertiser_id, self.reports[0].currency)

    @property
    def ordered_at(self) -> datetime:
        """The time of the order."""
        return self.reports[0].ordered_at

    @property
    def clicked_at(self) -> datetime | None:
        """The time of the click by the network's account. A postback finds a click by its token alone."""
        return min((at for *_, at in self.times_of_clicks), default=None)

    @property
    def times_of_clicks(self) -> set[tuple[str, str, datetime]]:
        """Each time of a click that the network names, with the advertiser and currency of that report."""
        return {
            (report.advertiser_id, report.currency, report.clicked_at)
            for report in self.reports
            if report.kind != POSTBACK and report.clicked_at is not None
        }

    @property
    def tracking_id(self) -> str | None:
        """Of the placement that a person named, else as reported."""
        if self.match is not None and self.match["tracking_id"] is not None:
            return str(self.match["tracking_id"])
        return next((report.tracking_id for report in self.reports if report.tracking_id), None)

    @property
    def retailer_id(self) -> UUID | None:
        """The shop of its click, else the one that a person named."""
        known = (row["retailer_id"] for row in (self.click, self.match) if row is not None)
        return next((retailer for retailer in known if retailer is not None), None)

    @property
    def matched_by(self) -> str | None:
        """How its click is known, or "manual" for a shop that a person named."""
        if self.click is not None:
            return str(self.click["matched_by"])
        return "manual" if self.match is not None else None


def expected_of(conversion: Conversion) -> int | None:
    """What the terms of the click give for the sale first reported: a flat amount, or the rate times the sale, half up,
    and at most the cap. None without a click or terms, and where an amount of the terms is in another currency than the
    sale."""
    if conversion.click is None:
        return None
    rate = conversion.click["commission_rate"]
    expected: int | None = conversion.click["commission_flat_minor"]
    has_amounts = expected is not None or conversion.click["commission_cap_minor"] is not None
    if has_amounts and conversion.click["currency"] != conversion.group.currency:
        return None
    if expected is None and rate is not None:
        sale = Decimal(conversion.timeline.first_sale_minor)
        expected = int((Decimal(rate) * sale).quantize(Decimal(1), ROUND_HALF_UP))
    cap = conversion.click["commission_cap_minor"]
    return expected if expected is None or cap is None else min(expected, int(cap))


def row_of(conversion: Conversion, books: Booked) -> dict[str, Any]:
    """The row of a conversion, without what depends on others."""
    click = conversion.click
    return {
        "id": conversion.key.id,
        "affiliate_network": conversion.key.network,
        "reference": conversion.key.reference,
        "advertiser_id": conversion.group.advertiser_id,
        "tracking_id": conversion.tracking_id,
        "matched_by": conversion.matched_by,
        "click_id": click["click_id"] if click else None,
        "user_id": click["user_id"] if click else None,
        "product_id": click["product_id"] if click else None,
        "status": books.state or "unknown",
        "currency": conversion.group.currency,
        "sale_minor": conversion.timeline.first_sale_minor,
        "tracked_minor": conversion.timeline.first_amount_minor,
        **{f"{figure}_minor": minor for figure, minor in books.figures.items()},
        "ordered_at": conversion.ordered_at,
        "clicked_at": click["clicked_at"] if click else conversion.clicked_at,
        "is_outside_window": _is_outside_window(conversion),
        "approved_at": books.approved_at,
        "approved_from": min(books.days, default=None),
        "approved_until": max(books.days, default=None),
    }


def _is_outside_window(conversion: Conversion) -> bool:
    """Whether the order came after the shop's window had passed since the click was last followed."""
    click = conversion.click
    if click is None or click["followed_at"] is None:  # matched by a release that did not know
        return False
    passed: timedelta = conversion.ordered_at - click["followed_at"]
    return passed > timedelta(hours=click["click_window_hours"])


def postings_of(moves: Iterable[Movement], currency: str, **subject: UUID) -> list[dict[str, Any]]:
    """Both sides of each movement, for the conversion or payment of `subject`."""
    return [
        {**subject, "account": account, "amount_minor": amount, "currency": currency, "event_at": move.at}
        for move in moves
        for account, amount in ((move.debit, move.amount_minor), (move.credit, -move.amount_minor))
    ]


def unmet(settlement: Settlement, currency: str, payment_id: UUID) -> dict[str, Any]:
    """The exception of a payment that does not meet what it pays for."""
    payment = settlement.payment
    paid, due = to_decimal(payment.amount_minor, currency), to_decimal(settlement.due_minor, currency)
    if not settlement.due:
        kind, detail = (
            "payment_without_rows",
            f"{payment.reference} pays {paid} {currency} for nothing that was approved",
        )
    else:
        kind = "short_payment" if paid < due else "over_payment"
        detail = f"{payment.reference} pays {paid} {currency}, and {len(settlement.due)} conversions earned {due}"
    return exception(kind, detail, payment.period_end, payment_id=payment_id)


def exception(kind: str, detail: str, day: date, **subject: UUID) -> dict[str, Any]:
    """A row of the queue; its id follows from the subject and the detail."""
    (about,) = subject.values()
    return {
        "id": derived_id(f"exception {kind} {about} {detail}"),
        "kind": kind,
        **subject,
        "detail": detail,
        "concerns_on": day,
    }


def encode(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a JSON parameter."""
    return _json.encode(rows).decode()


def arrays(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Conversions as the two arrays that queries take."""
    listed = list(keys)
    return {"networks": [key.network for key in listed], "conversions": [key.reference for key in listed]}


def key_of(row: asyncpg.Record) -> Key:
    """The conversion that a row is of."""
    return Key(row["affiliate_network"], row["reference"])


def encoded(report: Report) -> dict[str, Any]:
    """A report as a row, with the clicks of ours that it names, which may be gone."""
    values = {f.name: getattr(report, f.name) for f in fields(report)}
    clicks = (decode_token(ref.lower()) for ref in report.click_refs)
    return {
        "affiliate_network": values.pop("network"),
        **values,
        "clicks": [str(click) for click in clicks if click is not None and click.version == _CLICK_VERSION],
    }


def decoded(row: asyncpg.Record) -> Report:
    """The report of a row, which may have other columns, too."""
    values = {name: value for name, value in row.items() if name in _REPORT_COLUMNS}
    return Report(
        network=values.pop("affiliate_network"),
        click_refs=tuple(values.pop("click_refs") or ()),
        facts=json.loads(values.pop("facts")),
        **values,
    )


def payment_row(row: PaymentRow) -> dict[str, Any]:
    """A payment as a row."""
    payment = row.payment
    return {
        "affiliate_network": row.network,
        "reference": payment.reference,
        "advertiser_id": row.advertiser_id,
        "advertiser": row.advertiser or None,
        "period_start": payment.period_start,
        "period_end": payment.period_end,
        "currency": row.currency,
        "amount_minor": payment.amount_minor,
        "paid_on": payment.paid_on,
    }


def payment_of(row: asyncpg.Record) -> Payment:
    """The payment of a row."""
    return Payment(row["reference"], row["period_start"], row["period_end"], row["paid_on"], row["amount_minor"])
