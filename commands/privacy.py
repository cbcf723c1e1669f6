"""Exports, erasures that outlive a restored backup, and retention: docs/privacy.md."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import UUID

import asyncpg
import msgspec
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings, secret_of, uuid_of
from db import exports, privacy
from db.embedded import Dsns
from db.queries import QUERIES
from domain import emails
from domain.emails import Email
from domain.tombstones import Tombstones
from settings import Settings


def export(
    email: Annotated[str, typer.Option(help="Of an account.")] = "",
    user_id: Annotated[str, typer.Option(help="Of a profile (a uuid).")] = "",
    output: Annotated[
        Path | None, typer.Option(help="A file, readable by you alone. Default: standard output.")
    ] = None,
) -> None:
    """Write all stored data of a person, as JSON lines. The last line marks the file as complete."""
    if bool(email) == bool(user_id):
        fail("give --email or --user-id")
    known_id = uuid_of(user_id, "--user-id")
    address = emails.parse(email)
    if email and address is None:
        fail("--email: not an e-mail address")
    with databases(load_settings()) as dsns:
        try:
            asyncio.run(_export(dsns, known_id, address, output))
        except OSError as error:
            fail(f"{output or 'standard output'}: {error.strerror or error}")


async def _export(dsns: Dsns, user_id: UUID | None, address: Email | None, output: Path | None) -> None:
    async with connected_as_owner(dsns) as owner:
        canonical, spellings = (address.canonical, address.spellings) if address else (None, ())
        person = await owner.fetchval(QUERIES["exports.person"].sql, user_id, canonical, spellings)
        if person is None:
            fail("there is no such person")
        with _opened(output) as file:
            await owner.execute(QUERIES["exports.note_by_owner"].sql, person)
            async with owner.transaction(isolation="repeatable_read", readonly=True):
                async for page in exports.pages(_OwnersReader(owner), person):
                    file.write(page)
            file.flush()


def _opened(output: Path | None) -> contextlib.AbstractContextManager[BinaryIO]:
    if output is None:
        return contextlib.nullcontext(sys.stdout.buffer)
    with contextlib.suppress(FileNotFoundError):
        link = os.lstat(output)
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
            fail(f"{output}: is a link of another user, who chose where it leads")
    file = os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT, 0o600), "wb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode):  # a device or a pipe keeps its mode
        if found.st_uid != os.geteuid():
            file.close()
            fail(f"{output}: belongs to another user, who could read it")
        os.fchmod(file.fileno(), 0o600)
        file.truncate()
    return file


class _OwnersReader:
    """See db.exports.Reader. The owner may read everything; the statements filter by person."""

    def __init__(self, owner: asyncpg.Connection[Any]) -> None:
        self._owner = owner

    async def run(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        return await self._owner.fetch(sql, *arguments)

    async def switch_to_person(self) -> None:
        """Not needed."""


def tombstones() -> None:
    """Print the tombstones of erased people, as JSON lines: store them apart from backups of the database."""
    with databases(load_settings()) as dsns:
        for tombstone in asyncio.run(_tombstones(dsns)):
            print(msgspec.json.encode(tombstone).decode())


async def _tombstones(dsns: Dsns) -> list[privacy.Tombstone]:
    async with connected_as_owner(dsns) as owner:
        return await privacy.tombstones(owner)


def reapply(
    file: Annotated[Path | None, typer.Option(help="Tombstones that the restored backup is too old to have.")] = None,
) -> None:
    """Repeat all erasures after a backup was restored."""
    settings = load_settings()
    try:
        more = privacy.read_tombstones(file.read_text().splitlines()) if file else []
    except (OSError, UnicodeDecodeError, privacy.BadTombstones) as error:
        fail(f"{file}: {getattr(error, 'strerror', None) or error}")
    secret = settings.erasure_secret or secret_of(settings)
    with databases(settings) as dsns:
        print(f"{asyncio.run(_reapply(dsns, secret, more))} erased again")


async def _reapply(dsns: Dsns, secret: str, more: list[privacy.Tombstone]) -> int:
    async with connected_as_owner(dsns) as owner:
        return await privacy.reapply(owner, Tombstones(secret.encode()).of, more)


def purge() -> None:
    """Delete data that is older than the periods in the settings (RETENTION_*). The server does so once a day."""
    settings = load_settings()
    with databases(settings) as dsns:
        removed = asyncio.run(_purge(settings, dsns))
    for kind, rows in removed.items():
        print(f"{kind:14}{rows:>10}")


async def _purge(settings: Settings, dsns: Dsns) -> dict[str, int]:
    async with connected_as_owner(dsns) as owner:
        return await privacy.purge(privacy.as_owner(owner), settings)
