"""Hits that could not be recorded are told to the system log without filling it."""

from __future__ import annotations

from services.lost_hits import INTERVAL_SECONDS, LostHits
from services.system_logs import SystemLog


def test_a_crowd_is_one_entry_a_minute_with_its_number() -> None:
    times = (0.0, 1.0, INTERVAL_SECONDS - 1, INTERVAL_SECONDS, INTERVAL_SECONDS + 1, 3 * INTERVAL_SECONDS)
    clock = iter(times)
    system_log = SystemLog(None)  # type: ignore[arg-type]  # writes nothing here
    lost = LostHits(system_log, lambda: next(clock))
    for _ in times:
        lost.note(OSError("down"))
    counts = [(entry.context["count"], entry.context["exception"]) for entry in system_log._waiting]
    assert counts == [(1, "OSError"), (3, "OSError"), (2, "OSError")]
