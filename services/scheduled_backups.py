"""Backups of the embedded Postgres by themselves, in a process of their own. docs/backup.md"""

from __future__ import annotations

from db import embedded, secrets
from domain.schedules import every
from services import subcommands
from services.services import Services
from settings import Settings


class BackupFailed(Exception):
    """Nothing can be backed up, or the process ended with an error; the message says why."""


def schedule(settings: Settings) -> str:
    """When, as a cron expression; "" without BACKUP_INTERVAL."""
    return every(settings.backup_interval) if settings.backup_interval else ""


async def take(services: Services) -> int:
    """Makes a backup. Returns 1. Raises BackupFailed."""
    if not _is_embedded(services):
        raise BackupFailed("BACKUP_INTERVAL is for the embedded Postgres; back up your own: docs/backup.md")
    # Without DATABASE_URL a command attaches to the embedded server; with several workers `serve` has set it.
    code, errors = await subcommands.run("backup", DATABASE_URL="", MIGRATION_DATABASE_URL="", WORKER_DATABASE_URL="")
    if code:
        raise BackupFailed(errors)
    return 1


def _is_embedded(services: Services) -> bool:
    home = services.settings.home
    if not secrets.file_of(home).exists():
        return False
    dsns = embedded.running_dsns(home, secrets.load_or_create(home))
    return dsns is not None and services.database.dsn in (dsns.api, dsns.worker)
