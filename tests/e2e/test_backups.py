"""Backups as commands: under load, restored after a crash and to a point in time, damaged, interrupted, drilled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from db import programs, restores, wal_archives
from db.backup_folders import Backup, BackupError, BackupFolder, Kind
from db.embedded import EmbeddedServer
from db.secrets import load_or_create
from db.wal_archives import Segment
from tests.client import START, Client
from tests.e2e.conftest import HANGS, ROOT, Service, aclue, data_folder, environment, served
from tests.ledger import awin
from tests.unprivileged import NEEDS_ROOT

pytestmark = pytest.mark.long

SECRET = "a secret of the backups, kept elsewhere"
ERASE = "mutation ($input: DeleteMyAccountInput!) { deleteMyAccount(input: $input) { deleted } }"
SIGN_OUT = "mutation { signOut { userErrors { code } } }"
NAMES = "select name from public.brands where slug like 'kept-%' order by slug"


@dataclass
class Shop:
    """A served installation whose backups the tests use, as it was before it crashed."""

    home: Path
    backups: Path
    to: datetime
    """A time between two writes, and before somebody was erased."""
    acknowledged: int
    """Rows that were written while a backup was taken."""

    @property
    def folder(self) -> BackupFolder:
        return BackupFolder.of(self.backups, programs.embedded())


def printed(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


def facts(text: str) -> dict[str, str]:
    """The table that `restore` and `drill` print."""
    return {line[:20].strip(): line[20:] for line in text.splitlines()}


async def names(home: Path) -> list[str]:
    dsn = printed(aclue(home, "dsn", "--superuser")).strip()
    connection = await asyncpg.connect(dsn)
    found = [row["name"] for row in await connection.fetch(NAMES)]
    await connection.close()
    return found


async def names_of_stopped(home: Path) -> list[str]:
    def read() -> list[str]:
        with EmbeddedServer(home, load_or_create(home)) as dsns:
            return asyncio.run(fetched(dsns.superuser))

    async def fetched(dsn: str | None) -> list[str]:
        connection = await asyncpg.connect(dsn)
        found = [row["name"] for row in await connection.fetch(NAMES)]
        await connection.close()
        return found

    return await asyncio.to_thread(read)


async def add(database: asyncpg.Connection[Any], slug: str, name: str) -> None:
    await database.execute("insert into public.brands (slug, name) values ($1, $2)", f"kept-{slug}", name)


@contextlib.asynccontextmanager
async def load(database: asyncpg.Connection[Any]) -> AsyncIterator[list[int]]:
    """Rows are written, one after the other, during the block; the list has those that were acknowledged."""
    done: list[int] = []
    is_over = asyncio.Event()

    async def write() -> None:
        while not is_over.is_set():
            await add(database, f"load-{len(done):06}", "load")
            done.append(len(done))

    writing = asyncio.create_task(write())
    try:
        yield done
    finally:
        is_over.set()
        await writing


async def run(home: Path, *arguments: str) -> str:
    return printed(await asyncio.to_thread(aclue, home, *arguments, BACKUP_SECRET=SECRET))


async def erase_somebody(service: Service, home: Path) -> None:
    """A session that started before everything else is erased."""
    file = home / "somebody.json"
    async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http:
        if not file.exists():
            answer = await http.post("/graphql", json={"query": START})
            file.write_text(json.dumps(answer.json()["data"]["startSession"]))
            return
        session = json.loads(file.read_text())
        variables = {"input": {"confirm": True, "refreshToken": session["refreshToken"]}}
        headers = {"authorization": f"Bearer {session['accessToken']}"}
        answer = await http.post("/graphql", json={"query": ERASE, "variables": variables}, headers=headers)
        assert answer.json()["data"]["deleteMyAccount"]["deleted"] is True


async def history(service: Service, backups: Path, folder: Path) -> Shop:
    """A full backup, writes, an increment under load, more writes, an erasure; then everything is killed."""
    home = service.home
    await erase_somebody(service, home)  # begins the session
    file = folder / "awin.json"
    file.write_text(json.dumps([awin(f"B{number}", "approved") for number in range(5)]))
    assert aclue(home, "import", "conversions", "--network", "awin", str(file)).returncode == 0
    await run(home, "backup", str(backups))
    database = await asyncpg.connect(printed(aclue(home, "dsn", "--superuser")).strip())
    async with load(database) as done:
        await run(home, "backup", str(backups))
    await add(database, "1", "first")
    http = httpx.AsyncClient(base_url=service.url, timeout=HANGS)
    anna = await Client(http).sign_up("anna@people.example", "correct horse")
    to = await database.fetchval("select clock_timestamp()")
    await add(database, "2", "second")
    await erase_somebody(service, home)
    await anna.do(SIGN_OUT)
    await http.aclose()
    await database.close()
    assert service.postmaster
    os.kill(service.postmaster, signal.SIGKILL)
    service.stop(signal.SIGKILL)
    return Shop(home, backups, to, len(done))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with data_folder() as home, data_folder() as other, served(home) as service:
        yield asyncio.run(history(service, other / "backups", other))


@pytest.fixture
def copied(shop: Shop) -> Iterator[BackupFolder]:
    """A copy of the backups, to be damaged."""
    with data_folder() as folder:
        subprocess.run(["cp", "-a", shop.backups, folder / "backups"], check=True)
        yield BackupFolder.of(folder / "backups", programs.embedded())


@pytest.mark.drill
async def test_after_a_crash_nothing_is_lost_and_any_time_can_be_restored(shop: Shop) -> None:
    refused = aclue(shop.home, "restore", str(shop.backups))
    assert refused.returncode == 1
    assert "--force moves it aside" in refused.stderr

    restored = facts(printed(aclue(shop.home, "restore", str(shop.backups), "--force", "--to", shop.to.isoformat())))
    assert restored["restored"].endswith(f"-incremental and 1 before it, to {shop.to.isoformat(timespec='seconds')}")
    assert restored["erased again"] == "1 people"  # they were erased later, as the former data say
    assert restored["sessions ended"] == "1"  # Anna's: she signed out later
    assert restored["ledger"] == "5 conversions; balances hold"
    assert restored["verify"].endswith(
        " 0 not run"
    )  # the exit code says that nothing failed but, at most, a check of speed
    former = Path(restored["former data"])
    assert (former / "PG_VERSION").exists()
    with_first = await names_of_stopped(shop.home)
    assert with_first == ["first", *["load"] * shop.acknowledged]

    with data_folder() as home:
        new = home / "new"
        missing = aclue(new, "restore", str(shop.backups))
        assert (
            "secrets.json: is missing; copy the one of the installation there, or set BACKUP_SECRET" in missing.stderr
        )
        other = aclue(new, "restore", str(shop.backups), BACKUP_SECRET=SECRET[::-1])
        assert "encrypted with another BACKUP_SECRET" in other.stderr
        whole = facts(printed(aclue(new, "restore", str(shop.backups), BACKUP_SECRET=SECRET)))
        assert whole["restored"].endswith("to the end of the archived WAL")
        assert whole["erased again"] == "0 people"  # the WAL has the erasure
        assert whole["sessions ended"] == "0"  # as it has what was revoked
        assert await names_of_stopped(new) == ["first", "second", *["load"] * shop.acknowledged]


def test_nobody_else_may_read_anything_of_it(shop: Shop) -> None:
    for path in (shop.backups, *shop.backups.rglob("*")):
        assert path.lstat().st_mode & 0o077 == 0, path
    sealed = (shop.backups / "secrets.sealed").read_bytes()
    assert load_or_create(shop.home).jwt.encode() not in sealed


def test_a_damaged_file_is_named_and_an_earlier_backup_is_used(shop: Shop, copied: BackupFolder) -> None:
    full, increment = copied.backups()
    broken = next(path for path in copied.folder_of(increment).rglob("global/pg_control"))
    content = bytearray(broken.read_bytes())
    content[100] ^= 1
    broken.write_bytes(content)
    listed = aclue(shop.home, "backup", "list", str(copied.path), "--check")
    assert listed.returncode == 1
    assert f"{broken}: is damaged" in listed.stderr

    choice = restores.choose(copied, None, datetime.now(UTC))
    assert choice.chain == [full]
    assert choice.damage == [f"{broken}: is damaged: its checksum differs"]

    broken.unlink()
    assert f"{broken}: is missing" in restores.choose(copied, None, datetime.now(UTC)).damage
    (copied.folder_of(full) / "PG_VERSION").write_text("17")
    with pytest.raises(BackupError, match="no undamaged backup leads there"):
        restores.choose(copied, None, datetime.now(UTC))


def test_wal_that_is_missing_or_damaged_is_named(copied: BackupFolder) -> None:
    newest = copied.backups()[-1]
    after = Segment.of(newest.timeline, newest.end_lsn)
    file = wal_archives.file_of(copied.wal, after)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(BackupError, match=f"{after.name}.gz: is damaged.*--to {newest.name}"):
        restores.choose(copied, None, datetime.now(UTC))
    file.unlink()
    with pytest.raises(BackupError, match=f"{after.name}.gz: is missing"):
        restores.choose(copied, None, datetime.now(UTC))
    assert restores.choose(copied, newest.name, datetime.now(UTC)).chain[-1] == newest  # needs no archive


def test_a_time_that_cannot_be_restored_is_refused_with_what_can(shop: Shop) -> None:
    first = shop.folder.backups()[0]
    with data_folder() as home:
        for to, says in (
            ("2020-01-01T00:00:00Z", f"the earliest time is {first.finished_at.isoformat()}"),
            ("2999-01-01T00:00:00Z", "is in the future"),
            ("2026-01-01T00:00:00", "has no time zone"),
            ("yesterday", "neither a time such as"),
            ("20200101T000000Z-full", f"there are {first.name}"),
        ):
            refused = aclue(home, "restore", str(shop.backups), "--to", to, BACKUP_SECRET=SECRET)
            assert refused.returncode == 1
            assert says in refused.stderr
            assert "Traceback" not in refused.stderr
        load_or_create(home / "other")
        refused = aclue(home / "other", "restore", str(shop.backups))
        assert f"secrets.json is not the one that belongs to {shop.folder.backups()[-1].name}" in refused.stderr
        shutil.rmtree(home / "other")
        late = datetime.now(UTC).isoformat()
        refused = aclue(home, "restore", str(shop.backups), "--to", late, BACKUP_SECRET=SECRET)
        assert "is after the end of the archived WAL; the last transaction in it is of" in refused.stderr
        assert {path.name for path in home.iterdir()} == {"secrets.json", "postgres.lock"}  # no half of anything


def test_folders_that_are_not_ours_are_refused(shop: Shop, copied: BackupFolder) -> None:
    with pytest.raises(BackupError, match="contains backups of another database"):
        copied.claim("7000000000000000000")
    with copied.locked(), pytest.raises(BackupError, match="another command is backing up"), copied.locked():
        pass
    with data_folder() as folder:
        (folder / "letters").mkdir(mode=0o700)
        (folder / "letters" / "to-anna.txt").write_text("Dear Anna")
        assert "is no folder of aclue's backups" in aclue(shop.home, "backup", str(folder / "letters")).stderr
        assert "is no folder of aclue's backups" in aclue(shop.home, "restore", str(folder), "--force").stderr
        (folder / "shared").mkdir()
        (folder / "shared").chmod(0o777)
        refused = aclue(shop.home, "backup", str(folder / "shared" / "backups"))
        assert "other users can rename it" in refused.stderr
    outside = aclue(shop.home, "backup", DATABASE_URL="postgresql://aclue_api:x@127.0.0.1:1/aclue")
    assert outside.returncode == 1
    assert "pgBackRest" in outside.stderr


@pytest.mark.drill
def test_a_killed_backup_is_named_and_removed_by_the_next_one(shop: Shop, copied: BackupFolder) -> None:
    """On a server of its own, restored from the copy, which then continues there; and it passes a drill."""
    with data_folder() as home:
        shutil.copy(shop.home / "secrets.json", home)
        known = copied.backups()
        printed(aclue(home, "restore", str(copied.path), "--to", known[0].name))
        command = [sys.executable, str(ROOT / "cli.py"), "backup", str(copied.path)]
        process = Popen(command, env=environment(home), start_new_session=True, stdout=DEVNULL, stderr=DEVNULL)
        while not (begun := copied.interrupted()) and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        (left,) = begun
        listed = aclue(home, "backup", "list", str(copied.path))
        assert f"{left}: was interrupted" in listed.stderr
        assert copied.backups() == known
        assert not list(copied.damage(known[-1]))

        done = aclue(home, "backup", str(copied.path))
        assert f"{left.name} was interrupted and has been removed" in done.stderr
        newest = copied.backups()[-1]
        assert (newest.kind, newest.timeline) == (Kind.FULL, 2)  # a restore begins another history
        assert not copied.interrupted()

        drilled = facts(printed(aclue(home, "backup", "drill", str(copied.path))))
        assert drilled["restored"].startswith(newest.name)
        assert drilled["tables"].endswith(f" {drilled['rows here']} rows")
        assert {"RTO", "RPO"} <= drilled.keys()
        (line,) = (copied.path / "drills.jsonl").read_text().splitlines()
        assert json.loads(line)["passed"] is True


@NEEDS_ROOT
def test_a_full_disk_leaves_earlier_backups(shop: Shop) -> None:
    """The disk has room for a full backup, not for two."""
    with data_folder() as folder, data_folder() as home:
        shutil.copy(shop.home / "secrets.json", home)
        printed(aclue(home, "restore", str(shop.backups), "--to", shop.folder.backups()[0].name))
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", disk], check=True)
        try:
            printed(aclue(home, "backup", str(disk / "backups")))
            refused = aclue(home, "backup", str(disk / "backups"), "--full")
            assert refused.returncode == 1
            assert "No space left on device" in refused.stderr
            kept = BackupFolder.of(disk / "backups", programs.embedded())
            (backup,) = kept.backups()
            assert not list(kept.damage(backup))
            assert not kept.interrupted()
        finally:
            subprocess.run(["umount", disk], check=True)


def test_retention_keeps_what_any_time_in_the_period_needs(copied: BackupFolder) -> None:
    full, increment = copied.backups()
    day = timedelta(days=1)

    def at(age: int, name: str, parent: str | None = None) -> Backup:
        """A backup that ended so many days ago."""
        ended = increment.finished_at - age * day
        kind = Kind.INCREMENTAL if parent else Kind.FULL
        backup = msgspec.structs.replace(full, name=name, kind=kind, parent=parent, finished_at=ended)
        (copied.path / name).mkdir()
        copied.write(f"{name}.json", msgspec.json.encode(backup))
        return backup

    for backup in (full, increment):
        copied.remove(backup)
    forgotten = [at(20, "20260101T000000Z-full"), at(19, "20260102T000000Z-incremental", "20260101T000000Z-full")]
    base = at(12, "20260108T000000Z-full")
    before = at(11, "20260109T000000Z-incremental", base.name)
    unneeded = at(10, "20260110T000000Z-incremental", base.name)
    needed = at(9, "20260111T000000Z-incremental", before.name)  # for the first day of the period
    inside = at(2, "20260118T000000Z-full")
    assert copied.expire(7 * day, increment.finished_at) == [*forgotten, unneeded]
    assert copied.backups() == [base, before, needed, inside]
    assert copied.expire(day, increment.finished_at + 300 * day) == [base, before, needed]
    assert copied.backups() == [inside]  # the newest one stays
    assert not copied.interrupted()
