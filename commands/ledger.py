"""Imports what networks report and pay, and reports on the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.terminal import api_database, databases, fail, load_settings, note
from db.claims import SERVICE
from db.session import Session
from domain.ledger import payments
from domain.ledger.reports import BadFile, Reject
from domain.ledger.sources import SOURCES
from resolvers import reconciliation
from services import ledger
from services.ledger import Imported
from settings import Settings

IMPORT_TIMEOUT_MS = 10 * 60 * 1000
MAX_FILE_BYTES = 500 * 1024 * 1024
MAX_REJECTS_SHOWN = 20


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            fail(f"{file}: more than {MAX_FILE_BYTES} bytes; split it")
        content = file.read_bytes()
        try:
            text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252")  # spreadsheets save CSV in it
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError as error:
        fail(f"{file}: neither UTF-8 nor UTF-16 nor Windows-1252: {error}")
    if "\x00" in text or "\\u0000" in text:
        fail(f"{file}: contains NUL")
    return text


async def _in_one_transaction(
    settings: Settings, work: Callable[[Session], Awaitable[Any]], *, read_only: bool = False
) -> Any:
    with databases(settings) as dsns:
        async with (
            api_database(settings, dsns) as database,
            database.session(SERVICE, read_only=read_only, statement_timeout_ms=IMPORT_TIMEOUT_MS) as session,
        ):
            return await work(session)


def _finish(done: Imported, rejects: tuple[Reject, ...] | list[Reject], *, ignored: int = 0) -> None:
    counts = {"new": done.new, "there already": done.repeated, "no conversions": ignored, "rejected": len(rejects)}
    for name, count in counts.items():
        if count or name in ("new", "rejected"):
            print(f"{name:16}{count:>10}")
    for reject in rejects[:MAX_REJECTS_SHOWN]:
        note(f"row {reject.row}: {reject.reason}", "yellow")
    if len(rejects) > MAX_REJECTS_SHOWN:
        note(f"and {len(rejects) - MAX_REJECTS_SHOWN} more", "yellow")
    if rejects:
        raise typer.Exit(1)


def import_conversions(
    file: Annotated[Path, typer.Argument(help="What the network reported: JSON or CSV.")],
    network: Annotated[str, typer.Option(help="The code of the network, such as awin.")],
) -> None:
    """Import what a network reports of conversions. A file is one transaction; what is known already is no error. Exits
    with 1 if a row was rejected: the others are imported."""
    source = SOURCES.get(network.strip().lower())
    if source is None:
        fail(f"--network: {network} is unknown; known are {', '.join(sorted(SOURCES))}")
    try:
        reading = source.read(_text(file))
    except BadFile as error:
        fail(f"{file}: {error}; nothing was imported")
    for warning in reading.warnings:
        note(f"aclue: {file}: {warning}", "yellow")

    async def work(session: Session) -> Imported:
        return await ledger.import_reports(session, reading.reports, source="import", origin=file.name[:200])

    done = asyncio.run(_in_one_transaction(load_settings(), work))
    _finish(done, reading.rejects, ignored=reading.ignored)


def import_payments(
    file: Annotated[Path, typer.Argument(help=f"CSV with the header {','.join(payments.COLUMNS)}.")],
) -> None:
    """Import what networks really paid. A file is one transaction; a reference that is known is the same payment, and
    rejected if other values come with it."""
    try:
        rows, rejects = payments.read(_text(file))
    except BadFile as error:
        fail(f"{file}: {error}; nothing was imported")

    async def work(session: Session) -> tuple[Imported, set[str], set[str]]:
        unknown = await ledger.unknown_networks(session, [row.network for row in rows])
        good = [row for row in rows if row.network not in unknown]
        done = await ledger.import_payments(session, good, origin=file.name[:200])
        return done, unknown, set(await ledger.differing_payments(session, good))

    done, unknown, differing = asyncio.run(_in_one_transaction(load_settings(), work))
    for number, row in enumerate(rows, 1):
        if row.network in unknown:
            rejects.append(Reject(number, f"network: {row.network} is unknown"))
        elif row.payment.reference in differing:
            rejects.append(Reject(number, f"{row.payment.reference} is known with other values"))
    _finish(done, rejects)


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if something would change.")] = False,
) -> None:
    """Derive all conversions, postings, settlements and exceptions again from reports, clicks and payments."""

    class Unchanged(Exception):
        pass

    counts: dict[str, int] = {}

    async def work(session: Session) -> int:
        before = await ledger.fingerprint(session)
        done = await ledger.rebuild(session)
        counts.update(done=done, differs=before != await ledger.fingerprint(session))
        if check:
            raise Unchanged
        return done

    with contextlib.suppress(Unchanged):
        asyncio.run(_in_one_transaction(load_settings(), work))
    print(
        f"{counts['done']} conversions were derived again" + ("; what is stored differs" if counts["differs"] else "")
    )
    if check and counts["differs"]:
        raise typer.Exit(1)


def report_reconciliation(
    month: Annotated[str, typer.Option(help="Of orders, such as 2026-07 (default: all).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What was expected, tracked, approved, paid and taken back, by network, shop, month of the order and currency."""
    try:
        first_day = date.fromisoformat(f"{month}-01") if month else None
    except ValueError:
        fail(f"--month: {month} is no month such as 2026-07")

    async def work(session: Session) -> dict[str, Any]:
        return await reconciliation.report(session, first_day)

    found = asyncio.run(_in_one_transaction(load_settings(), work, read_only=True))
    if as_json:
        print(json.dumps(found))
        return
    lines = [["network", "shop", "month", "", *reconciliation.SUMS]]
    for row in found["by"]:
        names = [row["network"], row["retailer"] or "-", row["month"], row["currency"]]
        lines.append([*names, *(row[name] for name in reconciliation.SUMS)])
    for code, sums in found["currencies"].items():
        lines.append(["all", "", month, code, *(sums[name] for name in reconciliation.SUMS)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            text.ljust(width) if n < 4 else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print(f"{found['exceptions']} exceptions are open; {found['unmatched']} conversions came from no click of ours")
