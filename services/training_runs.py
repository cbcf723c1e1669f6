"""Starts trainings of the recommender in a process of their own, so that a server never imports what they need."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from db.claims import SERVICE
from settings import environment_with

if TYPE_CHECKING:
    from services.services import Services

ALREADY_RUNNING = 75  # EX_TEMPFAIL of sysexits.h
NEEDED = ("numpy", "scipy", "numba")
MAX_ERROR_BYTES = 2000


class TrainingFailed(Exception):
    """The process ended with an error; the message is the end of its output."""


def is_installed() -> bool:
    """Whether the extra `training` is."""
    return all(importlib.util.find_spec(name) for name in NEEDED)


async def train_if_due(services: Services) -> int:
    """Trains if people swiped since the last training, or it is a day old. Without the extra, feeds are ranked by
    content and popularity. Returns 0 or 1. Raises TrainingFailed."""
    if not is_installed():
        return 0
    interval = float(services.settings.model_refresh_interval)
    async with services.database.session(SERVICE, read_only=True) as session:
        if not await session.fetchval("trained_models.needs_training", seconds=interval):
            return 0
    return await _run(services)


async def _run(services: Services) -> int:
    cli = Path(__file__).parent.parent / "cli.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(cli),
        "train",
        env=environment_with(DATABASE_URL=services.database.dsn),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if process.returncode == ALREADY_RUNNING:
        return 0
    if process.returncode:
        raise TrainingFailed(errors[-MAX_ERROR_BYTES:].decode(errors="replace").strip())
    return 1
