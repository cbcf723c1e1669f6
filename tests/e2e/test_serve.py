"""Starting, stopping, starting again, and saying in one line why it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from db.embedded import Dsns
from tests.conftest import to_database
from tests.e2e.conftest import HANGS, aclue, data_folder, free_port, is_alive, postmaster_of, served

SECRET = "a secret of the tests, long enough for HS256"
COUNT = "{ products(first: 1) { totalCount } }"


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A data folder that was served before."""
    with data_folder() as folder:
        with served(folder, is_forked=False):
            pass
        yield folder


def wait_for_the_end_of(pid: int) -> None:
    """It has stopped before the server ends; that its parent has noted it may take a moment longer."""
    deadline = time.monotonic() + HANGS
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.05)


def products(home: Path) -> list[str]:
    """Ids of all products; on a Postgres of the command's own where none runs."""
    listed = aclue(home, "psql", "-tAc", "select id from public.products order by id")
    assert listed.returncode == 0, listed.stderr
    return listed.stdout.split()


def shown_to_a_browser(url: str) -> tuple[int, str]:
    answer = httpx.get(f"{url}/graphql", headers={"accept": "text/html"}, timeout=HANGS)
    return answer.status_code, answer.headers["content-type"]


def total(url: str) -> int:
    answer = httpx.post(f"{url}/graphql", json={"query": COUNT}, timeout=HANGS).json()
    count: int = answer["data"]["products"]["totalCount"]
    return count


@pytest.mark.drill
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(used_home: Path, by: signal.Signals) -> None:
    with served(used_home, is_forked=False) as service:
        assert service.postmaster
        assert service.stop(by) == 0
        wait_for_the_end_of(service.postmaster)
        assert postmaster_of(used_home) is None
        assert service.errors.read_text().split() == []
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{service.url}/livez")


@pytest.mark.drill
def test_after_a_kill_the_next_start_works_and_stops_cleanly(used_home: Path) -> None:
    with served(used_home) as service:
        left = service.postmaster
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    assert left
    with served(used_home) as service:
        assert total(service.url) > 400
        current = service.postmaster
        assert current
        assert service.stop() == 0
    wait_for_the_end_of(left)
    wait_for_the_end_of(current)
    assert postmaster_of(used_home) is None


@pytest.mark.drill
async def test_a_request_that_outlasts_shutdown_gets_an_error_and_no_traceback(used_home: Path) -> None:
    with served(used_home, SHUTDOWN_TIMEOUT="1") as service:
        dsn = aclue(used_home, "dsn", "--owner").stdout.strip()
        owner = await asyncpg.connect(dsn)
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http:
            await owner.execute("begin; lock table public.brands in access exclusive mode")
            asking = asyncio.create_task(http.post("/graphql", json={"query": "{ brands { nodes { id } } }"}))
            waits = "select exists (select from pg_locks where not granted and relation = 'public.brands'::regclass)"
            while not await owner.fetchval(waits):
                pass
            service.process.send_signal(signal.SIGTERM)
            answer = await asking
        assert await asyncio.to_thread(service.process.wait, HANGS) == 0
        owner.terminate()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["extensions"]["code"] == "OVERLOADED"
    assert "Traceback" not in service.errors.read_text()


def test_the_second_start_loads_nothing_again(used_home: Path) -> None:
    before = products(used_home)
    assert len(before) > 400
    with served(used_home) as service:
        assert total(service.url) == len(before)
        service.stop()
    assert products(used_home) == before


def test_what_was_changed_in_the_demo_catalogue_stays_changed(used_home: Path) -> None:
    name = f"Renamed {os.getpid()}"
    change = f"update public.products set name = '{name}' where id = (select min(id::text)::uuid from public.products)"
    assert aclue(used_home, "psql", "-qc", change).returncode == 0
    with served(used_home) as service:
        query = "query ($name: String) { products(search: $name) { nodes { name } } }"
        body = {"query": query, "variables": {"name": name}}
        found = httpx.post(f"{service.url}/graphql", json=body, timeout=HANGS).json()
        assert found["data"]["products"]["nodes"] == [{"name": name}]


def test_several_workers(used_home: Path) -> None:
    with served(used_home, WORKERS="2") as service:
        with httpx.Client(base_url=service.url, timeout=HANGS) as http:
            start = "mutation { startSession(input: {}) { accessToken } }"
            token = http.post("/graphql", json={"query": start}).json()["data"]["startSession"]["accessToken"]
        for _ in range(8):  # new connections, so that both workers have their turn; both know the token
            answer = httpx.post(
                f"{service.url}/graphql",
                json={"query": "{ me { isAnonymous } }"},
                headers={"authorization": f"Bearer {token}"},
                timeout=HANGS,
            )
            assert answer.json() == {"data": {"me": {"isAnonymous": True}}}
        assert service.stop() == 0
        assert service.postmaster
        wait_for_the_end_of(service.postmaster)


def complaint(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    assert finished.returncode != 0
    assert finished.stdout == ""
    lines = finished.stderr.splitlines()
    assert len(lines) == 1, finished.stderr
    assert lines[0].startswith("aclue: ")
    return lines[0]


def test_a_port_in_use(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = complaint(aclue(home, "serve", PORT=port))
    assert port in line
    assert "PORT" in line
    assert postmaster_of(home) is None


def test_a_data_folder_that_cannot_be_written(home: Path) -> None:
    file = home / "file"
    file.write_text("")
    line = complaint(aclue(file / "below", "serve", PORT=str(free_port())))
    assert "ACLUE_HOME" in line


def test_settings_that_cannot_be(home: Path) -> None:
    for name, value in (
        ("PORT", "eighty"),
        ("ENVIRONMENT", "staging"),
        ("MIGRATION_DATABASE_URL", "postgresql://a@localhost/b"),
        ("TRUSTED_PROXIES", "*"),
    ):
        assert name in complaint(aclue(home, "serve", **{name: value}))
    assert not (home / "postgres").exists()


def test_production_without_a_secret_of_its_own(home: Path) -> None:
    assert "JWT_SECRET" in complaint(aclue(home, "serve", ENVIRONMENT="production"))


@pytest.mark.parametrize("url", ["postgresql://a:b@127.0.0.1:1/c", "nonsense"])
def test_a_database_that_cannot_be_reached(home: Path, url: str) -> None:
    line = complaint(aclue(home, "serve", DATABASE_URL=url, PORT=str(free_port())))
    assert "DATABASE_URL" in line
    assert ":b@" not in line


def test_a_wrong_password(home: Path, server: Dsns) -> None:
    wrong = server.api.replace("aclue_api:", "aclue_api:wrong")
    line = complaint(aclue(home, "serve", DATABASE_URL=wrong, PORT=str(free_port())))
    assert "DATABASE_URL" in line
    assert "wrong" not in line


def test_a_database_without_our_tables(home: Path, server: Dsns) -> None:
    empty = to_database(server.api, "postgres")
    line = complaint(aclue(home, "serve", DATABASE_URL=empty, PORT=str(free_port())))
    assert "aclue migrate" in line


async def test_a_database_given_is_migrated_and_served(home: Path, server: Dsns) -> None:
    assert server.superuser
    assert server.owner
    superuser = await asyncpg.connect(to_database(server.superuser, "postgres"))
    await superuser.execute("create database given owner aclue_owner")
    urls = {
        "DATABASE_URL": to_database(server.api, "given"),
        "MIGRATION_DATABASE_URL": to_database(server.owner, "given"),
    }
    try:
        with served(home, **urls) as service:
            assert total(service.url) > 400
            assert service.stop() == 0
        assert not (home / "postgres").exists()
        owner = await asyncpg.connect(urls["MIGRATION_DATABASE_URL"])
        await owner.execute(
            "insert into private.applied_files (name, checksum) values ('migrations/2099_later.sql', '')"
        )
        await owner.close()
        production = {"ENVIRONMENT": "production", "JWT_SECRET": SECRET, "DATABASE_URL": urls["DATABASE_URL"]}
        with served(home, **production) as service:
            assert total(service.url) > 400
            assert "Bearer" not in service.output.read_text()
            assert "GraphiQL" not in service.output.read_text()
            assert shown_to_a_browser(service.url) == (406, "application/json; charset=utf-8")
            assert "the database has migrations/2099_later.sql, which this code does not" in service.errors.read_text()
            assert service.stop() == 0
    finally:
        await superuser.execute("drop database given with (force)")
        await superuser.close()


async def test_production_never_migrates(home: Path, server: Dsns) -> None:
    assert server.superuser
    assert server.owner
    superuser = await asyncpg.connect(to_database(server.superuser, "postgres"))
    await superuser.execute("create database untouched owner aclue_owner")
    try:
        finished = aclue(
            home,
            "serve",
            ENVIRONMENT="production",
            JWT_SECRET=SECRET,
            PORT=str(free_port()),
            DATABASE_URL=to_database(server.api, "untouched"),
            MIGRATION_DATABASE_URL=to_database(server.owner, "untouched"),
        )
        assert "aclue migrate" in complaint(finished)
        owner = await asyncpg.connect(to_database(server.owner, "untouched"))
        assert await owner.fetchval("select to_regnamespace('private') is null")
        await owner.close()
    finally:
        await superuser.execute("drop database untouched with (force)")
        await superuser.close()
