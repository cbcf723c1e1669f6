"""`aclue doctor`: how the running database is. docs/doctor.md"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from commands.terminal import connected, connected_as_owner, databases, fail, load_settings
from db import data_folder
from db import doctor as readings
from db.embedded import Dsns
from domain.doctor import Finding, Growth, Reading, Severity, Slower, findings, growth, slower
from settings import Settings

SHOWN = 10
ROLL_BACK = 4  # 2 is the command line's own, 3 is that of `verify`
_STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


class Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What --json prints, and --compare reads."""

    reading: Reading
    index_usage: float | None
    growth: Growth | None
    slower: list[Slower]
    findings: list[Finding]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
    compare: Annotated[
        Path | None, typer.Option(help="A file that --json wrote before a release: says what is over 3 times slower.")
    ] = None,
) -> None:
    """Say how the running database is: statements, indexes, bloat, locks, connections, growth. Changes nothing.

    Exit code 0: nothing critical. 1: something is critical, or there is no connection. 4: something is over three times
    slower than before a release: roll back.
    """
    before = None if compare is None else _earlier(compare)
    settings = load_settings()
    with databases(settings) as dsns:
        try:
            reading = asyncio.run(_read(settings, dsns))
        except asyncpg.InsufficientPrivilegeError as error:
            fail(f"this needs the owner's log-in, MIGRATION_DATABASE_URL: {error}")
    forecast = growth(reading, before)
    report = Report(
        reading=reading,
        index_usage=reading.index_usage,
        growth=forecast,
        slower=slower(before, reading) if before else [],
        findings=findings(reading, forecast),
    )
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _show(report, is_compared=before is not None)
    if report.slower:
        raise typer.Exit(ROLL_BACK)
    raise typer.Exit(any(finding.severity is Severity.CRITICAL for finding in report.findings))


async def _read(settings: Settings, dsns: Dsns) -> Reading:
    data = data_folder.data_of(settings.home) if settings.uses_embedded_server else None
    opened = connected(dsns.superuser, "ACLUE_HOME") if dsns.superuser else connected_as_owner(dsns)
    async with opened as connection:
        return await readings.read(connection, data)


def _earlier(file: Path) -> Reading:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Report).reading
    except OSError as error:
        fail(f"--compare {file}: {error.strerror}")
    except msgspec.DecodeError as error:
        fail(f"--compare {file}: was not written by `aclue doctor --json`: {error}")


def _show(report: Report, *, is_compared: bool) -> None:
    console = Console(highlight=False)
    reading, use = report.reading, report.reading.connections
    usage = "not enough scans" if report.index_usage is None else f"{report.index_usage:.0%}"
    facts = [
        ("PostgreSQL", reading.version),
        ("size", _size(reading.bytes)),
        (
            "connections",
            f"{use.used} of {use.usable}, {use.active} active, {use.idle_in_transaction} idle in transaction",
        ),
        ("waiting for locks", str(len(reading.locks))),
        ("scans by index", f"{usage} of those of large tables"),
        ("growth", _growth(report.growth)),
    ]
    grid = Grid(box=None, show_header=False, pad_edge=False)
    for name, text in facts:
        grid.add_row(name, text)
    console.print(grid)
    if reading.statements:
        _print(console, "statement", ("grade", "mean ms", "total s", "calls/h"), [
            (each.query, each.performance_grade, f"{each.mean_time:.1f}", f"{each.total_time / 1000:.1f}",
             f"{each.calls_per_hour:.0f}") for each in reading.statements[:SHOWN]])  # fmt: skip
    _print(console, "table", ("size", "rows", "dead", "empty"), [
        (each.name, _size(each.bytes), str(max(0, each.rows)), str(each.dead), _size(each.bloat_bytes))
        for each in reading.tables[:SHOWN]])  # fmt: skip
    if reading.unused_indexes:
        _print(console, "index without a scan", ("size", "of"), [
            (each.name, _size(each.bytes), each.table_name) for each in reading.unused_indexes[:SHOWN]])  # fmt: skip
    for finding in report.findings:
        console.print(Text(f"\n{finding.severity.value}: {finding.what}", _STYLES[finding.severity]), soft_wrap=True)
        console.print(Text(f"  {finding.advice}"), soft_wrap=True)
    for each in report.slower:
        ratio = f"{each.after / each.before:.1f} times" if each.before else "much"
        console.print(
            Text(f"\n{ratio} slower: {each.before:.1f} ms, now {each.after:.1f} ms: {each.query[:200]}", "bold red"),
            soft_wrap=True,
        )
    if report.slower:
        console.print(Text("\nroll back: docs/deployment.md", "bold red"))
    elif is_compared:
        console.print("\nnothing is over three times slower than before")


def _print(console: Console, first: str, others: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    grid = Grid(first, box=None, pad_edge=False)
    for name in others:
        grid.add_column(name, justify="right")
    for text, *cells in rows:
        grid.add_row(Text(" ".join(text.split())[:90]), *cells)
    console.print()
    console.print(grid)


def _growth(forecast: Growth | None) -> str:
    if forecast is None:
        return "not known yet: statistics are younger than an hour"
    ahead = ", ".join(f"{_size(size)} in {days} days" for days, size in forecast.bytes_in.items())
    full = "" if forecast.days_until_full is None else f"; disk 85 % full in {forecast.days_until_full:.0f} days"
    return f"{_size(forecast.bytes_per_day)} a day, by {forecast.basis}: {ahead}{full}"


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if abs(number) >= 1e9 else f"{number / 1e6:.1f} MB"
