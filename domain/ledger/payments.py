"""Payments of networks: how a file of them is read, and how they are matched against what they pay for."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from domain.ledger.booking import Booked, Payment, book
from domain.ledger.reports import BadRow, Reject, Row, csv_rows, currency_of, minor_of, text_of
from domain.ledger.timelines import Timeline

COLUMNS = (
    "network", "advertiser_id", "advertiser", "period_start", "period_end", "currency", "amount", "paid_on",
    "reference",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A line of a file of payments."""

    network: str
    advertiser_id: str
    advertiser: str
    currency: str
    payment: Payment


def read(text: str) -> tuple[list[PaymentRow], list[Reject]]:
    """The payments of a CSV file with the header COLUMNS, dates as 2026-07-31. Raises BadFile."""
    rows, rejects = [], []
    for number, row in enumerate(csv_rows(text, COLUMNS), 1):
        try:
            rows.append(_row(row))
        except BadRow as error:
            rejects.append(Reject(number, str(error)))
    return rows, rejects


def _day(row: Row, name: str) -> date:
    text = text_of(row, name)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRow(f"{name}: {text!r} is no date such as 2026-07-31") from None


def _row(row: Row) -> PaymentRow:
    currency = currency_of(row, "currency")
    start, end = _day(row, "period_start"), _day(row, "period_end")
    if end < start:
        raise BadRow("period_end is before period_start")
    return PaymentRow(
        network=text_of(row, "network").lower(),
        advertiser_id=text_of(row, "advertiser_id"),
        advertiser=text_of(row, "advertiser", required=False),
        currency=currency,
        payment=Payment(text_of(row, "reference"), start, end, _day(row, "paid_on"), minor_of(row, "amount", currency)),
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """A payment, and the conversions that it covers, with what is due for each in minor units. `is_accepted`: a person
    says that it is for these, although it is not what is due."""

    payment: Payment
    due: Mapping[str, int]
    is_accepted: bool = False

    @property
    def due_minor(self) -> int:
        """The sum of what it should have paid, in minor units."""
        return sum(self.due.values())

    @property
    def meets(self) -> bool:
        """Whether it paid exactly that."""
        return self.due_minor == self.payment.amount_minor

    @property
    def settles(self) -> bool:
        """Whether the conversions are paid by it."""
        return self.meets or self.is_accepted


def settle(
    timelines: Mapping[str, Timeline],
    payments: Sequence[Payment],
    accepted: Mapping[str, Container[int]] | None = None,
) -> tuple[dict[str, Booked], list[Settlement]]:
    """Books the conversions of one network, advertiser and currency, by reference, under the payments that meet what
    they pay for, or are accepted: by reference, with what is due. Payments are tried in the order of their dates; what
    one has paid, a later one does not."""
    booked = {reference: book(timeline) for reference, timeline in timelines.items()}
    met: dict[str, list[Payment]] = {}
    settlements = []
    for payment in sorted(payments, key=lambda payment: (payment.paid_on, payment.reference)):
        trials = {
            reference: book(timelines[reference], [*met.get(reference, ()), payment])
            for reference, before in booked.items()
            if any(payment.covers(day) for day in before.days)
        }
        due = {
            reference: trial.paid_by[payment.reference]
            for reference, trial in trials.items()
            if payment.reference in trial.paid_by
        }
        settlement = Settlement(payment, due)
        if not settlement.meets and settlement.due_minor in (accepted or {}).get(payment.reference, ()):
            settlement = replace(settlement, is_accepted=True)
        settlements.append(settlement)
        if settlement.settles:
            for reference in due:
                met.setdefault(reference, []).append(payment)
                booked[reference] = trials[reference]
    return booked, settlements
