"""Starts trainings of the recommender in a process of their own, so that a server never imports what they need."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from db.claims import SERVICE
from services import subcommands

if TYPE_CHECKING:
    from services.services import Services

ALREADY_RUNNING = 75  # EX_TEMPFAIL of sysexits.h
NEEDED = ("numpy", "scipy", "numba")


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
    code, errors = await subcommands.run("train", DATABASE_URL=services.database.dsn)
    if code == ALREADY_RUNNING:
        return 0
    if code:
        raise TrainingFailed(errors)
    return 1
