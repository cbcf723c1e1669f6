"""What a source says about a conversion, and how values of files are read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, TypeAlias

from domain.currencies import EXPONENTS

Row: TypeAlias = Mapping[str, Any]

MAX_MINOR = 10**14
MAX_ID_CHARACTERS = 200
MAX_ROW_BYTES = 90_000
_STATE_IDENTITY = "state_identity"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
SURPLUS = re.compile(r"[\s$£€]")
_FORMATS = (
    "%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%m/%d/%y", "%m/%d/%Y", "%m-%d-%Y", "%Y%m%d", "%Y%m%d%H%M%S",
    "%a %b %d %Y %H:%M:%S",
)  # fmt: skip


class BadFile(ValueError):
    """A file that is not what a network sends; nothing of it can be used."""


class BadRow(ValueError):
    """A row that cannot be a report, with the reason."""


class DayFirst(BadRow):
    """A date that has the day before the month, where others are read the other way round."""


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a source said about one conversion.

    `reference` identifies the conversion within the network, `identity` the report within the conversion. Amounts are
    minor units of `currency`, and what they mean (what stands, or a change) depends on the network and `kind`.
    `stated_at` is when the network says that this state began. `facts` are further values that the network's timeline
    needs. `order_id` is the shop's number of the order. `raw` is
    the row as it came.

    Readers set `identity` to that of the state; `told` makes it that of all values from which something follows.
    """

    network: str
    reference: str
    identity: str
    kind: str
    state: str
    advertiser_id: str
    currency: str
    amount_minor: int
    sale_minor: int
    stated_at: datetime | None
    ordered_at: datetime
    clicked_at: datetime | None = None
    click_refs: tuple[str, ...] = ()
    tracking_id: str | None = None
    order_id: str | None = None
    facts: Row = field(default_factory=dict)
    raw: Row = field(default_factory=dict)

    @property
    def state_identity(self) -> str:
        """What tells its state from others of the conversion, whichever click, advertiser or order is named with it."""
        return str(self.facts.get(_STATE_IDENTITY, self.identity))

    def told(self) -> Report:
        """The report with an identity of its own. A row that comes again with a click, which was missing before, or
        with another advertiser is another report of the same state; it is no repeat, and its money counts once."""
        whose = (self.advertiser_id, self.ordered_at, self.clicked_at, self.click_refs, self.tracking_id, self.order_id)
        facts = {**self.facts, _STATE_IDENTITY: self.identity}
        return replace(self, identity=identity(self.identity, *whose), facts=facts)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was refused: its number in the file, from 1, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds. `ignored` counts rows that are no conversions; `warnings` concern the file."""

    reports: tuple[Report, ...]
    rejects: tuple[Reject, ...] = ()
    ignored: int = 0
    warnings: tuple[str, ...] = ()


def read_rows(rows: Iterable[Row], read: Callable[[Row], Report | None], warnings: tuple[str, ...] = ()) -> Reading:
    """The reports of rows; `read` gives None for a row that is no conversion, and raises BadRow.

    Raises BadFile for a date with the day first: the other dates of the file would be read as of other months."""
    reports: list[Report] = []
    rejects: list[Reject] = []
    ignored = 0
    for number, row in enumerate(rows, 1):
        try:
            if not isinstance(row, Mapping):
                raise BadRow("not an object")
            if len(str(row).encode(errors="replace")) > MAX_ROW_BYTES:
                raise BadRow(f"more than {MAX_ROW_BYTES} bytes")
            report = read(row)
        except DayFirst as error:
            raise BadFile(f"row {number}: {error}") from None
        except BadRow as error:
            rejects.append(Reject(number, str(error)))
            continue
        if report is None:
            ignored += 1
        else:
            reports.append(report.told())
    return Reading(tuple(reports), tuple(rejects), ignored, warnings)


def parse_json(text: str) -> Any:
    """A JSON document whose numbers are exact. Raises BadFile."""

    def refuse(constant: str) -> Any:
        raise BadFile(f"{constant} is no number")

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refuse)
    except BadFile:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:  # a number may have too many digits, too
        raise BadFile(f"not JSON, or cut off: {error}") from None


def json_rows(text: str, *path: str) -> list[Row]:
    """The array at a path of a document. Raises BadFile."""
    found = parse_json(text)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise BadFile(f"there is no array {'.'.join(path) or 'at the top'}")
    return found


def csv_rows(text: str, required: Iterable[str], *, skip_titles: bool = False) -> list[dict[str, str]]:
    """Rows of a file separated by commas, semicolons or tabs, by the names in its header; each needs all columns.

    With `skip_titles` the header is the first line that has all required columns. A name in `required` that ends with
    `*` is a prefix. Raises BadFile for a missing column, or a row with more or fewer cells than the header: a file that
    was cut off."""
    wanted = list(required)
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    skipped = 0
    while skip_titles and skipped < min(len(lines), 10) and _missing(_cells(lines[skipped]), wanted):
        skipped += 1
    if skipped == 10 or skipped == len(lines):
        skipped = 0
    if not lines:
        raise BadFile("the file is empty")
    header = _cells(lines[skipped])
    if missing := _missing(header, wanted):
        raise BadFile(f"there is no column {missing[0].rstrip('*')}")
    rows = []
    try:
        parsed = csv.reader(
            io.StringIO("".join(lines[skipped + 1 :]), newline=""), delimiter=_separator(lines[skipped]), strict=True
        )
        for cells in parsed:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                line = skipped + 1 + parsed.line_num
                raise BadFile(f"line {line} has {len(cells)} cells and the header {len(header)}; was the file cut off?")
            rows.append({name: cell.strip() for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise BadFile(f"not CSV, or cut off: {error}") from None
    return rows


def _separator(header: str) -> str:
    return max(",;\t", key=header.count)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line.strip("\r\n")], delimiter=_separator(line)), [])]


def _missing(header: list[str], wanted: Iterable[str]) -> list[str]:
    return [
        name
        for name in wanted
        if not (any(cell.startswith(name[:-1]) for cell in header) if name.endswith("*") else name in header)
    ]


def text_of(row: Row, name: str, *, required: bool = True) -> str:
    """A value as text; numbers are ids. Raises BadRow if it is missing, longer than an id can be, or has control
    characters: commands print it to terminals, which would obey them."""
    value = row.get(name)
    if value is None or isinstance(value, bool | dict | list):
        value = ""
    text = str(value).strip()
    if required and not text:
        raise BadRow(f"{name} is missing")
    if len(text) > MAX_ID_CHARACTERS or _CONTROL.search(text):
        raise BadRow(f"{name} has more than {MAX_ID_CHARACTERS} characters, or control characters")
    return text


def order_of(row: Row, name: str) -> str | None:
    """The shop's number of an order, if there is one. A text that is longer than an id, or has control characters, is
    ignored."""
    text = str(row.get(name) or "").strip()
    return text if 0 < len(text) <= MAX_ID_CHARACTERS and not _CONTROL.search(text) else None


def refs_of(row: Row, *names: str) -> tuple[str, ...]:
    """What the network returns of our link in these columns. A text that is longer than an id is not ours, and no
    reason to refuse the row's money."""
    texts = (str(row.get(name) or "").strip() for name in names)
    return tuple(text for text in texts if 0 < len(text) <= MAX_ID_CHARACTERS)


def currency_of(row: Row, name: str) -> str:
    """A currency's code. Raises BadRow."""
    code = text_of(row, name).upper()
    if code not in EXPONENTS:
        raise BadRow(f"{name}: {code} is no currency of ISO 4217")
    return code


def minor_of(row: Row, name: str, currency: str, *, default: int | None = None) -> int:
    """An amount in minor units, half up; negative ones have a minus, or parentheses. Raises BadRow."""
    value = row.get(name)
    if isinstance(value, bool):
        raise BadRow(f"{name}: {value} is no amount")
    text = SURPLUS.sub("", str(value)) if value is not None else ""
    if not text and default is not None:
        return default
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1]}"
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", text):
        text = text.replace(",", "")
    try:
        amount = Decimal(text.replace("_", "?"))
    except InvalidOperation:
        raise BadRow(f"{name}: {value!r} is no amount") from None
    if not amount.is_finite() or amount.adjusted() > 12:
        raise BadRow(f"{name}: {value!r} is no amount, or too large")
    return int(amount.scaleb(EXPONENTS[currency]).quantize(Decimal(1), ROUND_HALF_UP))


def time_of(row: Row, name: str, *, required: bool = True) -> datetime | None:
    """A time in UTC; one without a zone is UTC. Raises BadRow."""
    text = text_of(row, name, required=required)
    return parse_time(text, name) if text else None


def require_time(row: Row, name: str) -> datetime:
    """A time in UTC. Raises BadRow if it is missing."""
    return parse_time(text_of(row, name), name)


def parse_time(text: str, name: str) -> datetime:
    """A time as networks write it: ISO 8601, m/d/yy, m-d-yyyy, yyyymmdd, or as JavaScript prints dates."""
    text = text.strip()
    printed = re.fullmatch(r"(\w{3} \w{3} \d{2} \d{4} \d{2}:\d{2}:\d{2}) GMT([+-]\d{4})( \(.*\))?", text)
    try:
        if printed:
            found = datetime.strptime(f"{printed[1]} {printed[2]}", "%a %b %d %Y %H:%M:%S %z")
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        found = _other_format(text, name)
    if not 2000 <= found.year <= 2100:  # before the zone: the first and the last day of all cannot be moved
        raise BadRow(f"{name}: {text!r} is out of range")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _other_format(text: str, name: str) -> datetime:
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    if (found := re.match(r"(\d{1,2})[/-](\d{1,2})[/-]\d{2,4}\b", text)) and int(found[1]) > 12 >= int(found[2]):
        raise DayFirst(f"{name}: {text!r} has the day first; write 2026-07-31, or the month first")
    raise BadRow(f"{name}: {text!r} is no time")


def identity(*values: object) -> str:
    """What tells a report from others of its conversion: a digest of the values that matter."""
    content = json.dumps([value.isoformat() if isinstance(value, datetime) else value for value in values])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def distinct_states(reports: Iterable[Report]) -> list[Report]:
    """The first report of each state."""
    found: dict[str, Report] = {}
    for report in reports:
        found.setdefault(report.state_identity, report)
    return list(found.values())


class Occurrences:
    """Numbers equal rows of one file: the nth equal row of a file is the nth equal row of another one."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def number(self, content: str) -> int:
        """1 for the first row with this content."""
        self._seen[content] = self._seen.get(content, 0) + 1
        return self._seen[content]


def first_ref(reports: Iterable[Report]) -> tuple[str, ...]:
    """Every text that may be our click's token, in an order that does not depend on arrival."""
    return tuple(dict.fromkeys(ref for report in reports for ref in report.click_refs if ref))
