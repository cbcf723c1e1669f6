"""A Postgres of one's own, backed up by pgBackRest as docs/backup.md says, and restored to a time."""

from __future__ import annotations

import asyncio
import configparser
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import embedded, programs
from db.programs import Programs
from tests.bases.clusters import Cluster
from tests.e2e.conftest import ROOT, aclue, data_folder

POSTGRES = Path(os.environ.get("ACLUE_TEST_POSTGRES15") or "/usr/lib/postgresql/15/bin")
NEEDED = shutil.which("pgbackrest") and (POSTGRES / "initdb").exists()
if not NEEDED and os.environ.get("CI"):
    raise RuntimeError("pgbackrest and postgresql-15 are needed in continuous integration (Debian: apt-get install)")
pytestmark = [
    pytest.mark.skipif(not NEEDED, reason="pgbackrest or postgresql-15 is missing (Debian: apt-get install)"),
    pytest.mark.long,
]
STANZA = "aclue"
RECOVERED = 60  # seconds


@dataclass
class Kept:
    """A migrated database of a cluster that pgBackRest archives, and its program, which names its configuration."""

    folder: Path
    cluster: Cluster
    postgres: Programs

    @property
    def variables(self) -> dict[str, str]:
        dsns = self.cluster.dsns(owner=embedded.OWNER)
        return {
            "DATABASE_URL": dsns.api,
            "MIGRATION_DATABASE_URL": dsns.owner or "",
            "WORKER_DATABASE_URL": dsns.worker or "",
            "ENVIRONMENT": "production",
            "JWT_SECRET": "e" * 32,
        }

    def pgbackrest(self, *arguments: str) -> None:
        configuration = f"--config={self.folder / 'pgbackrest.conf'}"
        run = Programs(Path("/usr/bin"), self.postgres.account).run
        run("pgbackrest", configuration, f"--stanza={STANZA}", *arguments, password=self.cluster.password)

    def aclue(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return aclue(self.folder, *arguments, **self.variables)

    def ask(self, sql: str) -> Any:
        """One value, as the owner."""

        async def ask() -> Any:
            connection = await asyncpg.connect(self.variables["MIGRATION_DATABASE_URL"])
            value = await connection.fetchval(sql)
            await connection.close()
            return value

        return asyncio.run(ask())


def configuration(folder: Path, data: Path) -> str:
    """ops/pgbackrest.conf with the paths of this test."""
    read = configparser.ConfigParser()
    read.read(ROOT / "ops" / "pgbackrest.conf")
    assert read[STANZA]["pg1-path"] and read["global"]["repo1-path"] and read["global"]["repo2-path"]
    read["global"].update({"repo1-path": f"{folder / 'near'}", "repo2-path": f"{folder / 'far'}"})
    read["global"].update({"log-path": f"{folder}", "lock-path": f"{folder}", "spool-path": f"{folder}"})
    read[STANZA].update({"pg1-path": f"{data}", "pg1-socket-path": f"{data.parent}", "pg1-user": "postgres"})
    return "\n".join(
        line for name in read.sections() for line in (f"[{name}]", *(f"{k}={v}" for k, v in read[name].items()))
    )


@pytest.fixture
def kept() -> Iterator[Kept]:
    with data_folder() as folder:
        folder.chmod(0o755)
        postgres = Programs(POSTGRES, programs.system_account())
        postgres.give(folder)
        push = f"pgbackrest --config={folder / 'pgbackrest.conf'} --stanza={STANZA} archive-push %p"
        archiving = f"archive_mode = on\narchive_command = '{push}'\narchive_timeout = 300s\n"
        cluster = Cluster(postgres, folder, superuser="postgres", configuration=archiving)
        postgres.write(folder / "pgbackrest.conf", configuration(folder, cluster.data) + "\n")
        with cluster:
            cluster.run(f"create role {embedded.OWNER} login createrole password '{cluster.password}'")
            cluster.run(f"create database {embedded.DATABASE} owner {embedded.OWNER}")
            yield Kept(folder, cluster, postgres)


def test_the_far_repository_brings_back_the_state_of_a_time(kept: Kept) -> None:
    assert kept.aclue("migrate").returncode == 0
    kept.pgbackrest("stanza-create")
    kept.pgbackrest("check")
    for number in ("1", "2"):
        kept.pgbackrest(f"--repo={number}", "--type=full", "backup")
    assert kept.aclue("backup", "record", "full").returncode == 0
    kept.ask("insert into public.brands (slug, name) values ('before', 'Before')")
    for number in ("1", "2"):
        kept.pgbackrest(f"--repo={number}", "--type=incr", "backup")
    then: datetime = kept.ask("select clock_timestamp()")
    kept.ask("select pg_sleep(0.1)")
    kept.ask("insert into public.brands (slug, name) values ('after', 'After')")
    kept.cluster.run("select pg_switch_wal()")
    kept.pgbackrest("check")  # waits until it is archived
    kept.cluster.stop()
    shutil.rmtree(kept.folder / "near")
    shutil.rmtree(kept.cluster.data / "base")

    target = f"--target={then:%Y-%m-%d %H:%M:%S.%f+00}"
    kept.pgbackrest("--repo=2", "--delta", "--type=time", target, "--target-action=promote", "restore")
    kept.cluster.start()
    wait = f"select pg_sleep(0.1) from generate_series(1, {RECOVERED * 10}) where pg_is_in_recovery()"
    kept.cluster.run(f"do $$ begin perform from ({wait}) waited; end $$")
    assert kept.ask("select array_agg(slug) from public.brands where slug in ('before', 'after')") == ["before"]
    assert kept.ask("select array_agg(kind) from private.backup_runs") == ["full"]
    for command in (["migrate"], ["privacy", "reapply"], ["ledger", "rebuild", "--check"]):
        finished = kept.aclue(*command)
        assert finished.returncode == 0, finished.stderr
    assert (kept.folder / "far" / "backup" / STANZA / "backup.info").read_bytes().startswith(b"Salted__")


def test_the_configuration_keeps_a_month_here_and_a_quarter_elsewhere() -> None:
    read = configparser.ConfigParser()
    read.read(ROOT / "ops" / "pgbackrest.conf")
    assert [read["global"][f"repo{n}-retention-full"] for n in (1, 2)] == ["30", "90"]
    assert read["global"]["repo1-cipher-pass"] != read["global"]["repo2-cipher-pass"]
