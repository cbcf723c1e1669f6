"""Scalars of the contract."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NewType

import msgspec
import strawberry


def from_jsonb(jsonb: str) -> Any:
    """A column of jsonb, as asyncpg gives it, as a value of JSON; None where it is nested too deeply, or holds a number
    beyond what Python reads."""
    try:
        return msgspec.json.decode(jsonb)
    except (msgspec.DecodeError, RecursionError):
        return None


# The grammar of section 5.6 in capitals; datetime.fromisoformat() takes much more of ISO 8601.
_RFC_3339 = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d):(?P<second>[0-5]\d|60)"
    r"(?P<rest>(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))",
    re.ASCII,
)


def _parse_datetime(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("DateTime takes a string of RFC 3339, such as 2026-01-31T12:00:00Z.")
    found = _RFC_3339.fullmatch(value.upper())
    if found is None:
        raise ValueError("DateTime takes a string of RFC 3339 with an offset, such as 2026-01-31T12:00:00Z.")
    is_leap_second = found["second"] == "60"
    try:
        parsed = datetime.fromisoformat(
            f"{found['minute']}:{'59' if is_leap_second else found['second']}{found['rest']}"
        )
    except ValueError:
        raise ValueError("DateTime takes a date that exists, such as 2026-01-31T12:00:00Z.") from None
    if not 1 < parsed.year < 9999:  # at its ends Python and Postgres mean infinity, or nothing
        raise ValueError("DateTime takes years from 2 to 9998.")
    parsed = parsed.astimezone(UTC)
    if is_leap_second:
        if (parsed.hour, parsed.minute) != (23, 59):
            raise ValueError("DateTime takes a second of 60 at 23:59 UTC alone.")
        parsed = parsed.replace(microsecond=0) + timedelta(seconds=1)  # Postgres counts it so, too
    return parsed


def _parse_date(value: Any) -> date:
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass  # such as the 31st of June
    raise ValueError("Date takes a day that exists, such as 2026-01-31.")


def _print_datetime(value: datetime) -> str:
    if value.tzinfo is None:  # Postgres' infinity, which no time zone can be computed of
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > 40:
        raise ValueError('Decimal takes a string such as "19.99".')
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", str(value), re.ASCII):
        raise ValueError('Decimal takes a string such as "19.99".')
    parsed = Decimal(str(value))
    if abs(parsed.adjusted()) > 30:
        raise ValueError("Decimal takes numbers of a sensible size.")
    return parsed


JSON = NewType("JSON", object)

SCALARS: dict[object, Any] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An RFC 3339 timestamp, returned in UTC: `2026-01-31T12:00:00Z`. Other forms of ISO 8601 are not "
        "accepted.",
        serialize=_print_datetime,
        parse_value=_parse_datetime,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day of the calendar: `2026-01-31`.",
        serialize=date.isoformat,
        parse_value=_parse_date,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='An exact decimal number, as a string: `"19.99"`.',
        serialize=lambda value: format(value, "f"),
        parse_value=_parse_decimal,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}
