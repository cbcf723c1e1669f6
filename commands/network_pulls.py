"""Pulls what networks report from their APIs, and keeps our accounts there: docs/pulls.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import msgspec
import typer

from commands.terminal import (
    api_database,
    connected_as_owner,
    databases,
    fail,
    lacks_migrations,
    load_settings,
    note,
    progress,
    user_name,
)
from db.claims import SERVICE
from db.database import Database
from db.embedded import Dsns
from db.queries import QUERIES
from domain.feed_mappings import period_seconds
from domain.ledger import generic
from domain.ledger.reports import BadFile
from domain.switches import Switch
from services import network_pulls, switches
from services.network_clients.api import PullFailed
from services.network_clients.client import Account
from services.network_pulls import BadAccount, Done, Pulled
from settings import Settings

Network = Annotated[str, typer.Argument(help="The code of the network.")]
Name = Annotated[str, typer.Argument(help="What we call the account.")]
_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
Result = TypeVar("Result")


def pull(
    network: Annotated[str, typer.Argument(help="The code of the network.")] = "",
    account: Annotated[str, typer.Option(help="One account of it (default: all).")] = "",
    since: Annotated[str, typer.Option(help="From this day on at least, such as 2026-07-01.")] = "",
    accept_rejects: Annotated[
        bool, typer.Option("--accept-rejects", help="Move on past rows that cannot be read.")
    ] = False,
    due: Annotated[
        bool, typer.Option("--due", help="The accounts that are due; a server does this every minute.")
    ] = False,
) -> None:
    """Read what networks report from their APIs, from where the last pull ended. What is known already is no error.
    Exits with 1 if an account failed or a row was rejected."""
    if due == bool(network) or (due and (account or since or accept_rejects)):
        fail("name a network, or give --due alone")
    from_ = _day(since)
    settings = load_settings()

    async def work(database: Database) -> list[Done]:
        if due and Switch.IMPORTS in await switches.off(database):
            fail(str(Switch.IMPORTS.refusal()))
        if due:
            return [done async for done in network_pulls.pull_due(database, settings)]
        found = await network_pulls.accounts(database, network.lower(), account or None)
        if not found:
            fail(f"there is no account {account or 'of ' + network}; see `aclue network account add`")
        return [await _pull(database, settings, each, from_, accept_rejects) for each in found]

    is_complete = True
    for done in _with_database(settings, work):
        is_complete &= _print(done)
    if not is_complete:
        raise typer.Exit(1)


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
    except ValueError:
        fail(f"--since: {text} is no day such as 2026-07-01")


async def _pull(
    database: Database, settings: Settings, account: Account, since: datetime | None, accept_rejects: bool
) -> Done:
    with progress(f"Pulling {account.title}") as advance:
        try:
            pulled = await network_pulls.pull(
                database,
                settings,
                account,
                started_by=user_name(),
                since=since,
                accept_rejects=accept_rejects,
                on_progress=advance,
            )
        except PullFailed as error:
            return Done(account, error=str(error))
    return Done(account, pulled)


def _print(done: Done) -> bool:
    """Prints what came of a pull; whether everything was imported."""
    if done.pulled is None:
        note(f"aclue: {done.account.title}: {done.error}", "red")
        return False
    pulled = done.pulled
    print(f"{done.account.title}: {_counts(pulled)}")
    for reject in pulled.rejects:
        note(reject, "yellow")
    if pulled.rejected > len(pulled.rejects):
        note(f"and {pulled.rejected - len(pulled.rejects)} more", "yellow")
    if pulled.held:
        held = ", ".join(sorted(pulled.held))
        note(f"{held}: the next pull begins before the rejected rows (--accept-rejects moves on)", "yellow")
    return not pulled.rejected


def _counts(pulled: Pulled) -> str:
    return (
        f"{pulled.new} new, {pulled.repeated} there already, {pulled.ignored} no conversions, "
        f"{pulled.rejected} rejected; {pulled.windows} windows, {pulled.requests} requests"
    )


def add_account(
    network: Network,
    name: Name,
    publisher: Annotated[str, typer.Option(help="Our id there: the publisher, or the account's SID.")],
    secret: Annotated[
        list[str] | None, typer.Option(help="NAME=VARIABLE: the variable SOURCE_... that holds a secret.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as the network needs it.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="How rows are read (TOML), for webgains.")] = None,
    url: Annotated[str | None, typer.Option(help="Of the API, if it is not the network's own.")] = None,
    every: Annotated[str | None, typer.Option(help="How often: 30m, 6h, 1d. Default: by hand only.")] = None,
) -> None:
    """Add an account, or replace its definition. Secrets stay in the environment."""
    every_seconds = period_seconds(every) if every else None
    if every and every_seconds is None:
        fail("--every: a number and m, h or d: 5m to 31d")
    if not _NAME.fullmatch(name) or len(name) > 100:
        fail(f"{name}: small letters, digits, - and _, at most 100")
    account = Account(
        network.lower(),
        name,
        publisher,
        url,
        _pairs("--secret", secret),
        _pairs("--option", option),
        _mapping(mapping),
        every_seconds,
    )

    async def work(owner: asyncpg.Connection[Any]) -> None:
        try:
            await network_pulls.put_account(owner, account)
        except BadAccount as error:
            fail(str(error))
        except asyncpg.ForeignKeyViolationError:
            fail(f"there is no network {network}; see `aclue network list`")

    _as_owner(work)
    print(f"{account.title} is {'pulled every ' + every if every else 'pulled by hand: aclue pull ' + account.network}")


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            fail(f"{option}: {text!r} is not NAME=VALUE, or given twice")
        found[name] = value
    return found


def _mapping(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return msgspec.json.encode(generic.parse_mapping(file.read_text())).decode()
    except (OSError, UnicodeDecodeError, BadFile) as error:
        fail(f"--mapping: {file}: {error}")


def list_accounts() -> None:
    """Print the accounts: how often they are pulled, up to when they were read, and how the last pull ended."""

    async def work(database: Database) -> list[tuple[Account, list[asyncpg.Record], asyncpg.Record | None]]:
        found = []
        for account in await network_pulls.accounts(database):
            named = {"affiliate_network": account.network, "account_name": account.name}
            async with database.session(SERVICE, read_only=True) as session:
                watermarks = await session.fetch("network_pulls.watermarks", **named)
                found.append((account, watermarks, await session.fetchrow("network_pulls.newest", **named, size=1)))
        return found

    rows = _with_database(load_settings(), work)
    for account, watermarks, last in rows:
        every = f"every {account.every_seconds // 60} minutes" if account.every_seconds else "by hand"
        secrets = ", ".join(sorted(set(account.secrets.values())))
        print(f"{account.title}  publisher {account.publisher_id}  {every}  {secrets}")
        for row in watermarks:
            print(f"    {row['date_type']:14} read until {row['read_until']:%Y-%m-%d %H:%M}")
        if last is not None:
            counts = f"{last['new_reports']} new, {last['rejected_rows']} rejected, {last['requests']} requests"
            failed = f"; {last['failures']} failures in a row: {last['error']}" if last["error"] else ""
            print(
                f"    {last['outcome']} {last['started_at']:%Y-%m-%d %H:%M} by {last['started_by']}: {counts}{failed}"
            )
    if not rows:
        print("there are no accounts: aclue network account add")


def remove_account(network: Network, name: Name) -> None:
    """Forget an account, and up to when it was read. Conversions and the record of its pulls stay."""

    async def work(owner: asyncpg.Connection[Any]) -> None:
        if await owner.fetchval(QUERIES["network_accounts.remove"].sql, network.lower(), name) is None:
            fail(f"there is no account {network}/{name}")

    _as_owner(work)


def _as_owner(work: Callable[[asyncpg.Connection[Any]], Awaitable[None]]) -> None:
    async def run(dsns: Dsns) -> None:
        async with connected_as_owner(dsns) as owner:
            await work(owner)

    with databases(load_settings()) as dsns:
        try:
            asyncio.run(run(dsns))
        except asyncpg.InsufficientPrivilegeError:
            fail("MIGRATION_DATABASE_URL: accounts are the owner's, and DATABASE_URL is not the owner's log-in")


def _with_database(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    async def run(dsns: Dsns) -> Result:
        async with api_database(settings, dsns) as database:
            return await work(database)

    with databases(settings) as dsns:
        try:
            return asyncio.run(run(dsns))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if lacks_migrations(error):
                raise
            fail(f"the database: {error or type(error).__name__}")
