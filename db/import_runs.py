"""The runs of imports: who imported what and when, with which outcome, and taking one back. docs/imports.md

A run is a row that is committed before the import begins, so that a killed import is known. What the import writes is
recorded by triggers (sql/functions/import_runs.sql) while `recording` is on, in the import's own transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.queries import QUERIES
from domain.feed_mappings import ImportFailed
from domain.switches import Switch

MAX_ERROR_CHARACTERS = 1000
MAX_CONFLICTS = 50
OWNER = "the owner of the database"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that is no longer what the run set. `run`: the import that wrote it since; None: somebody else did."""

    table: str
    label: str
    column: str | None
    was_set: str | None
    is_now: str | None
    reason: str
    run: int | None

    def __str__(self) -> str:
        name = f"{self.table.removeprefix('public.')} {self.label}"
        if self.run is None and self.reason == "exists again":  # as another row, which may be of any import
            return f"{name}: {self.reason}"
        by = f"import {self.run}" if self.run else "outside of imports"
        if self.column is None or self.reason != "changed":
            return f"{name}: {self.reason} ({by})"
        return f"{name}: {self.column} was set to {self.was_set} and is {self.is_now} ({by})"


class UndoRefused(ValueError):
    """The run cannot be taken back; nothing was written. `conflicts`: the first MAX_CONFLICTS of `total`."""

    def __init__(self, message: str, conflicts: tuple[Conflict, ...] = (), total: int = 0) -> None:
        super().__init__(message)
        self.conflicts = conflicts
        self.total = total


@dataclass(frozen=True, slots=True)
class Undone:
    """`number`: the run that took the other one back. Rows by table; `kept`: products that people have swiped, saved or
    clicked, which are off sale now."""

    number: int
    removed: Mapping[str, int]
    restored: Mapping[str, int]
    kept: int


class Run:
    """A run that has begun. Its `id` names it to the database, its `number` to people."""

    def __init__(self, connection: asyncpg.Connection[Any], id: UUID, number: int) -> None:
        self._connection = connection
        self.id = id
        self.number = number

    async def describe_file(self, path: Path) -> None:
        """Notes size and hash of the file. Raises ImportFailed if it cannot be read."""
        size, digest = await asyncio.to_thread(_hash, path)
        await self._connection.execute(QUERIES["import_runs.describe_file"].sql, self.id, size, digest)

    async def record(self) -> None:
        """From here on, what the transaction writes is recorded as this run's."""
        await self._connection.execute(QUERIES["import_runs.record"].sql, self.id)

    async def stop_recording(self) -> None:
        await self._connection.execute(QUERIES["import_runs.stop_recording"].sql)

    async def keep_rejects(self, rejects: Iterable[tuple[int, str, str, str, str, str]]) -> None:
        """Stores what the import refused or dropped: line, id, field, value, reason, kind."""
        await self._connection.copy_records_to_table(
            "import_rejects",
            schema_name="private",
            columns=("run_id", "number", "line", "external_id", "field", "value", "reason", "kind"),
            records=[(self.id, number, *row) for number, row in enumerate(rejects, start=1)],
        )

    async def finish(self, outcome: str, counts: Mapping[str, object] | None = None, error: str | None = None) -> None:
        await self._connection.execute(
            QUERIES["import_runs.finish"].sql,
            self.id,
            outcome,
            None if counts is None else msgspec.json.encode(counts).decode(),
            error and error[:MAX_ERROR_CHARACTERS],
        )


async def require_switched_on(owner: asyncpg.Connection[Any]) -> None:
    """Raises ImportFailed while imports are switched off."""
    if Switch.IMPORTS.value in {row["name"] for row in await owner.fetch(QUERIES["switches.off"].sql)}:
        raise ImportFailed(str(Switch.IMPORTS.refusal()))


@contextlib.asynccontextmanager
async def begun(
    connection: asyncpg.Connection[Any],
    *,
    started_by: str,
    source: str | None = None,
    file: str | None = None,
    mapping: object = None,
    undoes: UUID | None = None,
) -> AsyncIterator[Run]:
    """A new run. The block finishes it in its own transaction; if it raises, the run is noted as failed."""
    await connection.execute(QUERIES["import_runs.mark_interrupted"].sql)
    await connection.execute(QUERIES["import_runs.notice_disconnects"].sql)
    described = None if mapping is None else msgspec.json.encode(mapping).decode()
    row = await connection.fetchrow(QUERIES["import_runs.begin"].sql, started_by, source, file, described, undoes)
    assert row is not None
    run = Run(connection, row["id"], row["number"])
    try:
        yield run
    except BaseException as error:
        told = str(error) if isinstance(error, ImportFailed | UndoRefused) else type(error).__name__
        outcome = "failed" if isinstance(error, Exception) else "interrupted"
        # A lost connection, or a failed transaction of the caller, must not hide the error.
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await run.finish(outcome, error=told)
        raise
    finally:
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.execute(QUERIES["import_runs.release"].sql, run.number)


async def newest(connection: asyncpg.Connection[Any], size: int) -> list[asyncpg.Record]:
    """The latest runs, newest first; those whose process was killed are marked first."""
    await connection.execute(QUERIES["import_runs.mark_interrupted"].sql)
    return await connection.fetch(QUERIES["import_runs.newest"].sql, size)


async def rejects(connection: asyncpg.Connection[Any], number: int) -> list[asyncpg.Record] | None:
    """What a run refused or dropped, in the order of its file; None: there is no such run."""
    if await connection.fetchrow(QUERIES["import_runs.find"].sql, number) is None:
        return None
    return await connection.fetch(QUERIES["import_runs.rejects"].sql, number)


async def undo(connection: asyncpg.Connection[Any], number: int, *, started_by: str = OWNER) -> Undone:
    """Takes a run back in one transaction: rows that it inserted go, values that it changed are as before. Raises
    UndoRefused if a value was written since, or the run cannot be taken back."""
    await connection.execute(QUERIES["import_runs.mark_interrupted"].sql)
    found = await _undoable(connection, number)
    async with begun(connection, started_by=started_by, undoes=found["id"]) as run, connection.transaction():
        await connection.execute(QUERIES["product_imports.lock"].sql)
        await _undoable(connection, number)  # another undo may have held the lock
        await connection.execute(QUERIES["import_runs.prepare_undo"].sql, found["id"])
        await _refuse_conflicts(connection, number)
        await run.record()
        rows = await connection.fetch(QUERIES["import_runs.apply_undo"].sql)
        await run.stop_recording()
        await connection.execute(QUERIES["products.apply_sales"].sql)
        await connection.execute(QUERIES["import_runs.mark_undone"].sql, found["id"], run.id)
        await connection.execute(QUERIES["product_imports.analyze_products"].sql)
        await connection.execute(QUERIES["product_imports.refresh_model"].sql)
        done = Undone(run.number, _rows(rows, "removed"), _rows(rows, "restored"), sum(_rows(rows, "kept").values()))
        counts = {"removed": done.removed, "restored": done.restored, "kept": done.kept}
        encoded = msgspec.json.encode(counts).decode()
        await connection.execute(QUERIES["import_runs.audit_undo"].sql, number, encoded)
        await run.finish("done", counts)
    return done


def _rows(rows: list[asyncpg.Record], operation: str) -> dict[str, int]:
    return {
        row["table_name"].removeprefix("public."): row["rows"]
        for row in rows
        if row["operation"] == operation and row["rows"]
    }


async def _undoable(connection: asyncpg.Connection[Any], number: int) -> asyncpg.Record:
    run: asyncpg.Record | None = await connection.fetchrow(QUERIES["import_runs.find"].sql, number)
    if run is None:
        raise UndoRefused(f"there is no import {number}")
    if run["undone_by"] is not None:
        raise UndoRefused(f"import {number} was taken back already, by import {run['undone_by']}")
    if run["outcome"] == "running":
        raise UndoRefused(f"import {number} is still running")
    if run["is_forgotten"]:
        raise UndoRefused(f"import {number} is too old: what it changed is no longer stored (RETENTION_IMPORTS)")
    if not run["has_changes"]:
        raise UndoRefused(f"import {number} changed nothing: there is nothing to take back")
    return run


async def _refuse_conflicts(connection: asyncpg.Connection[Any], number: int) -> None:
    await connection.execute(QUERIES["import_runs.find_undo_conflicts"].sql)
    rows = await connection.fetch(QUERIES["import_runs.undo_conflicts"].sql, number, MAX_CONFLICTS)
    if not rows:
        return
    conflicts = tuple(
        Conflict(
            row["table_name"],
            row["label"],
            row["column_name"],
            row["was_set"],
            row["is_now"],
            row["reason"],
            row["run"],
        )
        for row in rows
    )
    total = rows[0]["total"]
    raise UndoRefused(
        f"import {number} cannot be taken back: {total} of its values were written since", conflicts, total
    )


def _hash(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return file.tell(), digest.hexdigest()
    except OSError as error:
        raise ImportFailed(f"{error.filename or path}: {error.strerror}") from None
