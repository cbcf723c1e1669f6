"""A real Prometheus scrapes the real server: rules and dashboards name what is there, and a fault fires an alert."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from db import programs
from tests.client import PRODUCTS, SIGN_UP, SWIPE
from tests.e2e.conftest import HANGS, Service, aclue, data_folder, demo_folder, free_port, served
from tests.scrapes import parse

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "ops" / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((ROOT / "ops" / "grafana").glob("*.json"))
PROMETHEUS = shutil.which("prometheus")
if PROMETHEUS is None and os.environ.get("CI"):
    raise RuntimeError("prometheus is needed in continuous integration (Debian: apt-get install prometheus)")
pytestmark = [
    pytest.mark.skipif(not PROMETHEUS, reason="there is no prometheus here (Debian: apt-get install prometheus)"),
    pytest.mark.long,
]

CONFIGURATION = """
global: {{scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs: [{{job_name: aclue, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
NAME = re.compile(r"\baclue_[a-z0-9_]+")
PATIENCE = 180
HTTP = httpx.Client(timeout=HANGS, limits=httpx.Limits(max_connections=None))  # making one takes longer than a request


@dataclass
class Monitored:
    service: Service
    url: str

    def query(self, expression: str) -> list[Any]:
        answer = HTTP.get(f"{self.url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[Any] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        alerts = HTTP.get(f"{self.url}/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.5)


def post(service: Service, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"query": query, "variables": variables}
    answer: dict[str, Any] = HTTP.post(f"{service.url}/graphql", json=body, headers=headers).json()
    return answer


def use(service: Service, number: int) -> None:
    """What people do, right and wrong."""
    given = {"email": f"person{number}@people.example", "password": "correct horse"}
    token = post(service, SIGN_UP, input=given)["data"]["signUp"]["accessToken"]
    products = post(service, PRODUCTS, first=2)["data"]["products"]["nodes"]
    for product in products:
        swipe = {"productId": product["id"], "direction": "RIGHT", "clientSwipeId": product["id"]}
        post(service, SWIPE, token, input=swipe)
    post(service, SWIPE, token, input={"productId": token[:8], "direction": "RIGHT", "clientSwipeId": "wrong"})
    post(service, "{ nothing }")


@contextlib.contextmanager
def standby(service: Service, folder: Path) -> Iterator[None]:
    """A receiver of WAL, which counts as a standby; the owner may see it."""
    dsn = aclue(service.home, "dsn", "--superuser").stdout.strip()
    parts = urlsplit(dsn)
    runs = programs.embedded()
    target = folder / "received"
    target.mkdir()
    runs.give(target)
    account = runs.account
    process = subprocess.Popen(
        [
            runs.folder / "pg_receivewal",
            *("--host", parse_qs(parts.query)["host"][0], "--username", parts.username or "", "--directory", target),
        ],
        env={**os.environ, "PGPASSWORD": unquote(parts.password or ""), "PGAPPNAME": "standby"},
        **({"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}),
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(HANGS)


@contextlib.contextmanager
def scraped(service: Service, folder: Path) -> Iterator[Monitored]:
    """Prometheus with our rules, evaluated each second."""
    assert PROMETHEUS is not None
    rules = folder / "alerts.yml"
    rules.write_text(RULES.read_text().replace("interval: 30s", "interval: 1s"))
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=rules, port=service.port))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    monitored = Monitored(service, f"http://127.0.0.1:{port}")

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return HTTP.get(f"{monitored.url}/-/ready").status_code == 200
        return False

    try:
        wait_for(is_ready)
        yield monitored
    finally:
        process.terminate()
        process.wait(HANGS)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("prometheus")
    folder.chmod(0o755)
    with demo_folder() as home, data_folder() as other, served(home) as service, contextlib.ExitStack() as stack:
        granted = aclue(home, "dsn", "--superuser").stdout.strip()
        subprocess.run(
            [programs.embedded().folder / "psql", granted, "-qc", "grant pg_monitor to aclue_owner"], check=True
        )
        backed_up = aclue(home, "backup", str(other / "backups"))
        assert backed_up.returncode == 0, backed_up.stderr
        stack.enter_context(standby(service, other))
        use(service, 0)
        found = stack.enter_context(scraped(service, folder))
        wait_for(lambda: bool(found.query("aclue_replication_lag_seconds")))
        use(service, 1)
        yield found


def expressions() -> list[tuple[str, str]]:
    """The queries of all dashboards, with the panel's title."""
    return [
        (f"{file.stem}: {panel['title']}", target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


def test_every_metric_that_rules_and_dashboards_name_is_in_a_scrape(monitored: Monitored) -> None:
    text = HTTP.get(f"{monitored.service.url}/metrics").text
    there = {name.partition("{")[0] for name in parse(text)}
    rules = "\n".join(line for line in RULES.read_text().splitlines() if not line.startswith("  - name:"))
    named = set(NAME.findall(rules)) | {name for _, expression in expressions() for name in NAME.findall(expression)}
    assert len(named) > 40
    missing = named - there - {"aclue_trained_model_version", "aclue_trained_model_created_timestamp_seconds"}
    assert missing == set()  # no model was trained here; the dashboard shows 0 then


def test_every_query_of_the_dashboards_returns_data(monitored: Monitored) -> None:
    assert len(expressions()) > 40

    def empty() -> list[str]:
        return [f"{title}: {expression}" for title, expression in expressions() if not monitored.query(expression)]

    with contextlib.suppress(AssertionError):
        wait_for(lambda: not empty())
    assert empty() == []


def test_nothing_in_a_scrape_is_about_a_person(monitored: Monitored) -> None:
    text = HTTP.get(f"{monitored.service.url}/metrics").text
    assert "people.example" not in text
    assert re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text) is None


def test_a_database_that_is_gone_fires_an_alert(monitored: Monitored) -> None:
    """Last, as nothing works after it."""
    assert monitored.firing() <= {"AclueSlow", "AclueStatementsSlow", "AclueStatementsTooSlow"}  # on a busy machine
    postmaster = monitored.service.postmaster
    assert postmaster is not None
    os.kill(postmaster, signal.SIGQUIT)
    # At once, as each is tried again for some seconds.
    with ThreadPoolExecutor(50) as crowd:
        list(crowd.map(lambda _: post(monitored.service, "{ products(first: 1) { totalCount } }"), range(150)))
    wait_for(lambda: "AclueErrors" in monitored.firing())
    wait_for(lambda: "AclueDatabaseDown" in monitored.firing())
