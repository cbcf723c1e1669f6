"""What the files of sql/ must look like."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from db.migrations import (
    NO_TRANSACTION,
    REPEATABLE_FOLDERS,
    SQL_FOLDER,
    MigrationError,
    SqlFile,
    migration_files,
    repeatable_files,
)

MIGRATIONS = migration_files()
ROLLBACKS = [SqlFile(f"rollbacks/{path.name}", path.read_text()) for path in (SQL_FOLDER / "rollbacks").glob("*.sql")]
POLICIES = {Path(f.name).stem: f.text for f in repeatable_files() if f.name.startswith("policies/")}
CHANGES = re.findall(
    r"^\s*(create|drop) table (\w+\.\w+)(?: \(|;)", "\n".join(file.text for file in MIGRATIONS), re.MULTILINE
)
TABLES = [name for name, verb in {name: verb for verb, name in CHANGES}.items() if verb == "create"]
PUBLIC = [name.removeprefix("public.") for name in TABLES if name.startswith("public.")]


def folder_with(folder: Path, *names: str) -> Path:
    (folder / "migrations").mkdir()
    for name in names:
        (folder / "migrations" / name).write_text("select 1;\n")
    return folder


@pytest.mark.parametrize("name", ["1_short.sql", "20261121090000.sql", "20261121090000-what.sql", "notes.sql"])
def test_a_migration_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MigrationError, match=f"^{re.escape(name)}: a migration is called <14-digit timestamp>"):
        migration_files(folder_with(tmp_path, name))


def test_migrations_run_in_the_order_of_their_timestamps(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "20261122000000_a.sql", "20261121000000_z.sql", "20261121000001_m.sql")
    assert [file.name for file in migration_files(folder)] == [
        "migrations/20261121000000_z.sql",
        "migrations/20261121000001_m.sql",
        "migrations/20261122000000_a.sql",
    ]


def test_repeatable_files_run_functions_first_and_policies_last() -> None:
    kinds = [REPEATABLE_FOLDERS.index(file.name.split("/")[0]) for file in repeatable_files()]
    assert kinds == sorted(kinds)


def test_a_checksum_follows_every_character() -> None:
    assert SqlFile("a.sql", "select 1;").checksum != SqlFile("a.sql", "select 1; ").checksum
    assert SqlFile("a.sql", "select 1;").checksum == SqlFile("b.sql", "select 1;").checksum


def test_two_migrations_do_not_share_a_timestamp() -> None:
    stamps = [Path(file.name).name[:14] for file in MIGRATIONS]
    assert len(set(stamps)) == len(stamps)


@pytest.mark.parametrize("file", MIGRATIONS, ids=lambda file: Path(file.name).stem)
def test_a_timestamp_is_a_moment(file: SqlFile) -> None:
    datetime.strptime(Path(file.name).name[:14] + "+0000", "%Y%m%d%H%M%S%z")


@pytest.mark.parametrize("file", [*MIGRATIONS, *repeatable_files(), *ROLLBACKS], ids=lambda file: file.name)
def test_a_file_says_first_what_it_is_for(file: SqlFile) -> None:
    assert file.text.startswith("-- ")
    assert file.text.endswith("\n")


@pytest.mark.parametrize("file", [*MIGRATIONS, *repeatable_files(), *ROLLBACKS], ids=lambda file: file.name)
def test_a_file_leaves_its_transaction_to_the_runner(file: SqlFile) -> None:
    assert not re.search(r"^\s*(begin|commit|rollback|start transaction)\s*;", file.text, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("file", MIGRATIONS, ids=lambda file: Path(file.name).stem)
def test_only_a_marked_file_works_concurrently(file: SqlFile) -> None:
    assert file.text.startswith(NO_TRANSACTION) == bool(re.search(r"\bconcurrently\b", file.text))


def test_nothing_lies_where_no_runner_looks() -> None:
    known = {"migrations", "optional", "queries", "rollbacks", *REPEATABLE_FOLDERS}
    assert {path.relative_to(SQL_FOLDER).parts[0] for path in SQL_FOLDER.rglob("*") if path.is_file()} <= known


def test_every_rollback_is_of_a_migration() -> None:
    assert {Path(file.name).name for file in ROLLBACKS} <= {Path(file.name).name for file in MIGRATIONS}
    assert ROLLBACKS


@pytest.mark.parametrize("file", ROLLBACKS, ids=lambda file: Path(file.name).stem)
def test_no_rollback_touches_row_level_security(file: SqlFile) -> None:
    assert "row level security" not in file.text.lower()


def test_every_public_table_has_a_file_of_policies() -> None:
    assert sorted(POLICIES.keys() - {"private_tables", "jobs"}) == sorted(PUBLIC)


@pytest.mark.parametrize("table", PUBLIC)
def test_policies_are_of_their_own_table_alone(table: str) -> None:
    assert set(re.findall(r"\bon (?:table )?public\.(\w+)", POLICIES[table])) == {table}


@pytest.mark.parametrize("table", PUBLIC)
def test_policies_begin_with_row_level_security_and_a_clean_slate(table: str) -> None:
    statements = [s.strip() for s in re.sub(r"^--.*$", "", POLICIES[table], flags=re.MULTILINE).split(";")]
    assert statements[0] == f"alter table public.{table} enable row level security"
    clean_slate = rf"revoke all on table public\.{table}(, public\.{table}_\w+)* from "  # with its partitions
    assert re.fullmatch(clean_slate + "public, anon, authenticated, service_role", statements[1])


@pytest.mark.parametrize("table", PUBLIC)
def test_every_policy_is_replaced_when_its_file_runs_again(table: str) -> None:
    made = re.findall(r"create policy (\w+) on", POLICIES[table])
    assert made
    dropped = re.findall(r"drop policy if exists (\w+) on", POLICIES[table])
    assert [policy for policy in dropped if policy in made] == made  # others are those of an earlier release


@pytest.mark.parametrize("table", PUBLIC)
def test_only_the_service_may_do_everything(table: str) -> None:
    for whom in re.findall(r"create policy \w+ on public\.\w+ for all to ([\w, ]+)", POLICIES[table]):
        assert whom.strip() == "service_role"


@pytest.mark.parametrize("table", [name for name in TABLES if name.startswith("private.")])
def test_private_tables_are_closed_to_every_role(table: str) -> None:
    closed = f"revoke all on table {table} from public, anon, authenticated, service_role;"
    assert closed in POLICIES["private_tables"]
