"""Backups that the server makes by itself (BACKUP_INTERVAL), of the embedded Postgres and of none other."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from db import programs
from db.backup_folders import BackupFolder, Kind
from tests.e2e.conftest import HANGS, aclue, served, served_postgres
from tests.scrapes import parse

FAILED = 'aclue_job_runs_total{job="take_backup",outcome="failed"}'


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def values(url: str) -> dict[str, float]:
    return parse(httpx.get(f"{url}/metrics", timeout=HANGS).text)


@pytest.mark.long
def test_backups_are_made_go_on_after_a_crash_and_can_be_restored(home: Path) -> None:
    backups = home / "backups"

    def made() -> list[Kind]:
        return (
            [backup.kind for backup in BackupFolder.of(backups, programs.embedded()).backups()]
            if backups.is_dir()
            else []
        )

    with served(home, BACKUP_INTERVAL="3") as service:
        wait_for(lambda: len(made()) >= 2)
        assert made()[:2] == [Kind.FULL, Kind.INCREMENTAL]
        wait_for(lambda: 'aclue_backup_last_success_timestamp_seconds{kind="incremental"}' in values(service.url))
        assert values(service.url)["aclue_backup_last_failed"] == 0
        service.stop(signal.SIGKILL)  # perhaps in the midst of one
    before = len(made())
    with served(home, BACKUP_INTERVAL="3") as service:
        wait_for(lambda: len(made()) > before)
        service.stop()
    drill = aclue(home, "backup", "drill", str(backups))
    assert drill.returncode == 0, drill.stderr + drill.stdout


def test_a_postgres_of_your_own_is_not_backed_up_and_the_job_says_so(home: Path) -> None:
    with served_postgres(home) as log_ins:
        assert aclue(home, "migrate", **log_ins).returncode == 0
        own = home / "elsewhere"  # no secrets of an embedded server
        own.mkdir()
        with served(
            own, BACKUP_INTERVAL="1", JWT_SECRET="of the tests alone, long enough for HS256", **log_ins
        ) as service:
            wait_for(lambda: values(service.url).get(FAILED))
            wait_for(lambda: "BACKUP_INTERVAL is for the embedded Postgres" in service.errors.read_text())
