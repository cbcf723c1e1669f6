"""What people say of themselves (`statedPreferences`): the members that recommendations follow, and their shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from domain import money
from domain.currencies import EXPONENTS
from domain.errors import Invalid

NAME = "statedPreferences"
MAX_ITEMS = 50
MAX_TEXT = 100
_AMOUNT = re.compile(r"[0-9]{1,13}(\.[0-9]{1,10})?")  # as in private.stated_prices()


@dataclass(frozen=True, slots=True)
class Slugs:
    """The slugs that the catalogue has to know."""

    categories: Sequence[str]
    brands: Sequence[str]


def check(preferences: Mapping[str, Any], default_currency: str) -> Slugs:
    """Checks the members that have a meaning; null is as good as none, and others may hold anything. Raises Invalid.

    {"favouriteCategories": [slug], "avoidCategories": [slug], "brands": [slug], "tags": [tag],
    "priceRange": {"min": amount, "max": amount}, "currency": code}
    """
    favourites = _texts(preferences, "favouriteCategories")
    avoided = _texts(preferences, "avoidCategories")
    brands = _texts(preferences, "brands")
    _texts(preferences, "tags")
    _check_prices(preferences, default_currency)
    return Slugs([*favourites, *avoided], brands)


def field_of(preferences: Mapping[str, Any], slug: str, *members: str) -> tuple[str, ...]:
    """The path of a slug in the first of these members that holds it."""
    return next(((NAME, member) for member in members if slug in _texts(preferences, member)), (NAME,))


def _texts(preferences: Mapping[str, Any], member: str) -> Sequence[str]:
    found = preferences.get(member)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, str) and 0 < len(item) <= MAX_TEXT for item in found):
        raise Invalid(f"`{member}` is a list of texts of 1 to {MAX_TEXT} characters.", (NAME, member))
    if len(found) > MAX_ITEMS:
        raise Invalid(f"`{member}` has at most {MAX_ITEMS} items.", (NAME, member))
    return found


def _check_prices(preferences: Mapping[str, Any], default_currency: str) -> None:
    currency = preferences.get("currency")
    if currency is None:
        currency = default_currency
    elif not isinstance(currency, str) or currency not in EXPONENTS:
        raise Invalid("`currency` is a code of ISO 4217 such as GBP.", (NAME, "currency"))
    prices = preferences.get("priceRange")
    if prices is None:
        return
    if not isinstance(prices, dict) or not prices.keys() <= {"min", "max"}:
        raise Invalid("`priceRange` is an object with `min`, `max` or both.", (NAME, "priceRange"))
    low, high = (_minor(prices, name, currency) for name in ("min", "max"))
    if low is not None and high is not None and low > high:
        raise Invalid("`min` is above `max`.", (NAME, "priceRange"))


def _minor(prices: Mapping[str, Any], name: str, currency: str) -> int | None:
    amount = prices.get(name)
    field = (NAME, "priceRange", name)
    if amount is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, str | int | float) or not _AMOUNT.fullmatch(str(amount)):
        raise Invalid(f"`{name}` is an amount such as 19.99.", field)
    return money.to_minor(Decimal(str(amount)), currency, field)
