"""Lists imports, and takes one back."""

from __future__ import annotations

import asyncio
import csv
import sys
from typing import Annotated

import asyncpg
import msgspec
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings, note, user_name
from db import import_runs
from db.embedded import Dsns
from db.feed_rows import REJECT_COLUMNS
from db.import_runs import Undone, UndoRefused

COUNTED = ("inserted", "updated", "deactivated", "reactivated", "rejected")


def list_runs(
    last: Annotated[int, typer.Option(help="How many.", min=1, max=10_000)] = 20,
) -> None:
    """List imports, newest first: number, start, outcome, who, the file and its hash, and what was written."""
    with databases(load_settings()) as dsns:
        runs = asyncio.run(_newest(dsns, last))
    for run in runs:
        print(_line(run))
    if not runs:
        print("nothing was imported yet")


def undo(
    run: Annotated[int, typer.Argument(help="Its number: aclue import list.", min=1)],
) -> None:
    """Take one import back: what it added goes, what it changed is as before. Refused, with a list, if something else
    has written the same values since."""
    with databases(load_settings()) as dsns:
        try:
            done = asyncio.run(_undo(dsns, run))
        except UndoRefused as refused:
            for conflict in refused.conflicts:
                note(str(conflict), "yellow")
            if refused.total > len(refused.conflicts):
                note(f"and {refused.total - len(refused.conflicts)} more", "yellow")
            fail(str(refused))
    for what, rows in (("removed", done.removed), ("restored", done.restored)):
        for table, count in rows.items():
            print(f"{what:10}{count:>8} {table.replace('_', ' ')}")
    if done.kept:
        print(f"{'kept':10}{done.kept:>8} products off sale, which people have swiped, saved or clicked")
    print(f"import {run} was taken back by import {done.number}, which can be taken back too")


def rejects(
    run: Annotated[int, typer.Argument(help="Its number: aclue import list.", min=1)],
) -> None:
    """List what one import refused or dropped, tab-separated: line, id, field, value, reason and kind. The first ten
    thousand are kept, for RETENTION_IMPORTS days."""
    with databases(load_settings()) as dsns:
        rows = asyncio.run(_rejects(dsns, run))
    if rows is None:
        fail(f"there is no import {run}")
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(REJECT_COLUMNS)
    writer.writerows(rows)


def _line(run: asyncpg.Record) -> str:
    counts = msgspec.json.decode(run["counts"] or "{}")
    parts = [
        f"{run['number']:>6}",
        f"{run['started_at']:%Y-%m-%d %H:%M:%S}",
        f"{run['outcome']:12}",
        run["started_by"],
        f"takes back {run['undoes']}" if run["undoes"] else _file(run),
        run["error"] or ", ".join(f"{counts[name]} {name}" for name in COUNTED if counts.get(name)) or "no changes",
    ]
    if run["undone_by"]:
        parts.append(f"(taken back by {run['undone_by']})")
    elif run["is_forgotten"]:
        parts.append("(too old to be taken back)")
    return "  ".join(parts)


def _file(run: asyncpg.Record) -> str:
    name = f"{run['source']}: {run['file_name']}" if run["source"] else run["file_name"]
    return f"{name} {run['file_hash'][:12]}" if run["file_hash"] else name


async def _newest(dsns: Dsns, last: int) -> list[asyncpg.Record]:
    async with connected_as_owner(dsns) as owner:
        return await import_runs.newest(owner, last)


async def _rejects(dsns: Dsns, number: int) -> list[asyncpg.Record] | None:
    async with connected_as_owner(dsns) as owner:
        return await import_runs.rejects(owner, number)


async def _undo(dsns: Dsns, number: int) -> Undone:
    async with connected_as_owner(dsns) as owner:
        return await import_runs.undo(owner, number, started_by=user_name())
