"""Pulls: what networks report is read from their APIs, by hand or on a schedule. docs/pulls.md

A pull reads each stream of an account from a little before its watermark until now, window by window. A window is read
in full before anything of it is written; its reports and the new watermark are one transaction. So a pull that fails or
is killed has imported whole windows, and the next one continues. What is read twice is imported once.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from db.claims import SERVICE
from db.database import Database
from db.queries import QUERIES
from db.session import Session
from domain.errors import AclueError
from domain.fraud import Limits
from domain.ledger.reports import BadFile, Reading, Report
from domain.switches import Switch
from services import conversion_flags, ledger, subcommands, switches
from services.network_clients.api import REQUEST_SECONDS, Api, PullFailed, Sleep
from services.network_clients.client import Account, Client, Reader, Stream, Window
from services.network_clients.clients import CLIENTS
from services.services import Services
from settings import Settings, source_secret

SCHEDULE = "schedule"
SCHEDULE_PATIENCE_SECONDS = 120.0
"""For how long a network may fail and be waited for in a scheduled pull."""
MAX_NETWORKS_AT_ONCE = 4
DUE_INTERVAL_SECONDS = 60.0
IMPORT_TIMEOUT_MS = 10 * 60 * 1000
MAX_RETRY_SECONDS = 24 * 3600.0
MAX_REASON_CHARACTERS = 300
MAX_ERROR_CHARACTERS = 1000
MAX_REJECTS_KEPT = 20
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class BadAccount(ValueError):
    """An account that cannot be pulled as it is defined; the message has a line for each complaint."""


class NotDue(Exception):
    """Another process has begun the scheduled pull."""


class PullsFailed(Exception):
    """The process that pulls has failed; the message is the end of its output."""


@dataclass(slots=True)
class Pulled:
    """Counts of a pull. `rejects` says why rows were refused; `held` names the streams whose watermark stays before
    them."""

    requests: int = 0
    windows: int = 0
    new: int = 0
    repeated: int = 0
    ignored: int = 0
    rejects: list[str] = field(default_factory=list)
    rejected: int = 0
    held: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Done:
    """An account that was pulled, or why it was not."""

    account: Account
    pulled: Pulled | None = None
    error: str | None = None


async def put_account(owner: asyncpg.Connection[Any], account: Account) -> None:
    """Stores an account, or replaces it. Raises BadAccount."""
    client = CLIENTS.get(account.network)
    if client is None:
        raise BadAccount(f"{account.network} has no API client; there are: {', '.join(sorted(CLIENTS))}")
    if complaints := list(client.complaints(account)):
        raise BadAccount("\n".join(complaints))
    named = (account.network, account.name)
    async with owner.transaction():
        await owner.execute(QUERIES["network_accounts.forget_watermarks"].sql, *named, account.publisher_id)
        await owner.execute(
            QUERIES["network_accounts.put"].sql,
            *named,
            account.publisher_id,
            account.base_url,
            json.dumps(dict(account.secrets)),
            json.dumps(dict(account.options)),
            account.mapping,
            account.every_seconds,
        )


async def accounts(database: Database, network: str | None = None, name: str | None = None) -> list[Account]:
    """The accounts of a network (None: of all), or the one of this name."""
    async with database.session(SERVICE, read_only=True) as session:
        rows = await session.fetch("network_accounts.find", affiliate_network=network, name=name)
    return [
        Account(
            row["affiliate_network"],
            row["name"],
            row["publisher_id"],
            row["base_url"],
            json.loads(row["secrets"]),
            json.loads(row["options"]),
            row["mapping"],
            row["every_seconds"],
        )
        for row in rows
    ]


async def pull(
    database: Database,
    settings: Settings,
    account: Account,
    *,
    started_by: str,
    since: datetime | None = None,
    accept_rejects: bool = False,
    now: datetime | None = None,
    sleep: Sleep = asyncio.sleep,
    seconds: float = REQUEST_SECONDS,
    on_progress: Callable[[str], None] | None = None,
) -> Pulled:
    """Pulls an account, and records it. `since`: from then on at least, and in any case what was not read yet. A
    watermark stays before a window with rejected rows, unless `accept_rejects`. Raises PullFailed, and NotDue if it is
    the schedule's and nothing is to be done."""
    client = CLIENTS[account.network]
    if complaints := list(client.complaints(account)):
        raise PullFailed("; ".join(complaints))
    now = now or datetime.now(UTC)
    if since is not None and not _EARLIEST <= since < now:
        raise PullFailed(f"since {since:%Y-%m-%d}: that is before {_EARLIEST.year}, or not in the past")
    if Switch.IMPORTS in await switches.off(database):
        raise PullFailed(str(Switch.IMPORTS.refusal()))
    named = {"affiliate_network": account.network, "account_name": account.name}
    async with database.session(SERVICE, read_only=False) as session:
        await session.fetch("network_pulls.lock")
        if started_by == SCHEDULE and (account.network, account.name) not in await _due(session):
            raise NotDue
        await session.fetch("network_pulls.interrupt", **named)
        await session.fetch("network_pulls.forget")
        id_ = await session.fetchval("network_pulls.begin", **named, started_by=started_by[:200], since=since)
        read = {row["date_type"]: row["read_until"] for row in await session.fetch("network_pulls.watermarks", **named)}
    api = Api(
        client,
        account,
        source_secret,
        is_private_allowed=settings.allow_private_sources,
        sleep=_heard(database, id_, sleep),
        seconds=seconds,
        patience=SCHEDULE_PATIENCE_SECONDS if started_by == SCHEDULE else math.inf,
    )
    run = _Pull(
        database, client, account, api, id_, now, accept_rejects, settings.fraud_limits, on_progress or (lambda _: None)
    )
    try:
        for stream in client.streams:
            await run.read(stream, read.get(stream.name), since)
    except BaseException as error:
        failure = _explained(error)
        retry_after = error.retry_after if isinstance(error, PullFailed) else 0.0
        await asyncio.shield(
            _finish(database, id_, "failed", api.requests, failure or type(error).__name__, retry_after)
        )
        if failure is None:
            raise
        raise PullFailed(failure) from None
    run.pulled.requests = api.requests
    await _finish(database, id_, "done", api.requests, None)
    return run.pulled


async def _due(session: Session) -> set[tuple[str, str]]:
    return {(row["affiliate_network"], row["name"]) for row in await session.fetch("network_pulls.due")}


def _storable(reason: str) -> str:
    return reason[:MAX_REASON_CHARACTERS].encode(errors="replace").decode()


def _explained(error: BaseException) -> str | None:
    """What an expected failure is; None: it is a fault of ours."""
    if isinstance(error, PullFailed):
        return str(error)[:MAX_ERROR_CHARACTERS]
    if isinstance(error, AclueError | asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
        return f"the database: {type(error).__name__}"
    return None


async def _finish(
    database: Database, id_: UUID, outcome: str, requests: int, error: str | None, retry_after: float = 0.0
) -> None:
    async with database.session(SERVICE, read_only=False) as session:
        await session.fetch(
            "network_pulls.finish",
            id=id_,
            outcome=outcome,
            requests=requests,
            error=error,
            retry_after_seconds=min(retry_after, MAX_RETRY_SECONDS),
        )


def _heard(database: Database, id_: UUID, sleep: Sleep) -> Sleep:
    """Sleeps in parts, and says after each that the pull lives."""

    async def sleeping(seconds: float) -> None:
        while seconds > 0:
            part = min(seconds, 60.0)
            await sleep(part)
            seconds -= part
            async with database.session(SERVICE, read_only=False) as session:
                await session.fetch("network_pulls.seen", id=id_)

    return sleeping


@dataclass(slots=True)
class _Pull:
    database: Database
    client: Client
    account: Account
    api: Api
    id: UUID
    now: datetime
    accept_rejects: bool
    limits: Limits
    on_progress: Callable[[str], None]
    pulled: Pulled = field(default_factory=Pulled)

    async def read(self, stream: Stream, read_until: datetime | None, since: datetime | None) -> None:
        """Reads a stream from where it was read to, or an earlier time, until now."""
        start = read_until - stream.overlap if read_until else since or self.now - stream.history
        if since is not None:
            start = min(start, since)
        reader = self.client.reader(self.account)
        for window in stream.windows(start, self.now):
            self.api.begin_window()
            self.on_progress(f"{stream.name} until {window.end:%Y-%m-%d}")
            await self._import(stream, window, [reading async for reading in self._readings(stream, window, reader)])

    async def _readings(self, stream: Stream, window: Window, reader: Reader) -> AsyncIterator[Reading]:
        async for text in self.client.fetch(self.api, stream, window):
            try:
                yield reader(text)
            except BadFile as error:
                raise PullFailed(f"{stream.name} of {window.start:%Y-%m-%d}: {error}") from None

    async def _import(self, stream: Stream, window: Window, readings: list[Reading]) -> None:
        reports: list[Report] = [report for reading in readings for report in reading.reports]
        rejects = [
            _storable(f"{stream.name} of {window.start:%Y-%m-%d}, row {reject.row}: {reject.reason}")
            for reading in readings
            for reject in reading.rejects
        ]
        ignored = sum(reading.ignored for reading in readings)
        if rejects and not self.accept_rejects:
            self.pulled.held.add(stream.name)
        named = {"affiliate_network": self.account.network, "account_name": self.account.name}

        async def write(session: Session) -> ledger.Imported:
            done = await ledger.import_reports(session, reports, source="pull", origin=self.account.title[:200])
            await conversion_flags.update(session, self.limits, {key.id for key in done.keys})
            if stream.name not in self.pulled.held:
                until = min(window.end, self.now)
                await session.fetch("network_pulls.advance", **named, date_type=stream.name, read_until=until)
            await session.fetch(
                "network_pulls.add",
                id=self.id,
                windows=1,
                new_reports=done.new,
                repeated_reports=done.repeated,
                ignored_rows=ignored,
                rejected_rows=len(rejects),
                rejects=rejects[:MAX_REJECTS_KEPT],
            )
            return done

        done = await self.database.transaction(SERVICE, write, statement_timeout_ms=IMPORT_TIMEOUT_MS)
        self.pulled.windows += 1
        self.pulled.new += done.new
        self.pulled.repeated += done.repeated
        self.pulled.ignored += ignored
        self.pulled.rejected += len(rejects)
        self.pulled.rejects = (self.pulled.rejects + rejects)[:MAX_REJECTS_KEPT]


async def pull_due(
    database: Database, settings: Settings, *, interval: float = DUE_INTERVAL_SECONDS
) -> AsyncIterator[Done]:
    """Pulls the accounts that are due, and those that become due meanwhile: networks beside each other, the accounts of
    one in turn. So a network that is slow holds up no other. The failure of one stops no other, and it is not tried
    again here."""
    running: dict[str, asyncio.Task[list[Done]]] = {}
    failed: set[tuple[str, str]] = set()
    try:
        while True:
            is_on = Switch.IMPORTS not in await switches.off(database)  # else what runs is finished
            async with database.session(SERVICE, read_only=True) as session:
                due = sorted(await _due(session) - failed) if is_on else []
            for network in dict.fromkeys(network for network, _ in due):
                if network not in running and len(running) < MAX_NETWORKS_AT_ONCE:
                    names = [name for of, name in due if of == network]
                    running[network] = asyncio.create_task(_pull_network(database, settings, network, names))
            if not running:
                return
            await asyncio.wait(running.values(), timeout=interval, return_when=asyncio.FIRST_COMPLETED)
            for network in [network for network, task in running.items() if task.done()]:
                for done in running.pop(network).result():
                    if done.error is not None:
                        failed.add((done.account.network, done.account.name))
                    yield done
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _pull_network(database: Database, settings: Settings, network: str, names: Sequence[str]) -> list[Done]:
    found = []
    for name in names:
        for account in await accounts(database, network, name):
            try:
                found.append(Done(account, await pull(database, settings, account, started_by=SCHEDULE)))
            except NotDue:
                continue
            except PullFailed as error:
                found.append(Done(account, error=str(error)))
            except Exception as error:
                found.append(Done(account, error=f"a fault of ours: {type(error).__name__}"))
    return found


async def run_due(services: Services) -> int:
    """Starts the pull of accounts that are due, in a process of its own. Returns how many were. Raises PullsFailed."""
    async with services.database.session(SERVICE, read_only=True) as session:
        due = len(await _due(session))
    if due and Switch.IMPORTS not in await switches.off(services.database):
        code, errors = await subcommands.run("pull", "--due", DATABASE_URL=services.database.dsn)
        if code:
            raise PullsFailed(errors)
    return due
