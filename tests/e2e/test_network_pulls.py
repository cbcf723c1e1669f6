"""Pulls as a command: accounts, exit codes, and a process that is killed in the middle."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

import cli
from tests.e2e.conftest import ROOT, Service, environment
from tests.feed_server import feed_server
from tests.integration.waiting import until
from tests.ledger import awin
from tests.network_server import PUBLISHER, TOKEN, Networks

SETTINGS = {"ALLOW_PRIVATE_SOURCES": "true", "SOURCE_TOKEN": TOKEN}
REPORTS = "select count(*) from public.conversion_reports where origin = 'awin/command'"
Run = Callable[..., Result]
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def networks() -> Iterator[Networks]:
    with feed_server() as running:
        yield Networks(running)


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process: a start costs more than a pull."""

    def running(*arguments: str, **more: str) -> Result:
        with monkeypatch.context() as patch:
            for name, value in {**environment(service.home), **SETTINGS, **more}.items():
                patch.setenv(name, value)
            return CliRunner().invoke(cli.app, list(arguments))

    return running


def sales(*references: str) -> list[dict[str, Any]]:
    day = f"{YESTERDAY:%Y-%m-%dT%H:%M:%S}"
    return [awin(each, "approved", validated=day, transactionDate=day, currency="EUR") for each in references]


def add(run: Run, networks: Networks) -> None:
    added = run(
        "network", "account", "add", "awin", "command", "--publisher", PUBLISHER, "--secret",
        "token=SOURCE_TOKEN", "--url", networks.server.url(""), "--every", "1d",
    )  # fmt: skip
    assert added.exit_code == 0, added.output


async def test_a_pull_that_is_killed_leaves_nothing_and_the_next_one_completes_it(
    service: Service, run: Run, networks: Networks, database: asyncpg.Connection[Any]
) -> None:
    networks.rows["awin"] = sales(*(f"P{number}" for number in range(50)))
    await asyncio.to_thread(add, run, networks)
    command = ["pull", "awin", "--account", "command", "--since", f"{YESTERDAY - timedelta(days=2):%Y-%m-%d}"]
    async with database.transaction():
        await database.execute("lock table public.conversions in share mode")  # the reports are in, what follows waits
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "cli.py"), *command, env=environment(service.home, **SETTINGS), stdin=DEVNULL
        )
        waits = "exists (select from pg_locks where not granted and relation = 'public.conversions'::regclass)"
        await until(database, waits)
        process.kill()
        await process.wait()
    assert await database.fetchval(REPORTS) == 0
    assert await database.fetchval("select count(*) from public.network_watermarks") == 0
    finished = await asyncio.to_thread(run, *command)
    assert finished.exit_code == 0, finished.output
    assert finished.stdout.startswith("awin/command: 50 new, 50 there already, 0 no conversions, 0 rejected; 3 windows")
    assert await database.fetchval(REPORTS) == 50
    again = await asyncio.to_thread(run, *command)
    assert again.stdout.startswith("awin/command: 0 new, 100 there already")


def test_what_goes_wrong_is_said_and_secrets_are_not(run: Run, networks: Networks) -> None:
    add(run, networks)
    for arguments, says in (
        (("pull",), "name a network"),
        (("pull", "awin", "--due"), "give --due alone"),
        (("pull", "impact"), "there is no account of impact"),
        (("pull", "awin", "--since", "July"), "--since: July is no day"),
        (("pull", "awin", "--since", "2999-01-01"), "not in the past"),
        (("network", "account", "remove", "awin", "other"), "there is no account awin/other"),
        (("network", "account", "add", "amazon", "a", "--publisher", "1"), "amazon has no API client"),
        (("network", "account", "add", "awin", "a", "--publisher", "1", "--secret", "x"), "is not NAME=VALUE"),
        (("network", "account", "add", "awin", "a", "--publisher", "1", "--every", "1s"), "--every"),
    ):
        failed = run(*arguments)
        assert failed.exit_code == 1, arguments
        assert says in failed.stderr
        assert isinstance(failed.exception, SystemExit)
    failed = run("pull", "awin", SOURCE_TOKEN="wr0ng-s3cret")
    assert failed.exit_code == 1
    assert "awin/command: the network refused our credentials (401): check SOURCE_TOKEN" in failed.stderr
    assert "wr0ng" not in failed.stderr + failed.stdout


def test_accounts_are_listed_pulled_when_due_and_removed(run: Run, networks: Networks) -> None:
    networks.rows["awin"] = sales("P99")
    run("network", "account", "remove", "awin", "command")
    add(run, networks)
    assert "awin/command  publisher 4711  every 1440 minutes  SOURCE_TOKEN" in accounts(run)
    run("pull", "awin", "--since", f"{YESTERDAY:%Y-%m-%d}")
    due = run("pull", "--due")
    assert (due.exit_code, due.stdout) == (0, "")
    listed = accounts(run)
    assert "transaction    read until 20" in listed
    assert "1 new, 0 rejected, 3 requests" in listed
    assert TOKEN not in listed
    assert run("network", "account", "remove", "awin", "command").exit_code == 0
    assert "awin/command" not in accounts(run)


def accounts(run: Run) -> str:
    listed = run("network", "account", "list")
    assert listed.exit_code == 0, listed.output
    return listed.stdout
