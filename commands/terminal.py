"""Shared by the commands: settings, log-ins, error messages, and progress on the terminal."""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import asyncpg
import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import settings as settings_module
from db import embedded, secrets
from db.dsn import connect, parse
from db.embedded import Dsns, EmbeddedServer
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from db.database import Database

console = Console(stderr=True)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but tabs and ends of lines


def fail(message: str) -> NoReturn:
    """Prints an error in one line, and exits with code 1."""
    note(f"aclue: {message}", "red")
    raise typer.Exit(1)


def note(message: str, style: str) -> None:
    """Prints a message to standard error; what it quotes of a file or a server may have control characters."""
    console.print(_CONTROL.sub("�", message), style=style, markup=False, highlight=False, soft_wrap=True)


def plain_exceptions() -> list[Any]:
    """structlog's own processors, without the variables of an exception's frames: these may be passwords, and printing
    them takes seconds."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [*structlog.get_config()["processors"][:-1], renderer]


def log_to_stderr() -> None:
    """Standard output is for what a command finds, such as JSON, and not for what is logged meanwhile."""
    structlog.configure(
        processors=plain_exceptions(),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # which may be replaced
    )


def load_settings() -> Settings:
    try:
        return settings_module.load()
    except SettingsError as error:
        fail(str(error))


def secret_of(settings: Settings) -> str:
    """JWT_SECRET, or in development the data folder's own."""
    try:
        return settings.jwt_secret or secrets.load_or_create(settings.home).jwt
    except SettingsError as error:
        fail(str(error))


@contextlib.contextmanager
def databases(settings: Settings, *, owning: bool = False) -> Iterator[Dsns]:
    """The log-ins. Without DATABASE_URL those of the embedded server: attached to if it is running (unless `owning`),
    else started for the duration of the block, in which a missing table fails as an old database."""
    try:
        with _databases(settings, owning) as dsns:
            yield dsns
    except asyncpg.PostgresError as error:
        if not lacks_migrations(error):
            raise
        fail(f"the database is older than this release, run `aclue migrate`: {error}")


def lacks_migrations(error: Exception) -> bool:
    """Whether Postgres knows a table, column, function, schema or role only after `aclue migrate`."""
    state = getattr(error, "sqlstate", None)
    return state in ("42P01", "42703", "42883", "3F000") or (state == "22023" and "role" in str(error))


@contextlib.contextmanager
def _databases(settings: Settings, owning: bool) -> Iterator[Dsns]:
    if not settings.uses_embedded_server:
        yield Dsns(
            api=settings.database_url,
            owner=settings.migration_database_url or None,
            worker=settings.worker_database_url or None,
        )
        return
    try:
        home_secrets = secrets.load_or_create(settings.home)
        running = None if owning else embedded.running_dsns(settings.home, home_secrets)
        if running:
            yield running
            return
        server = EmbeddedServer(settings.home, home_secrets)
        with server as dsns:
            if not server.data.is_relative_to(settings.home):
                note(
                    f"aclue: data are in {server.data}: the user that runs Postgres cannot enter {settings.home}", "dim"
                )
            yield dsns
    except SettingsError as error:
        fail(str(error))


@contextlib.asynccontextmanager
async def connected(dsn: str, variable: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    try:
        connection = await connect(dsn, seconds=10)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"{variable}: cannot connect: {error or type(error).__name__}")
    if warning := parse(dsn).warning:
        note(f"{variable}: {warning}", "yellow")
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def connected_as_owner(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the schema's owner, if its log-in is known."""
    variable = "MIGRATION_DATABASE_URL" if dsns.owner else "DATABASE_URL"
    async with connected(owner_of(dsns), variable) as connection:
        yield connection


@contextlib.asynccontextmanager
async def api_database(settings: Settings, dsns: Dsns) -> AsyncIterator[Database]:
    """The API's log-in, for commands that work under claims."""
    from db.database import Database

    database = await Database.connect(dsns.api, settings)
    try:
        yield database
    finally:
        await database.close()


def owner_of(dsns: Dsns) -> str:
    return dsns.owner or dsns.api


def require_packages(*names: str, otherwise: str = "") -> None:
    """Fails if one of these packages of the extra `training` is missing; `otherwise` says what works without it."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        fail(
            f"this needs {' and '.join(missing)}: pip install --require-hashes -r requirements-training.txt{otherwise}"
        )


@contextlib.contextmanager
def progress(title: str) -> Iterator[Any]:
    """Shows a spinner with a line of text, which the yielded function sets."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda text: progress.update(task, description=f"{title}: {text}")


def user_name() -> str:
    """Who runs the command, for records of it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in containers
        return f"user {os.getuid()}"


def uuid_of(text: str, option: str) -> UUID | None:
    """The UUID of an option; None if it was omitted."""
    try:
        return UUID(text) if text else None
    except ValueError:
        fail(f"{option}: not a uuid")
