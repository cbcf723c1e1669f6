"""The embedded Postgres starts again after whatever happened to it. These run as an ordinary user, too."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from db import data_folder, embedded, postmasters, programs, secrets
from db.embedded import Dsns, EmbeddedServer
from db.secrets import Secrets
from settings import SettingsError
from tests.unprivileged import NEEDS_ROOT, ROOT, as_nobody, their_environment, their_python

LONG = "folder-with-a-long-name-" * 5


@pytest.fixture(autouse=True)
def starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary servers do not wait for the disk; here their data stay, and go with the folder of the test."""
    monkeypatch.setattr(data_folder, "discard", lambda home: None)


@pytest.fixture
def home() -> Iterator[Path]:
    """An ACLUE_HOME that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as name:
        Path(name).chmod(0o755)
        home = Path(name) / "home"
        home.mkdir()
        yield home


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An ACLUE_HOME that was used before, to be copied: making one takes longer than everything else here."""
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as name:
        Path(name).chmod(0o755)
        running = EmbeddedServer(Path(name), secrets.load_or_create(Path(name)), is_temporary=True)
        with pytest.MonkeyPatch.context() as patched, running as dsns:
            patched.setattr(data_folder, "discard", lambda home: None)
            ask(dsns.owner, "create table public.kept ()")
            running.stop()
        yield Path(name)


@pytest.fixture
def used_home(home: Path, template: Path) -> Path:
    """An ACLUE_HOME that was used before; it has a table `kept`."""
    home.rmdir()
    subprocess.run(["cp", "-a", template, home], check=True)
    return home


@pytest.fixture
def kept(home: Path) -> Secrets:
    return secrets.load_or_create(home)


def ask(dsn: str | None, sql: str) -> object:
    """The first value that this log-in reads."""

    async def fetch() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def assert_all_log_in(dsns: Dsns) -> None:
    users = [ask(dsn, "select current_user::text") for dsn in (dsns.api, dsns.owner, dsns.superuser)]
    assert users == [embedded.API, embedded.OWNER, "postgres"]


def server(home: Path, kept: Secrets) -> EmbeddedServer:
    return EmbeddedServer(home, kept, is_temporary=True)


def socket_folder(dsns: Dsns) -> Path:
    (found,) = parse_qs(urlsplit(dsns.api).query)["host"]
    return Path(found)


def initialised_as_before(home: Path) -> Path:
    """A data folder as earlier versions began it: the wheel's `initdb`, which trusts everybody."""
    runs, data = programs.embedded(), home / "postgres"
    data.mkdir()
    runs.give(data)
    runs.run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(data))
    return data


def left_behind(data: Path, socket_folder: Path) -> int:
    """A server that goes on after its owner was killed; its pid."""
    options = f"-c listen_addresses= -c unix_socket_directories='{socket_folder}'"
    programs.embedded().run("pg_ctl", "--wait", "-D", str(data), f"--log={data / 'log'}", "-o", options, "start")
    found = postmasters.find(data)
    assert found
    return found.process.pid


@pytest.mark.parametrize("name", ["home", LONG, "with 'quotes\" and, commas"])
def test_it_starts_and_starts_again(home: Path, name: str) -> None:
    place = home / name
    kept = secrets.load_or_create(place)
    with server(place, kept) as dsns:
        assert_all_log_in(dsns)
        assert embedded.running_dsns(place, kept) == dsns
        ask(dsns.owner, "create table public.kept ()")
        used = socket_folder(dsns)
    assert embedded.running_dsns(place, kept) is None
    assert list(used.glob(".s.PGSQL*")) == []
    with server(place, kept) as dsns:
        assert ask(dsns.owner, "select to_regclass('public.kept') is not null")


@pytest.mark.drill
def test_a_first_start_that_was_interrupted_leaves_nothing(home: Path, kept: Secrets) -> None:
    half = home / "postgres.new-1"
    half.mkdir()
    (half / "PG_VERSION").write_text(f"{programs.VERSION}\n")
    with server(home, kept) as dsns:
        assert_all_log_in(dsns)
    assert {path.name for path in home.iterdir()} == {"postgres", "postgres.lock", "secrets.json"}


@pytest.mark.drill
@pytest.mark.parametrize("found", ["", "log", "PG_VERSION"])
def test_a_data_folder_that_was_never_complete_is_made_again(home: Path, kept: Secrets, found: str) -> None:
    (home / "postgres").mkdir()
    if found:
        (home / "postgres" / found).write_text(f"{programs.VERSION}\n")
    with server(home, kept) as dsns:
        assert_all_log_in(dsns)


def test_a_set_up_of_an_earlier_version_is_finished_behind_passwords(home: Path, kept: Secrets) -> None:
    data = initialised_as_before(home)
    with server(home, kept) as dsns:
        assert_all_log_in(dsns)
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(f"postgresql://postgres@/postgres?host={socket_folder(dsns)}", "select 1")
    assert "trust" not in (data / "pg_hba.conf").read_text()


def test_something_else_in_its_place_is_left_alone(home: Path, kept: Secrets) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "diary").write_text("mine")
    with pytest.raises(SettingsError, match="neither empty nor the data folder"), server(home, kept):
        pass
    assert (home / "postgres" / "diary").read_text() == "mine"


def test_passwords_of_another_folder_are_named(used_home: Path) -> None:
    (used_home / "secrets.json").unlink()
    other = secrets.load_or_create(used_home)
    with pytest.raises(SettingsError, match=r"secrets\.json"), server(used_home, other):
        pass
    assert postmasters.find(used_home / "postgres") is None


@pytest.mark.drill
def test_a_server_left_behind_is_taken_over(used_home: Path) -> None:
    home, kept = used_home, secrets.load_or_create(used_home)
    left = left_behind(home / "postgres", home / "postgres")
    with server(home, kept) as dsns:
        assert_all_log_in(dsns)
        running = postmasters.find(home / "postgres")
        assert running
        assert running.process.pid == left
    assert postmasters.find(home / "postgres") is None


@pytest.mark.drill
def test_what_a_killed_owner_was_making_is_waited_for(used_home: Path) -> None:
    home, kept = used_home, secrets.load_or_create(used_home)
    data = home / "postgres"
    left_behind(data, data)
    superuser = embedded.dsns_of(data, kept).superuser
    waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"

    async def lose_the_database_meanwhile() -> None:
        connection = await asyncpg.connect(superuser, database="postgres")
        await connection.execute("select pg_advisory_lock(hashtext('aclue: log-ins'))")
        running = server(home, kept)
        starting = asyncio.create_task(asyncio.to_thread(running.__enter__))
        while not await connection.fetchval(waiting):
            assert not starting.done()
        await connection.execute("drop database aclue with (force)")
        await connection.close()
        await asyncio.to_thread(assert_all_log_in, await starting)
        running.stop()

    asyncio.run(lose_the_database_meanwhile())


def test_a_server_left_behind_that_others_can_reach_is_replaced(home: Path, kept: Secrets) -> None:
    data = initialised_as_before(home)
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as name:
        Path(name).chmod(0o777)
        left = left_behind(data, Path(name))
        assert embedded.running_dsns(home, kept) is None
        with server(home, kept) as dsns:
            assert_all_log_in(dsns)
            running = postmasters.find(data)
            assert running
            assert running.process.pid != left
            assert list(Path(name).iterdir()) == []


@pytest.mark.drill
@pytest.mark.parametrize("name", ["home", LONG])
def test_a_crash_is_recovered_from_even_if_its_pid_is_another_process_now(home: Path, name: str) -> None:
    place = home / name
    kept = secrets.load_or_create(place)
    data = place / "postgres"
    with server(place, kept) as dsns:
        crashed = socket_folder(dsns)
        running = postmasters.find(data)
        assert running
        processes = [running.process, *running.process.children()]
        running.process.kill()
        _, alive = psutil.wait_procs(processes, 60)
        assert alive == []
        left = (data / "postmaster.pid").read_text().splitlines()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *left[1:]]))
    with server(place, kept) as dsns:
        assert_all_log_in(dsns)
        assert socket_folder(dsns) == data or not crashed.exists()


@NEEDS_ROOT
def test_data_of_the_user_of_an_earlier_version_are_taken_over(used_home: Path) -> None:
    home, kept = used_home, secrets.load_or_create(used_home)
    try:
        former = pwd.getpwnam("pgserver")
    except KeyError:
        pytest.skip("the wheel's own server class never ran here: there is no user pgserver")
    data = home / "postgres"
    for path in (data, *data.rglob("*")):
        shutil.chown(path, former.pw_uid, former.pw_gid)
    with server(home, kept) as dsns:
        assert ask(dsns.owner, "select to_regclass('public.kept') is not null")
        assert {path.owner() for path in (data, *data.rglob("*"))} == {programs.SYSTEM_USER}


@NEEDS_ROOT
def test_data_of_somebody_else_are_not(used_home: Path) -> None:
    home, kept = used_home, secrets.load_or_create(used_home)
    shutil.chown(home / "postgres", "nobody")
    with pytest.raises(SettingsError, match="belongs to the user nobody"), server(home, kept):
        pass
    assert (home / "postgres").owner() == "nobody"


@NEEDS_ROOT
def test_data_move_when_their_folder_has_been_closed(used_home: Path) -> None:
    home, kept = used_home, secrets.load_or_create(used_home)
    home.chmod(0o700)
    with server(home, kept) as dsns:
        assert ask(dsns.owner, "select to_regclass('public.kept') is not null")
        data = (home / "postgres").resolve()
        assert data.parent == programs.SHARED
        assert not (home / "postgres.former").exists()
    shutil.rmtree(data)
    assert home.stat().st_mode & 0o777 == 0o700


@NEEDS_ROOT
def test_an_ordinary_user_has_all_of_this(home: Path) -> None:
    python, environment = their_python(), their_environment(home)
    shutil.chown(home, "nobody")
    home.chmod(0o700)
    command = [python, "-m", "pytest", "-n", "0", "-rs", f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}", __file__]
    options = {**as_nobody(), "cwd": ROOT, "env": {**environment, "TMPDIR": str(home)}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout
