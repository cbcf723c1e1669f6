"""Exports a person's data as JSON lines, a page at a time: a header, a line per row, and a last line with the counts,
which a truncated file lacks.

Postgres renders the lines and splits the pages by bytes, so neither side ever holds more than a page, and no row is
decoded or encoded here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from db.personal_data import LOG_IN, NOT_EXPORTED, READ_BY_PERSON, READ_BY_SERVICE, Personal
from db.queries import QUERIES

FORMAT, FORMAT_VERSION = "aclue-export", "2"
PAGE_BYTES = 256 * 1024  # exceeded only by a single row that is larger
FIRST_PAGE_ROWS, MAX_PAGE_ROWS = 64, 2_000


class Reader(Protocol):
    """Runs statements in one transaction, on one snapshot. It starts with the rights of service_role."""

    async def run(self, sql: str, arguments: Sequence[Any]) -> Sequence[asyncpg.Record]: ...

    async def switch_to_person(self) -> None:
        """Switches to the person's own claims, under which row level security decides."""


async def pages(reader: Reader, person: UUID) -> AsyncGenerator[bytes, None]:
    """All stored data of a person. Raises what the reader raises."""
    log_in = await reader.run(QUERIES["exports.log_in"].sql, [person])
    declared = {**READ_BY_SERVICE, **READ_BY_PERSON}
    roles = ["service_role" if name in READ_BY_SERVICE else "authenticated" for name in declared]
    known = {row["name"]: row for row in await reader.run(QUERIES["exports.tables"].sql, [list(declared), roles])}
    columns = {
        name: [column for column in known[name]["columns"] if column not in table.left_out]
        for name, table in declared.items()
    }
    at = next(iter(known.values()))["at"]
    yield _header(person, at, {**{row["name"]: row["columns"] or [] for row in log_in}, **columns})
    counts = {row["name"]: row["rows"] for row in log_in}
    for row in log_in:
        if row["lines"]:
            yield row["lines"]
    for tables in (READ_BY_SERVICE, READ_BY_PERSON):
        if tables is READ_BY_PERSON:
            await reader.switch_to_person()
        for name, table in tables.items():
            counts[name] = 0
            key = dict(zip(known[name]["key"], known[name]["types"], strict=True))
            async for rows, lines in _pages_of(reader, person, name, table, columns[name], key):
                counts[name] += rows
                yield lines
    yield _line({"kind": "end", "complete": True, "rows": sum(counts.values()), "tables": counts})


def _header(person: UUID, at: datetime, columns: Mapping[str, list[str]]) -> bytes:
    left_out = {name: table.left_out for name, table in {**LOG_IN, **READ_BY_SERVICE, **READ_BY_PERSON}.items()}
    return _line(
        {
            "kind": "header",
            "format": FORMAT,
            "formatVersion": FORMAT_VERSION,
            "generatedAt": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "profileId": str(person),
            "tables": {name: {"columns": columns[name], "leftOut": dict(left_out[name])} for name in columns},
            "notExported": dict(NOT_EXPORTED),
        }
    )


def _line(members: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(members) + b"\n"


async def _pages_of(
    reader: Reader, person: UUID, name: str, table: Personal, columns: list[str], key: Mapping[str, str]
) -> AsyncIterator[tuple[int, bytes]]:
    """The number of rows and the lines of each page of a table, in the order of its key."""
    # The person's column is constant; tables with one row per person have no other key.
    order = {column: kind for column, kind in key.items() if column != table.person} or dict(key)
    limit, after = FIRST_PAGE_ROWS, None
    while True:
        sql = _statement(name, table.person, columns, order, is_first=after is None)
        arguments = [person, limit, PAGE_BYTES] if after is None else [person, limit, PAGE_BYTES, after]
        (page,) = await reader.run(sql, arguments)
        if page["rows"]:
            yield page["rows"], page["lines"]
        if page["rows"] == page["seen"] < limit:
            return
        after = page["last"]
        # Rows that do not fit would be rendered for nothing, so the number of rows is estimated from the last page.
        limit = min(1 + PAGE_BYTES * page["rows"] // len(page["lines"]), MAX_PAGE_ROWS)


def _statement(name: str, person: str, columns: list[str], order: Mapping[str, str], *, is_first: bool) -> str:
    """A page for person $1: at most $2 rows and $3 bytes, but at least one row, after the key $4."""
    keys = ", ".join(order)
    as_text = ", ".join(f"{column}::text" for column in order)
    bounds = ", ".join(f"($4::text[])[{place}]::{kind}" for place, kind in enumerate(order.values(), start=1))
    after = "" if is_first else f" and ({keys}) > ({bounds})"
    line = f"""'{{"kind":"row","table":"{name}","row":' || row_to_json(r)::text || '}}' || E'\\n'"""
    return (
        "with rendered as ("
        f"select {', '.join(f'r.{column}' for column in order)}, {line} as line from"
        f" (select {', '.join(columns)} from {name} where {person} = $1{after} order by {keys} limit $2) r"
        "), sized as ("
        f"select {keys}, line, row_number() over so_far as number, sum(octet_length(line)) over so_far as bytes"
        f" from rendered window so_far as (order by {keys} rows unbounded preceding)"
        "), page as (select * from sized where number = 1 or bytes <= $3) "
        "select count(*)::int as rows, (select count(*)::int from rendered) as seen,"
        f" (select array[{as_text}] from page order by number desc limit 1) as last,"
        " convert_to(string_agg(line, '' order by number), 'UTF8') as lines from page"
    )
