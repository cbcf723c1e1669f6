"""Imports what networks report and pay, and reports on the ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from commands.terminal import api_database, databases, fail, lacks_migrations, load_settings, note
from db.claims import SERVICE
from db.embedded import Dsns
from db.session import Session
from domain.currencies import EXPONENTS
from domain.errors import AclueError, SwitchedOff, UserError
from domain.ledger import generic, payments, rates
from domain.ledger.reports import BadFile, Reject
from domain.ledger.sources import SOURCES
from domain.switches import Switch
from resolvers import reconciliation
from services import conversion_flags, ledger, switches
from services.ledger import Imported
from settings import Settings

IMPORT_TIMEOUT_MS = 10 * 60 * 1000
MAX_FILE_BYTES = 500 * 1024 * 1024
MAX_REJECTS_SHOWN = 20

Result = TypeVar("Result")


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


def in_one_transaction(
    settings: Settings,
    work: Callable[[Session], Awaitable[Result]],
    *,
    read_only: bool = False,
    timeout_ms: int | None = IMPORT_TIMEOUT_MS,
    failure: str = "the transaction was rolled back",
) -> Result:
    """What the work returns, done as service_role; it is repeated after a conflict, and the command fails, with this
    said before the reason, if the transaction does. `timeout_ms`: of a statement; None: DATABASE_STATEMENT_TIMEOUT."""

    async def run(dsns: Dsns) -> Result:
        async with api_database(settings, dsns) as database:
            if not read_only:
                return await database.transaction(SERVICE, work, statement_timeout_ms=timeout_ms)
            async with database.session(SERVICE, read_only=True, statement_timeout_ms=timeout_ms) as session:
                return await work(session)

    with databases(settings) as dsns:
        try:
            return asyncio.run(run(dsns))
        except (UserError, SwitchedOff) as error:
            fail(str(error))
        except (AclueError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if lacks_migrations(error):
                raise
            fail(f"{failure}: {error}")


def mapping_of(file: Path) -> generic.Mapping:
    """The mapping in a file of TOML."""
    try:
        return generic.parse_mapping(_text(file))
    except BadFile as error:
        fail(f"{file}: {error}")


def _numbered(rows: Sequence[Result], rejects: Sequence[Reject]) -> list[tuple[int, Result]]:
    """The rows that could be read, with their numbers in the file."""
    bad = {reject.row for reject in rejects}
    numbers = (number for number in range(1, len(rows) + len(bad) + 1) if number not in bad)
    return list(zip(numbers, rows, strict=True))


def _finish(done: Imported, rejects: tuple[Reject, ...] | list[Reject], *, ignored: int = 0) -> None:
    counts = {"new": done.new, "there already": done.repeated, "no conversions": ignored, "rejected": len(rejects)}
    for name, count in counts.items():
        if count or name in ("new", "rejected"):
            print(f"{name:16}{count:>10}")
    for reject in sorted(rejects, key=lambda reject: reject.row)[:MAX_REJECTS_SHOWN]:
        note(f"row {reject.row}: {reject.reason}", "yellow")
    if len(rejects) > MAX_REJECTS_SHOWN:
        note(f"and {len(rejects) - MAX_REJECTS_SHOWN} more", "yellow")
    if rejects:
        raise typer.Exit(1)


def import_conversions(
    file: Annotated[Path, typer.Argument(help="What the network reported: JSON or CSV.")],
    network: Annotated[str, typer.Option(help="The code of the network, such as awin.")],
    mapping: Annotated[
        Path | None, typer.Option(help="How to read files of another network (TOML): docs/money.md.")
    ] = None,
) -> None:
    """Import what a network reports of conversions. A file is one transaction; what is known already is no error. Exits
    with 1 if a row was rejected: the others are imported."""
    code = network.strip().lower()
    if mapping is not None and code in SOURCES:
        fail(f"--mapping: the reports of {code} are read without one")
    if mapping is None and code not in SOURCES:
        fail(f"--network: {network} needs a --mapping; without one: {', '.join(sorted(SOURCES))}")
    source = SOURCES[code] if mapping is None else generic.source(code, mapping_of(mapping))
    try:
        reading = source.read(_text(file))
    except BadFile as error:
        fail(f"{file}: {error}; nothing was imported")
    for warning in reading.warnings:
        note(f"aclue: {file}: {warning}", "yellow")

    async def work(session: Session) -> Imported | None:
        await switches.require(session, Switch.IMPORTS)
        if await ledger.unknown_networks(session, [code]):
            return None
        done = await ledger.import_reports(session, reading.reports, source="import", origin=file.name[:200])
        await conversion_flags.update(session, settings.fraud_limits, {key.id for key in done.keys})
        return done

    settings = load_settings()
    done = in_one_transaction(settings, work)
    if done is None:
        fail(f"--network: there is no network {code}")
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

    async def work(session: Session) -> tuple[Imported, set[str], list[payments.PaymentRow]]:
        await switches.require(session, Switch.IMPORTS)
        unknown = await ledger.unknown_networks(session, [row.network for row in rows])
        good = [row for row in rows if row.network not in unknown]
        done = await ledger.import_payments(session, good, origin=file.name[:200])
        return done, unknown, await ledger.differing_payments(session, good)

    done, unknown, differing = in_one_transaction(load_settings(), work)
    for number, row in _numbered(rows, rejects):
        if row.network in unknown:
            rejects.append(Reject(number, f"network: {row.network} is unknown"))
        elif row in differing:
            rejects.append(Reject(number, f"{row.payment.reference} is known with other values"))
    _finish(done, rejects)


def import_rates(
    file: Annotated[Path, typer.Argument(help=f"CSV with the header {','.join(rates.COLUMNS)}.")],
) -> None:
    """Import exchange rates: how many units of the reporting currency (DEFAULT_CURRENCY) one unit of a currency is
    worth. A rate of a day and source that is known is rejected if it has another value."""
    settings = load_settings()
    try:
        found, rejects = rates.read(_text(file), settings.default_currency)
    except BadFile as error:
        fail(f"{file}: {error}; nothing was imported")

    async def work(session: Session) -> tuple[Imported, set[rates.Rate]]:
        await switches.require(session, Switch.IMPORTS)
        return await ledger.import_rates(session, found, settings.default_currency)

    done, differing = in_one_transaction(settings, work)
    for number, rate in _numbered(found, rejects):
        if rate in differing:
            rejects.append(Reject(number, f"{rate.currency} of {rate.day} by {rate.source} is known with another rate"))
    _finish(done, rejects)


def advertiser(
    network: Annotated[str, typer.Argument(help="The code of the network.")],
    advertiser_id: Annotated[str, typer.Argument(help="The advertiser's id there.")],
    shop: Annotated[str, typer.Argument(help="The slug of the shop.")],
    currency: Annotated[str, typer.Option(help="For amounts in this currency only.")] = "",
) -> None:
    """Say which shop a network's advertiser is. Conversions without a click are then the shop's, and may be matched by
    the time of the click."""
    code = currency.upper() or None
    if code is not None and code not in EXPONENTS:
        fail(f"--currency: {currency} is no currency of ISO 4217")

    async def work(session: Session) -> int | None:
        if await ledger.unknown_networks(session, [network.lower()]):
            fail(f"there is no network {network}")
        return await ledger.set_advertiser(session, network.lower(), advertiser_id, shop, code)

    done = in_one_transaction(load_settings(), work)
    if done is None:
        fail(f"there is no shop {shop}")
    print(f"{done} conversions were derived again")


def overdue(
    network: Annotated[str, typer.Argument(help="The code of the network.")],
    days: Annotated[int, typer.Argument(help="From 1 to 1000.", min=1, max=1000)],
) -> None:
    """Say after how many days a network's commission that is still pending is overdue."""

    async def work(session: Session) -> str | None:
        code: str | None = await session.fetchval("alerts.set_overdue_days", network=network.lower(), days=days)
        return code

    if in_one_transaction(load_settings(), work) is None:
        fail(f"there is no network {network}")


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if something would change.")] = False,
) -> None:
    """Derive all conversions, postings, settlements and exceptions again from reports, clicks and payments."""

    async def work(session: Session) -> tuple[int, bool]:
        found = await ledger.rebuild_and_compare(session)
        await conversion_flags.update_all(session, settings.fraud_limits)
        if check:
            session.mark_rollback()
        return found

    settings = load_settings()
    done, differs = in_one_transaction(settings, work)
    print(f"{done} conversions were derived again" + ("; what is stored differs" if differs else ""))
    if check and differs:
        raise typer.Exit(1)


def report_reconciliation(
    month: Annotated[str, typer.Option(help="Of orders, such as 2026-07 (default: all).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    reporting: Annotated[
        bool, typer.Option("--reporting", help="Also in the reporting currency (DEFAULT_CURRENCY).")
    ] = False,
) -> None:
    """What was expected, tracked, approved, paid and taken back, by network, shop, month of the order and currency."""
    try:
        first_day = date.fromisoformat(f"{month}-01") if month else None
    except ValueError:
        fail(f"--month: {month} is no month such as 2026-07")

    settings = load_settings()

    async def work(session: Session) -> dict[str, Any]:
        return await reconciliation.report(session, first_day, settings.default_currency if reporting else None)

    found = in_one_transaction(settings, work, read_only=True)
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
    for row in found["overdue"]:
        of = f"{row['network']} {row['retailer'] or row['advertiser']} {row['month']}"
        count = row["conversions"]
        print(f"overdue: {of}: {row['amount']} {row['currency']} of {count} conversions, up to {row['days']} days old")
    if reporting:
        print("; ".join(f"{name} {amount or 'unknown'}" for name, amount in found["reporting"].items()))
    print(f"{found['exceptions']} exceptions are open; {found['unmatched']} conversions came from no click of ours")
