"""A cache of the experiments that run. Each process reads them again after some seconds, so starting or stopping one
takes effect everywhere within that time; one that is to start later starts everywhere at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from db.session import Session
from domain.experiments import Arm, Experiment

LIFETIME_SECONDS = 10


class Experiments:
    """One per process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._found: Sequence[Experiment] = ()

    async def running(self, session: Session) -> list[Experiment]:
        """By key."""
        if self._until <= self._clock():
            rows = await session.fetch("experiments.current")
            self._found = [
                Experiment(
                    key=row["key"],
                    surface=row["surface"],
                    seed=row["seed"],
                    allocation=row["allocation"],
                    starts_at=row["starts_at"],
                    ends_at=row["ends_at"],
                    arms=msgspec.json.decode(row["arms"], type=list[Arm]),
                )
                for row in rows
            ]
            self._until = self._clock() + LIFETIME_SECONDS
        if not self._found:
            return []
        now = datetime.now(UTC)
        return [experiment for experiment in self._found if experiment.is_running(now)]
