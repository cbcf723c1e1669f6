"""Reads product feeds record by record, in bounded memory: delimited text and JSON here, XML in feed_xml.

A record that cannot be read is a Row with a fault. If its place in the file is doubtful too, the fault is structural:
which products the file has is then not known for sure.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from db.feed_files import MAX_RECORD_CHARACTERS, Lines, RecordTooLong, Stream
from domain.feed_mappings import Column, ImportFailed, Mapping, normal_name
from domain.feeds import Reject, shown

MAX_FIELD_CHARACTERS = 1 << 17
MAX_COLUMNS = 2_000  # each takes time in every line, also in empty ones
MAX_UNBALANCED = 100
_CHUNK = 1 << 16
_MAX_TOP_LINES = 1000
_NOT_CLOSED = "a quote that does not close, or text after one that does"


class Row(NamedTuple):
    """A record, a fault, or a fault and the fields that could be read. `line` is that of its beginning."""

    line: int
    record: dict[str, object] | None
    fault: Reject | None = None
    is_structural: bool = False


def json_lines(stream: Stream, mapping: Mapping) -> Generator[Row, None, None]:
    """One object a line."""
    with closing(Lines(stream, mapping.encoding)) as lines:
        yield from _json_lines(lines)


def _json_lines(lines: Lines) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
    is_first = True
    while True:
        try:
            line = next(lines, None)
            if line is None:
                return
            if is_first and line.lstrip().startswith("["):
                raise ImportFailed('a JSON array: give format = "json"; JSON Lines has one object on each line')
            if line.isspace():
                continue
            is_first = False
            yield Row(lines.count, decoder.decode(line))
        except RecordTooLong as error:
            yield Row(lines.count, None, Reject("line", str(error)), True)
        except UnicodeEncodeError:
            yield Row(lines.count, None, Reject("line", f"not valid {lines.encoding}"), True)
        except (msgspec.DecodeError, RecursionError, ArithmeticError):
            yield Row(lines.count, None, Reject("line", "not a JSON object", shown(line)), True)


def json_array(stream: Stream, mapping: Mapping) -> Generator[Row, None, None]:
    """One array of objects, over any number of lines. A fault in its syntax refuses the file."""
    with closing(Lines(stream, mapping.encoding)) as lines:
        yield from _json_array(_JsonText(lines))


def _json_array(text: _JsonText) -> Iterator[Row]:
    if text.peek() != "[":
        raise ImportFailed("no JSON array: the file must begin with [")
    text.skip()
    if text.peek() == "]":
        text.skip()
        text.end()
        return
    while True:
        text.peek()
        line = text.line
        value = text.value()
        if isinstance(value, dict):
            yield Row(line, value)
        else:
            yield Row(line, None, Reject("line", "not a JSON object", shown(value)), True)
        sign = text.peek()
        text.skip()
        if sign == "]":
            text.end()
            return
        if sign != ",":
            raise ImportFailed(f"line {text.line}: not JSON: a comma or ] is missing after an object")


class _JsonText:
    """The text of a file, decoded value by value."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._decode = json.JSONDecoder(parse_float=Decimal).raw_decode
        self._text = ""
        self._at = 0
        self._has_ended = False
        self.line = 1

    def _more(self) -> bool:
        """Reads on; False at the end of the file."""
        chunk = "" if self._has_ended else self._lines.chunk(_CHUNK)
        self._has_ended = not chunk
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def peek(self) -> str:
        """The next sign that is not a space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self.line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        self._at += 1

    def end(self) -> None:
        """Raises ImportFailed if something follows, such as the next array of a feed in parts."""
        if self.peek():
            raise ImportFailed(f"line {self.line}: text below the array; a file has one array")

    def value(self) -> Any:
        """The value that begins here. Raises ImportFailed."""
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                # A number may go on.
                if end < len(self._text) or not self._more():
                    self.line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value
            except (ValueError, ArithmeticError) as error:
                if len(self._text) - self._at > MAX_RECORD_CHARACTERS:
                    raise ImportFailed(f"line {self.line}: {RecordTooLong()}") from None
                if not self._more():
                    reason = getattr(error, "msg", error)
                    raise ImportFailed(f"line {self.line}: not JSON: {reason}; or the file is cut off") from None
            except RecursionError:
                raise ImportFailed(f"line {self.line}: too deeply nested") from None


def delimited(stream: Stream, mapping: Mapping) -> Generator[Row, None, None]:
    """CSV, TSV and the like."""
    with closing(Lines(stream, mapping.encoding)) as lines:
        yield from _Delimited(lines, mapping).rows()


class _Delimited:
    def __init__(self, lines: Lines, mapping: Mapping) -> None:
        self._lines = lines
        self._mapping = mapping
        self._separator = mapping.separator
        self._header: list[str] = []
        self._unbalanced = 0

    def rows(self) -> Iterator[Row]:
        for _ in islice(self._lines, self._mapping.skip_lines):
            pass
        self._skip_top()
        records = self._quoted() if self._mapping.quoted_by else self._unquoted()
        if self._mapping.columns is not None:
            self._header = list(self._mapping.columns)
        else:
            first = next(records, None)
            cells = first[1] if first else []
            if isinstance(cells, Row):
                raise ImportFailed(f"header: {cells.fault.reason if cells.fault else 'unreadable'}")
            self._header = [normal_name(name) for name in cells]
        self._check_header()
        yield from self._rows(records)

    def _rows(self, records: Iterator[tuple[int, list[str] | Row]]) -> Iterator[Row]:
        header, last = self._header, self._mapping.last_line
        width, count = len(header), 0
        closing: tuple[int, list[str]] | None = None
        for line, cells in records:
            if closing:
                yield Row(*closing[:1], None, Reject("line", "a closing line with lines below it"), True)
                closing = None
            if isinstance(cells, Row):
                count += 1
                yield cells
            elif last is not None and cells[0].strip() == last:
                closing = line, cells
            elif not any(map(str.strip, cells)):
                continue
            else:
                count += 1
                while len(cells) > width and not cells[-1].strip():
                    cells.pop()
                if len(cells) < width:
                    cells += [""] * (width - len(cells))
                record: dict[str, object] = dict(zip(header, cells, strict=False))
                if len(cells) > width:
                    fault = Reject("line", f"{len(cells)} fields, the header has {width}", shown(cells[width]))
                    yield Row(line, record, fault, True)
                else:
                    yield Row(line, record)
        stated = closing[1][1].strip() if closing and len(closing[1]) > 1 else ""
        if closing and stated.isdecimal() and len(stated) < 12 and int(stated) != count:
            reason = f"the closing line counts {int(stated)} records, the file has {count}"
            yield Row(closing[0], None, Reject("line", reason, shown(self._separator.join(closing[1]))), True)
        elif not closing and self._mapping.trailer:
            yield Row(self._lines.count, None, Reject("line", f"no closing line {last}: the file is cut off"), True)

    def _skip_top(self) -> None:
        """Blank lines above the first record, comments above a header, and Excel's `sep=;`."""
        for line in islice(self._lines, _MAX_TOP_LINES):
            text = line.strip()
            if text.lower().startswith("sep=") and len(text) == 5 and self._mapping.columns is None:
                self._separator = text[4]
            elif text and (
                self._mapping.columns is not None or not text.startswith(("#", '"#')) or self._is_header(text)
            ):
                self._lines.put_back([line])
                return

    def _is_header(self, text: str) -> bool:
        """Whether a line that begins with # is the header: its columns include the shop's id, which may be `#id`."""
        names = {normal_name(name) for name in text.replace('"', "").split(self._separator)}
        return any(path in names for path in self._mapping.fields.get("external_id", ()))

    def _check_header(self) -> None:
        """Fails once for a file of another format than the mapping's, instead of rejecting each of its lines."""
        header, mapping = self._header, self._mapping
        if len(header) > MAX_COLUMNS:
            raise ImportFailed(f"header: {len(header)} columns, and at most {MAX_COLUMNS} are read")
        used = {path for paths in mapping.fields.values() for path in paths}
        for name in header:
            if name in used and header.count(name) > 1:
                raise ImportFailed(f"the column {name!r} is repeated in the file: which one is meant?")
        needed: tuple[Column, ...] = ("external_id", "name", "price", "affiliate_url", "retailer")
        wanted = [mapping.fields[c] for c in needed if c in mapping.fields and c not in mapping.constants]
        if mapping.continuation is not None:
            wanted += [mapping.continuation.key, (mapping.continuation.empty,)]
        for paths in wanted:
            if not any(path in header for path in paths):
                quoted = " (its names are quoted: give quote)" if any('"' in name for name in header) else ""
                raise ImportFailed(
                    f"no column {' or '.join(map(repr, paths))} in the file: is the mapping for another feed?{quoted}"
                )

    def _unquoted(self) -> Iterator[tuple[int, list[str] | Row]]:
        """A record a line."""
        while True:
            try:
                for line in self._lines:
                    if text := line.rstrip("\r\n"):
                        yield self._lines.count, text.split(self._separator)
                return
            except RecordTooLong as error:
                yield self._lines.count, Row(self._lines.count, None, Reject("line", str(error)), True)

    def _quoted(self) -> Iterator[tuple[int, list[str] | Row]]:
        """Records with quoted fields, which may span lines. An unbalanced quote rejects its own line; the lines that it
        would have swallowed are read again."""
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        taken = _Taken(self._lines)
        reader = csv.reader(taken, delimiter=self._separator, quotechar=self._mapping.quoted_by, strict=True)
        while True:
            taken.restart()
            line = self._lines.count + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield (
                    line,
                    self._torn(line, taken.lines, _NOT_CLOSED if "field larger" not in str(error) else str(error)),
                )
                continue
            except RecordTooLong as error:
                yield line, self._torn(line, taken.lines, str(error))
                continue
            if cells is None:
                return
            if len(taken.lines) > 1 and self._holds_records(taken.lines):
                yield line, self._torn(line, taken.lines, _NOT_CLOSED)
            elif cells:
                yield line, cells

    def _torn(self, line: int, taken: list[str], reason: str) -> Row:
        self._unbalanced += 1
        if self._unbalanced > MAX_UNBALANCED:
            raise ImportFailed(
                f"line {line}: quotes do not balance in more than {MAX_UNBALANCED} lines: are fields quoted "
                'otherwise? (quote = "" if it does not)'
            )
        if not taken:
            return Row(line, None, Reject("line", reason), True)
        self._lines.put_back(taken[1:])
        cells = self._before_quote(taken[0])
        return Row(line, dict(zip(self._header, cells, strict=False)), Reject("line", reason, shown(taken[0])), True)

    def _before_quote(self, line: str) -> list[str]:
        """The fields of a line in front of the first quoted one."""
        cells = line.rstrip("\r\n").split(self._separator)
        quote = self._mapping.quoted_by or '"'
        return cells[: next((i for i, cell in enumerate(cells) if cell.startswith(quote)), len(cells))]

    def _holds_records(self, taken: list[str]) -> bool:
        """Whether a field over several lines has swallowed records. Then the line with the first quote is a record by
        itself: it has all fields, with links and prices in their places behind the quote. If no such place is there, a
        line below it must be a record."""
        opened = len(self._before_quote(taken[0]))
        first = taken[0].rstrip("\r\n").split(self._separator)
        if len(first) != len(self._header):
            return False
        telling = self._telling_columns()
        if any(index > opened for index in telling):
            return self._is_record(first, opened + 1)
        return any(self._is_record(cells, 0) for line in taken[1:] for cells in self._readings(line))

    def _readings(self, line: str) -> list[list[str]]:
        text = line.rstrip("\r\n")
        quoted = [list(row) for row in _strictly([text], self._separator, self._mapping.quoted_by)]
        return [*quoted, text.split(self._separator)]

    def _is_record(self, cells: list[str], start: int) -> bool:
        """Whether the cells from `start` on have links and prices where the header has them."""
        places = {index: is_link for index, is_link in self._telling_columns().items() if index >= start}
        return len(cells) == len(self._header) and all(
            cells[index].strip(' "').lower().startswith("http") if is_link else any(map(str.isdigit, cells[index]))
            for index, is_link in places.items()
        )

    def _telling_columns(self) -> dict[int, bool]:
        """The places of links (True) and prices in the header."""
        links, prices = (self._mapping.fields.get(column, ()) for column in ("affiliate_url", "price"))
        return {i: name in links for i, name in enumerate(self._header) if name in links or name in prices}


class _Taken:
    """The lines that a reader of records takes for one record."""

    def __init__(self, lines: Lines) -> None:
        self._all = lines
        self.restart()

    def restart(self) -> None:
        self.lines: list[str] = []
        self._size = 0

    def __iter__(self) -> _Taken:
        return self

    def __next__(self) -> str:
        line = next(self._all)
        self.lines.append(line)
        self._size += len(line)
        if self._size > MAX_RECORD_CHARACTERS:
            raise RecordTooLong
        return line


def _strictly(lines: list[str], separator: str, quote: str | None) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=separator, quotechar=quote, strict=True))
    except csv.Error:
        return []
