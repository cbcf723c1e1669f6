"""A real server process, as `make run` starts it."""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from db import data_folder as stored_data
from db import secrets
from db.embedded import EmbeddedServer
from tests.client import Client
from tests.e2e import forks
from tests.e2e.forks import Fork, Forks

ROOT = Path(__file__).resolve().parents[2]
HANGS = 180  # seconds; far more than anything here takes, even on a machine with other work


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the caller's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "ACLUE_HOME": str(home), "HOST": "127.0.0.1", **more}


@functools.cache
def forking() -> Forks:
    """Of this process, with which it ends."""
    found = Forks(environment(Path("/nonexistent")))
    atexit.register(found.close)
    return found


def aclue(home: Path, *arguments: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    """`aclue <arguments>`, to its end, as a fork of a process that has imported it (tests/e2e/forks.py)."""
    return forks.run(forking(), list(arguments), environment=environment(home, **more), folder=cwd, seconds=HANGS)


def program(home: Path, *arguments: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter of its own, as users start it."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=cwd,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@dataclass
class Service:
    """`aclue serve`, running."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | Fork
    output: Path
    errors: Path
    postmaster: int | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + HANGS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended: {self.errors.read_text()}")
            if "Ctrl-C" in self.output.read_text():
                try:
                    if httpx.get(f"{self.url}/readyz", timeout=HANGS).status_code == 200:
                        self.postmaster = postmaster_of(self.home)
                        return
                except httpx.TransportError:
                    pass  # workers may still be on their way
            time.sleep(0.05)
        pytest.fail(f"the server is not ready: {self.errors.read_text()}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(by)
        return self.process.wait(HANGS)


def postmaster_of(home: Path) -> int | None:
    """The process id of the Postgres of this data folder."""
    try:
        return int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def served(home: Path, *, is_forked: bool = True, **more: str) -> Iterator[Service]:
    """A server on this data folder; nothing of it is left behind, whatever happens inside. One that is not a fork has
    an interpreter of its own, as users start it; so have the workers of a server that has several."""
    port = int(more.pop("PORT", 0)) or free_port()
    output, errors = home / f"out-{port}", home / f"err-{port}"
    variables = environment(home, PORT=str(port), **more)
    process: subprocess.Popen[bytes] | Fork
    with output.open("wb") as out, errors.open("wb") as err:
        if is_forked and "WORKERS" not in more:
            process = forking().start(["serve"], environment=variables, folder=ROOT, stdout=out, stderr=err)
        else:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "cli.py"), "serve"],
                cwd=ROOT,
                env=variables,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
            )
    service = Service(home, port, process, output, errors)
    try:
        service.wait_until_ready()
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(HANGS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder that the embedded Postgres, which is another system user where we are root, may enter."""
    with tempfile.TemporaryDirectory(prefix="aclue-e2e-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            left = postmaster_of(folder)
            if left is not None and is_alive(left):
                os.kill(left, signal.SIGINT)
                deadline = time.monotonic() + HANGS
                while is_alive(left) and time.monotonic() < deadline:
                    time.sleep(0.05)
            if (folder / "postgres").is_symlink():  # where TMPDIR is closed to the user that runs Postgres
                stored_data.discard(folder)


@functools.cache
def _prepared() -> Path:
    """A data folder that was served once and is stopped: of the whole run, made by whichever test needs it first."""
    home = Path(os.environ["ACLUE_TEST_RUN"]) / "home"
    with (home.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            with data_folder() as folder:
                with served(folder, JOBS="off") as service:  # jobs run in the copies: how many would have here?
                    assert service.stop() == 0
                _copy(folder, draft := home.with_name("draft"))
            with (draft / stored_data.NAME / "postgresql.auto.conf").open("a") as configuration:
                configuration.write("fsync = off\n")
            draft.rename(home)
    return home


def _copy(home: Path, other: Path) -> None:
    """Copies data and secrets, not the outputs of servers."""
    other.mkdir(exist_ok=True)
    other.chmod(0o755)
    copied = [home / "secrets.json", (home / stored_data.NAME).resolve()]
    subprocess.run(["cp", "-a", *copied, other], check=True)
    if copied[1].name != stored_data.NAME:
        (other / copied[1].name).rename(other / stored_data.NAME)


@contextmanager
def demo_folder() -> Iterator[Path]:
    """A data folder like one that was served before, with the demo catalogue: for tests of what comes after."""
    with data_folder() as folder:
        _copy(_prepared(), folder)
        yield folder


@contextmanager
def served_postgres(home: Path) -> Iterator[dict[str, str]]:
    """An empty database as one would have it in production: the variables of its two log-ins."""
    with EmbeddedServer(home, secrets.load_or_create(home)) as dsns:
        assert dsns.owner
        yield {"DATABASE_URL": dsns.api, "MIGRATION_DATABASE_URL": dsns.owner}


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty data folder."""
    with data_folder() as folder:
        yield folder


@pytest.fixture(scope="package")
def service() -> Iterator[Service]:
    """One server for all tests that need no start of their own; it has the demo catalogue."""
    with demo_folder() as folder, served(folder) as running:
        yield running


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as client:
        yield client


@pytest.fixture
def caller(http: httpx.AsyncClient) -> Client:
    """Somebody without a token."""
    return Client(http)


@pytest.fixture
async def database(service: Service) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The superuser of the served database."""
    dsn = aclue(service.home, "dsn", "--superuser")
    assert dsn.returncode == 0, dsn.stderr
    connection = await asyncpg.connect(dsn.stdout.strip())
    yield connection
    await connection.close()
