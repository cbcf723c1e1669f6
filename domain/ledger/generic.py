"""Networks without a reader of their own: rows of snapshots, read by a mapping (TOML) like that of a product feed.

docs/money.md documents the format. A conversion's states are ordered by the time that each row states: pending first,
and of one time approved before paid before declined.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from domain.ledger.reports import (
    SURPLUS,
    BadFile,
    BadRow,
    Reading,
    Report,
    Row,
    csv_rows,
    currency_of,
    identity,
    json_rows,
    minor_of,
    order_of,
    parse_time,
    read_rows,
    refs_of,
    text_of,
)
from domain.ledger.timelines import Source, State, Step, Timeline

_RANKS = {"pending": 0, "approved": 1, "paid": 2, "declined": 3, "void": 4}
_STEPS: dict[str, State] = {
    "pending": "pending", "approved": "approved", "paid": "approved", "declined": "declined", "void": "void",
}  # fmt: skip


class Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column, or key, of each value; text after `=` is a constant. Keys of nested objects are joined by dots."""

    reference: str
    state: str
    amount: str
    currency: str
    advertiser_id: str
    ordered_at: str
    stated_at: str | None = None
    sale: str | None = None
    clicked_at: str | None = None
    click_ref: str | None = None
    order_id: str | None = None


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How times are written: a format of strptime, or `unix` for seconds since 1970 (default: ISO 8601), and the zone
    of those that name none."""

    format: str | None = None
    zone: str = "UTC"


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read the rows of a file, or of postbacks, which may also be `parameters`. `rows` is the path of the array
    in JSON, with dots; `decimals` is how many digits of an amount stand behind the point that is left out, `decimal`
    the sign before them where it is there, and `thousands` the one between groups (None: the comma, unless that is
    `decimal`)."""

    format: Literal["csv", "json", "parameters"]
    fields: Fields
    states: dict[str, Literal["pending", "approved", "paid", "declined", "void"]]
    rows: str = ""
    times: Times = Times()
    decimals: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", "'", " ", ""] | None = None


def parse_mapping(text: str) -> Mapping:
    """A mapping from TOML. Raises BadFile."""
    try:
        mapping = msgspec.convert(tomllib.loads(text), Mapping)
        ZoneInfo(mapping.times.zone)
        if mapping.thousands == mapping.decimal:
            raise BadFile(f"the mapping's thousands and decimal are both {mapping.decimal}")
        if mapping.decimals and (mapping.decimal, mapping.thousands) != (".", None):
            raise BadFile("the mapping has decimals, so amounts are whole numbers without decimal and thousands")
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadFile(f"the mapping is not valid: {error}") from None
    except (ZoneInfoNotFoundError, ValueError):
        raise BadFile(f"the mapping's times.zone {mapping.times.zone} is unknown") from None
    return mapping


def read(network: str, mapping: Mapping, text: str) -> Reading:
    """Reports of a file of this network. Raises BadFile."""
    if mapping.format == "parameters":
        raise BadFile("the mapping is for postbacks: a file is csv or json")
    if mapping.format == "json":
        rows: Sequence[Row] = json_rows(text, *(name for name in mapping.rows.split(".") if name))
    else:
        names = (getattr(mapping.fields, name) for name in mapping.fields.__struct_fields__)
        rows = csv_rows(text, [name for name in names if name and not name.startswith("=")], skip_titles=True)
    return read_rows(rows, lambda row: read_row(network, mapping, row))


def _value(row: Row, column: str) -> Any:
    if column.startswith("="):
        return column[1:]
    if column in row:
        return row[column]
    found: Any = row
    for name in column.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def read_row(network: str, mapping: Mapping, row: Row) -> Report:
    """The report of a row. Raises BadRow."""
    fields = mapping.fields
    values = {
        name: _value(row, column) for name in fields.__struct_fields__ if (column := getattr(fields, name)) is not None
    }
    state_text = text_of(values, "state")
    states = {word.lower(): state for word, state in mapping.states.items()}
    if state_text.lower() not in states:
        raise BadRow(f"state: {state_text!r} is not in the mapping")
    state = states[state_text.lower()]
    currency = currency_of(values, "currency")
    if mapping.decimals:
        values |= {name: _with_point(values, name, mapping.decimals) for name in ("amount", "sale")}
    else:
        values |= {name: _in_notation(values, name, mapping) for name in ("amount", "sale")}
    amount, sold = minor_of(values, "amount", currency), minor_of(values, "sale", currency, default=0)
    ordered_at = _time(mapping, values, "ordered_at")
    stated_at = _time(mapping, values, "stated_at")
    if ordered_at is None or (stated_at is None and state != "pending" and fields.stated_at is not None):
        raise BadRow("ordered_at is missing" if ordered_at is None else "stated_at is missing")
    return Report(
        network=network,
        reference=text_of(values, "reference"),
        identity=identity(state, stated_at, amount, sold, currency),
        kind="snapshot",
        state=state,
        advertiser_id=text_of(values, "advertiser_id"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=stated_at,
        ordered_at=ordered_at,
        clicked_at=_time(mapping, values, "clicked_at"),
        click_refs=refs_of(values, "click_ref"),
        order_id=order_of(values, "order_id"),
        raw=row,
    )


def _with_point(values: Row, name: str, decimals: int) -> Decimal | None:
    text = text_of(values, name, required=False)
    if text and not re.fullmatch(r"-?\d{1,18}", text):
        raise BadRow(f"{name}: {text!r} is no whole number, and the mapping has decimals")
    return Decimal(text).scaleb(-decimals) if text else None


def _in_notation(values: Row, name: str, mapping: Mapping) -> Any:
    """A text in the mapping's notation as one with a point and no groups. What is in another notation is refused: 1.250
    is not a thousandth of itself."""
    value = values.get(name)
    if not isinstance(value, str) or (mapping.decimal == "." and mapping.thousands is None):
        return value
    text = SURPLUS.sub("", value).replace("’", "'")
    point = re.escape(mapping.decimal)
    group = re.escape((mapping.thousands or "").strip())
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+" if group else r"\d+"
    if text and not re.fullmatch(rf"[-(]*(?:{grouped}|\d+)(?:{point}\d*)?\)?", text):
        raise BadRow(f"{name}: {value!r} is no amount in the mapping's notation")
    return text.replace((mapping.thousands or "").strip() or "\0", "").replace(mapping.decimal, ".")


def _time(mapping: Mapping, values: Row, name: str) -> datetime | None:
    text = text_of(values, name, required=False)
    if not text:
        return None
    try:
        if mapping.times.format is None:
            found = datetime.fromisoformat(text)
        elif mapping.times.format == "unix":
            found = datetime.fromtimestamp(int(text), UTC)
        else:
            found = datetime.strptime(text, mapping.times.format)
        if found.tzinfo is None:
            found = found.replace(tzinfo=ZoneInfo(mapping.times.zone))
        found = found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # the first and the last day of all cannot be moved
        raise BadRow(f"{name}: {text!r} is no time as the mapping says") from None
    return parse_time(found.isoformat(), name)


def timeline(reports: Sequence[Report]) -> Timeline:
    """The snapshots in order."""
    ordered = sorted(
        reports,
        key=lambda r: (r.state != "pending", r.stated_at or r.ordered_at, _RANKS[r.state], r.amount_minor, r.identity),
    )
    steps: list[Step] = []
    for report in ordered:
        at, is_dated = report.stated_at or report.ordered_at, report.stated_at is not None
        step = Step(at, _STEPS[report.state], report.amount_minor, False, (report.identity,), is_dated)
        if report.state == "paid" and not any(earlier.paid for earlier in steps):
            steps.append(step)  # what changed until the first payment changed before it
        steps.append(replace(step, paid=report.state == "paid"))
    return Timeline(tuple(steps), ordered[0].sale_minor, ordered[0].amount_minor)


def source(network: str, mapping: Mapping) -> Source:
    """The network as this mapping reads it."""
    return Source(network, lambda text: read(network, mapping, text), timeline)
