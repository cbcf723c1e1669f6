"""Bounds of inputs: the length of a text, the range of a number, a period."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.errors import Invalid
from domain.texts import require_no_nul

MAX_PERIOD = timedelta(days=366)


def require_text(text: str | None, field: tuple[str, ...], maximum: int, minimum: int = 0) -> None:
    """Raises Invalid for text with a NUL, or whose number of characters is out of bounds."""
    require_no_nul(text, field)
    if text is not None and not minimum <= len(text) <= maximum:
        raise Invalid(f"`{field[-1]}` has {len(text)} characters: it takes {minimum} to {maximum}.", field)


def require_range(number: int | None, field: tuple[str, ...], minimum: int, maximum: int, unit: str = "") -> None:
    """Raises Invalid for a number that is out of bounds."""
    if number is not None and not minimum <= number <= maximum:
        raise Invalid(f"`{field[-1]}` is {number}: it takes {minimum} to {maximum}{unit and f' {unit}'}.", field)


def require_period(since: datetime, until: datetime) -> None:
    """Raises Invalid, of the field `since`, unless the period has at most MAX_PERIOD."""
    if not timedelta() <= until - since <= MAX_PERIOD:
        days = (until - since) // timedelta(days=1)
        raise Invalid(f"`since` must be before `until`, by at most {MAX_PERIOD.days} days: it is {days}.", ("since",))
