"""`aclue worker` and `aclue jobs`, as processes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.jobs import MAX_CONNECTIONS
from tests.conftest import Shop
from tests.e2e.conftest import HANGS, ROOT, aclue, environment, free_port
from tests.scrapes import parse

SECRET = "a secret of the tests, long enough for HS256"


@contextmanager
def worker(**variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "worker"],
        cwd=ROOT,
        env=environment(Path("/nonexistent"), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "Jobs run here" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


async def until(owner: asyncpg.Connection[Any], condition: str, seconds: float = HANGS) -> None:
    deadline = time.monotonic() + seconds
    while not await owner.fetchval(f"select {condition}"):
        assert time.monotonic() < deadline, f"never: {condition}"
        await asyncio.sleep(0.05)


@pytest.fixture
def variables(shop: Shop) -> dict[str, str]:
    assert shop.dsns.worker and shop.dsns.owner
    return {
        "DATABASE_URL": shop.dsns.api,
        "WORKER_DATABASE_URL": shop.dsns.worker,
        "JWT_SECRET": SECRET,
        "MODEL_REFRESH_INTERVAL": "86400",
    }


@pytest.mark.drill
async def test_jobs_of_a_killed_worker_are_taken_over(shop: Shop, variables: dict[str, str]) -> None:
    """A lock holds the job up until its process is dead."""
    assert shop.dsns.owner
    locker = await asyncpg.connect(shop.dsns.owner)
    await shop.owner.execute("delete from public.recommendation_models")
    transaction = locker.transaction()
    await transaction.start()
    await locker.execute("lock table public.recommendation_models in access exclusive mode")
    with worker(**variables) as first:
        await until(
            shop.owner, "exists (select from jobs.pgqueuer where entrypoint = 'refresh_model' and status = 'picked')"
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
    await transaction.rollback()
    await locker.close()
    left = await shop.owner.fetchval("select count(*) from jobs.pgqueuer where entrypoint = 'refresh_model'")
    assert left >= 1, "what it was at is not lost"
    with worker(**variables) as second:
        await until(shop.owner, "exists (select from public.recommendation_models)")
        await until(shop.owner, "not exists (select from jobs.pgqueuer where entrypoint = 'refresh_model')")
        second.send_signal(signal.SIGTERM)
        assert second.wait(HANGS) == 0


def test_a_worker_has_metrics_on_a_port_of_its_own(variables: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with worker(METRICS_PORT=str(port), METRICS_TOKEN="t" * 32, **variables):
        url = f"http://127.0.0.1:{port}/metrics"
        assert httpx.get(url, timeout=HANGS).status_code == 401
        deadline = time.monotonic() + HANGS
        done = 'aclue_job_runs_total{job="apply_sales",outcome="done"}'
        while True:
            answer = httpx.get(url, timeout=HANGS, headers={"authorization": f"Bearer {'t' * 32}"})
            values = parse(answer.text)
            if values.get(done):
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert values["aclue_database_up"] == 1
        assert values["aclue_db_pool_max_connections"] == MAX_CONNECTIONS
        assert "aclue_jobs_queued" in values
        second = aclue(tmp_path, "worker", METRICS_PORT=str(port), **variables)
        assert (second.returncode, second.stderr.strip()) == (
            1,
            f"aclue: METRICS_PORT: cannot listen at 127.0.0.1:{port}: Address already in use",
        )


async def test_failed_jobs_are_listed_queued_again_and_drained(
    shop: Shop, variables: dict[str, str], tmp_path: Path
) -> None:
    await shop.owner.execute("alter table public.idempotency_keys rename to hidden_keys")
    await shop.owner.execute("select private.enqueue_job('purge_keys')")
    assert aclue(tmp_path, "jobs", "drain", **variables).returncode == 0
    listed = aclue(tmp_path, "jobs", "list", **variables)
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("purge_keys")]
    assert line.endswith("UndefinedTableError")
    await shop.owner.execute("alter table public.hidden_keys rename to idempotency_keys")
    again = aclue(tmp_path, "jobs", "retry", "purge_keys", **variables)
    assert again.stdout == "queued purge_keys\n"
    assert aclue(tmp_path, "jobs", "drain", **variables).returncode == 0
    assert await shop.owner.fetchval("select count(*) from jobs.pgqueuer") == 0
    assert aclue(tmp_path, "jobs", "retry", **variables).stdout == "none had failed\n"
    wrong = aclue(tmp_path, "jobs", "retry", "purge_everything", **variables)
    assert (wrong.returncode, wrong.stderr.strip()) == (
        1,
        "aclue: there is no job purge_everything; `aclue jobs list` lists them",
    )
