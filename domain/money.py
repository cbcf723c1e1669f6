"""Exact money: integers in minor units internally, decimals in the API."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from domain.currencies import EXPONENTS
from domain.errors import Invalid

MAX_MINOR = 10**12


def to_decimal(minor: int, currency: str) -> Decimal:
    """1999 GBP is Decimal("19.99")."""
    return Decimal(minor).scaleb(-EXPONENTS[currency])


def exponent_of(currency: str, field: tuple[str, ...]) -> int:
    """The number of decimals of a currency. Raises Invalid for an unknown one."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise Invalid("Unknown currency; use a code of ISO 4217 such as GBP.", field)
    return exponent


def to_minor(amount: Decimal, currency: str, field: tuple[str, ...]) -> int:
    """A non-negative amount in minor units. Raises Invalid for an unknown currency, too many decimals or an amount that
    is too large; `field` is the input it came from."""
    exponent = exponent_of(currency, (*field[:-1], "currencyCode"))
    if not amount.is_finite() or amount < 0:
        raise Invalid("The amount must be zero or more.", field)
    minor = Fraction(amount) * 10**exponent if amount.adjusted() <= 15 else Fraction(MAX_MINOR + 1)
    if minor > MAX_MINOR:
        raise Invalid("The amount is too large.", field)
    if minor.denominator != 1:  # a Fraction, because Decimal arithmetic rounds beyond 28 digits
        raise Invalid(f"{currency} has {exponent} decimals.", field)
    return minor.numerator
