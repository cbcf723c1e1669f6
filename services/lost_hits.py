"""Hits of links that could not be recorded: each is logged, and the system log is told how many there were."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from services.system_logs import SystemLog

log = structlog.get_logger("aclue.links")

INTERVAL_SECONDS = 60.0
"""At most one entry of the system log in this time, however many visitors come."""


class LostHits:
    """One per process."""

    def __init__(self, system_log: SystemLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._system_log = system_log
        self._clock = clock
        self._count = 0
        self._next = float("-inf")

    def note(self, error: Exception) -> None:
        """Counts a hit that was redirected and not recorded, because of this error."""
        self._count += 1
        kind = type(error).__name__
        log.error("a hit was not recorded", exception=kind)
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._system_log.note("error", "links", "hits were not recorded", count=self._count, exception=kind)
            self._count = 0
