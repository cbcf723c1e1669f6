"""Money: exact between decimals and minor units, whatever the currency's exponent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.currencies import EXPONENTS
from domain.errors import Invalid
from domain.money import MAX_MINOR, to_decimal, to_minor

FIELD = ("filter", "minPrice")
currencies = st.sampled_from(sorted(EXPONENTS))
minors = st.integers(0, MAX_MINOR)


@given(minors, currencies)
def test_minor_units_survive_the_way_there_and_back(minor: int, currency: str) -> None:
    assert to_minor(to_decimal(minor, currency), currency, FIELD) == minor


@given(minors, currencies)
def test_an_amount_shows_all_decimals_of_its_currency(minor: int, currency: str) -> None:
    _, _, decimals = format(to_decimal(minor, currency), "f").partition(".")
    assert len(decimals) == EXPONENTS[currency]


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("19.99", "GBP", 1999), ("1999", "JPY", 1999), ("1.999", "KWD", 1999), ("5", "GBP", 500), ("5.000", "GBP", 500)],
)
def test_an_amount_in_major_units_is_understood(text: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(text), currency, FIELD) == minor


@given(minors, currencies)
def test_trailing_zeros_do_not_matter(minor: int, currency: str) -> None:
    amount = to_decimal(minor, currency)
    assert to_minor(Decimal(f"{amount:f}" + ("000" if "." in f"{amount:f}" else ".000")), currency, FIELD) == minor


@given(minors, currencies, st.integers(1, 40), st.integers(1, 9))
def test_one_decimal_more_than_the_currency_has_is_refused(minor: int, currency: str, beyond: int, digit: int) -> None:
    exact = f"{to_decimal(minor, currency):f}"
    exact += "" if "." in exact else "."
    with pytest.raises(Invalid, match=f"{EXPONENTS[currency]} decimals|too large"):
        to_minor(Decimal(exact + "0" * (beyond - 1) + str(digit)), currency, FIELD)


@pytest.mark.parametrize("text", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "-1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="zero or more") as refused:
        to_minor(Decimal(text), "GBP", FIELD)
    assert refused.value.field == FIELD


@pytest.mark.parametrize("text", ["1E+16", "1E+30", "1E+999999", "9" * 40])
def test_a_huge_amount_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="too large"):
        to_minor(Decimal(text), "GBP", FIELD)


@given(currencies)
def test_the_largest_amount_is_the_limit_in_minor_units(currency: str) -> None:
    assert to_minor(to_decimal(MAX_MINOR, currency), currency, FIELD) == MAX_MINOR
    with pytest.raises(Invalid, match="too large"):
        to_minor(to_decimal(MAX_MINOR + 1, currency), currency, FIELD)


@pytest.mark.parametrize("zero", ["0", "-0", "0.00", "0E+10", "0E-10"])
def test_zero_is_zero_however_it_is_written(zero: str) -> None:
    assert to_minor(Decimal(zero), "GBP", FIELD) == 0


@pytest.mark.parametrize("code", ["", "gbp", "XXX", "GB", "GBPP"])
def test_an_unknown_currency_is_refused_at_its_own_field(code: str) -> None:
    with pytest.raises(Invalid, match="Unknown currency") as refused:
        to_minor(Decimal("1"), code, FIELD)
    assert refused.value.field == ("filter", "currencyCode")
