"""Erasures that outlive a restored backup, and retention: docs/privacy.md."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings, secret_of
from db import privacy
from db.embedded import Dsns
from domain.tombstones import Tombstones
from settings import Settings


def tombstones() -> None:
    """Print what is left of erased people, a JSON object a line: keep it apart from the backups of the database."""
    with databases(load_settings()) as dsns:
        for tombstone in asyncio.run(_tombstones(dsns)):
            print(msgspec.json.encode(tombstone).decode())


async def _tombstones(dsns: Dsns) -> list[privacy.Tombstone]:
    async with connected_as_owner(dsns) as owner:
        return await privacy.tombstones(owner)


def reapply(
    file: Annotated[Path | None, typer.Option(help="Tombstones that the restored backup is too old to have.")] = None,
) -> None:
    """Erase again whoever was erased, after a backup was restored."""
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
    """Remove what is older than the periods of the settings (RETENTION_*). For once a day."""
    settings = load_settings()
    with databases(settings) as dsns:
        removed = asyncio.run(_purge(settings, dsns))
    for kind, rows in removed.items():
        print(f"{kind:14}{rows:>10}")


async def _purge(settings: Settings, dsns: Dsns) -> dict[str, int]:
    async with connected_as_owner(dsns) as owner:
        return await privacy.purge(owner, settings)
