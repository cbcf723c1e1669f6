"""Prices of feeds: what a mapping says of the notation is read, the rest is refused and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.currencies import EXPONENTS
from domain.feed_prices import Notation, Period, parse_period, parse_price
from domain.feed_values import BadValue

COMMA = Notation(decimal=",", thousands=".", symbols=True)
SPACES = Notation(decimal=",", thousands=" ", symbols=True)
SWISS = Notation(thousands="'")
POINTS = Notation(thousands=",", symbols=True)


@pytest.mark.parametrize(
    ("text", "notation", "currency", "minor", "code"),
    [
        ("3,49", COMMA, "EUR", 349, "EUR"),
        ("1.234.567,80 €", COMMA, "EUR", 123456780, "EUR"),
        ("2.000", COMMA, "EUR", 200000, "EUR"),
        ("€3", COMMA, None, 300, "EUR"),
        ("1 234,50 zł", SPACES, None, 123450, "PLN"),
        ("1\u202f234,50 PLN", SPACES, None, 123450, "PLN"),
        ("12'345.60", SWISS, "CHF", 1234560, "CHF"),
        ("12’345.60 CHF", SWISS, None, 1234560, "CHF"),
        ("$1,234.50", POINTS, "AUD", 123450, "AUD"),
        ("R$ 10", POINTS, None, 1000, "BRL"),
        ("¥1,200", POINTS, "JPY", 1200, "JPY"),
        ("99 kr", POINTS, "SEK", 9900, "SEK"),
        ("30,000,000.00 IDR", POINTS, None, 3_000_000_000, "IDR"),
        (Decimal("7.5"), COMMA, "EUR", 750, "EUR"),
    ],
)
def test_what_the_notation_says_is_read(
    text: object, notation: Notation, currency: str | None, minor: int, code: str
) -> None:
    assert parse_price(text, currency, notation) == (minor, code)


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("3.49", COMMA), ("1.23,00", COMMA), (".123,00", COMMA), ("1,234.50", COMMA), ("1234,5.6", COMMA),
        ("12,34.50", POINTS), ("1,2345", POINTS), ("$5", POINTS), ("5 lei", SWISS), ("€5", SWISS), ("١٢", COMMA),
        ("5 €€", COMMA), ("€ 5 USD", COMMA), ("EUR 5 €", COMMA), ("1 2345,00", SPACES),
    ],
)  # fmt: skip
def test_the_rest_is_refused(text: str, notation: Notation) -> None:
    with pytest.raises(BadValue):
        parse_price(text, None if "$" in text else "EUR", notation)


@given(
    st.integers(1, 10**9),
    st.sampled_from(sorted(EXPONENTS)),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", None)]),
    st.booleans(),
)
def test_five_notations_come_back_exactly(
    minor: int, currency: str, signs: tuple[str, str | None], in_front: bool
) -> None:
    point, group = signs
    amount = f"{Decimal(minor).scaleb(-EXPONENTS[currency]):,f}"
    written = amount.replace(",", "\0").replace(".", point).replace("\0", group or "")
    text = f"{currency} {written}" if in_front else f"{written} {currency}"
    assert parse_price(text, None, Notation(point, group)) == (minor, currency)


def test_a_period_is_two_times() -> None:
    period = parse_period("2026-03-01T10:00+0200/2026-03-08")
    assert period == Period(datetime(2026, 3, 1, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
    assert [period.holds(datetime(2026, 3, day, tzinfo=UTC)) for day in (1, 2, 8, 9)] == [False, True, True, False]
    assert parse_period("2026-03-08/2026-03-08").holds(datetime(2026, 3, 8, 23, 59, tzinfo=UTC))
    assert parse_period("/2026-03-08 9:30:00").end == datetime(2026, 3, 8, 9, 30, tzinfo=UTC)
    assert parse_period("2026-03-08/9999-12-31").holds(datetime(2200, 1, 1, tzinfo=UTC))
    assert parse_period("/2026-03-08T00:00Z").start is None


@pytest.mark.parametrize(
    "text", ["", "2026-03-01", "/", "soon/later", "2026-03-08/2026-03-01", "a/b/c", "0001-01-01T00:00+14:00/"]
)
def test_other_periods_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        parse_period(text)
