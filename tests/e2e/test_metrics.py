"""/metrics of a real server: of several workers, of one that was killed, and on a port of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.conftest import HANGS, Service, aclue, demo_folder, free_port, served
from tests.scrapes import parse

COUNT = "{ products(first: 1) { totalCount } }"
REQUESTS = 'aclue_requests_total{result="ok",route="graphql"}'


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    with demo_folder() as folder:
        yield folder


def values(port: int) -> dict[str, float]:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=HANGS)
    assert answer.status_code == 200
    return parse(answer.text)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask(service: Service, times: int) -> None:
    for _ in range(times):  # a new connection each, so that both workers answer some
        assert "errors" not in httpx.post(f"{service.url}/graphql", json={"query": COUNT}, timeout=HANGS).json()


def workers(service: Service) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(service.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it ends just now
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.drill
def test_workers_are_counted_together_also_after_one_was_killed(used_home: Path) -> None:
    port = free_port()
    with served(used_home, WORKERS="2", METRICS_PORT=str(port), TMPDIR=str(used_home)) as service:
        wait_for(lambda: values(port).get("aclue_workers") == 2)
        before = values(port)
        ask(service, 40)
        # A worker passes on what it counted once a second; the one that is asked, at once.
        wait_for(lambda: values(port)[REQUESTS] - before.get(REQUESTS, 0) == 40)
        after = values(port)
        assert after["aclue_db_pool_max_connections"] == 70
        assert [values(port)[REQUESTS] for _ in range(10)] == [after[REQUESTS]] * 10  # whoever answers
        assert httpx.get(f"{service.url}/metrics", timeout=HANGS).status_code == 404

        killed = workers(service)[0]
        os.kill(killed.pid, signal.SIGKILL)
        wait_for(lambda: killed.pid not in {each.pid for each in workers(service)} and len(workers(service)) == 2)
        wait_for(lambda: values(port).get("aclue_workers") == 2)
        again = values(port)
        assert again[REQUESTS] == after[REQUESTS]
        assert again["aclue_db_pool_max_connections"] == 70
        folders = list(used_home.glob("aclue-metrics-*"))
        assert len(folders) == 1
    assert not folders[0].exists()


@pytest.mark.drill
def test_the_folder_of_a_server_that_was_killed_is_removed_by_the_next(used_home: Path) -> None:
    with served(used_home, WORKERS="2", TMPDIR=str(used_home)) as service:
        left = {each.pid for each in workers(service)}
        (folder,) = used_home.glob("aclue-metrics-*")
        service.stop(signal.SIGKILL)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert folder.exists()
    with served(used_home, WORKERS="2", TMPDIR=str(used_home)):
        (other,) = used_home.glob("aclue-metrics-*")
        assert other != folder


def test_a_port_that_is_taken_is_named(service: Service, home: Path) -> None:
    refused = aclue(home, "serve", PORT=str(free_port()), METRICS_PORT=str(service.port))
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {service.port}" in refused.stderr
    assert "METRICS_PORT" in refused.stderr


def test_one_process_serves_them_beside_the_api(service: Service) -> None:
    found = values(service.port)
    assert found["aclue_workers"] == 1
    assert found["aclue_database_up"] == 1
    assert found["aclue_disk_free_bytes"] > 0
