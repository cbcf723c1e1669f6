"""Exchange rates: how a file of them is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from domain.ledger.reports import BadRow, Reject, Row, csv_rows, currency_of, text_of

COLUMNS = ("date", "currency", "rate", "source")


@dataclass(frozen=True, slots=True)
class Rate:
    """`rate` units of the reporting currency are worth one unit of `currency` on this day, by this source."""

    day: date
    currency: str
    rate: Decimal
    source: str


def read(text: str, reporting_currency: str) -> tuple[list[Rate], list[Reject]]:
    """The rates of a CSV file with the header COLUMNS. Raises BadFile."""
    rates, rejects = [], []
    for number, row in enumerate(csv_rows(text, COLUMNS), 1):
        try:
            rates.append(_rate(row, reporting_currency))
        except BadRow as error:
            rejects.append(Reject(number, str(error)))
    return rates, rejects


def _rate(row: Row, reporting_currency: str) -> Rate:
    try:
        day = date.fromisoformat(text_of(row, "date"))
    except ValueError:
        raise BadRow(f"date: {row['date']!r} is no date such as 2026-07-31") from None
    try:
        rate = Decimal(text_of(row, "rate"))
    except InvalidOperation:
        raise BadRow(f"rate: {row['rate']!r} is no number") from None
    if not rate.is_finite() or not Decimal("1e-10") <= rate <= Decimal("1e9"):
        raise BadRow(f"rate: {rate} is out of range")
    currency = currency_of(row, "currency")
    if currency == reporting_currency and rate != 1:
        raise BadRow(f"rate: {currency} is the reporting currency, whose rate is 1")
    return Rate(day, currency, rate, text_of(row, "source"))
