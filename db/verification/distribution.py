"""`aclue verify --distributable`: whether people's tables can be distributed by person. Needs no Citus.

Citus demands that the column of the distribution is part of every primary and unique key, and that foreign keys join it
or lead to reference tables; a statement runs on one node if it names the person. docs/scale.md says what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from db.distribution import COORDINATOR, EVERYBODY, OWNERS, PROFILES, REPLACED_KEYS, of_everybody
from db.documentation import is_statement, statement_of, statements_of_rows
from db.product_imports import STAGING
from db.queries import QUERIES
from db.rows import RowType
from db.verification.check import Bench, Check, Connection, Find, Result, make_bench, run
from settings import Settings

_PLANNED = ("select", "insert", "update", "delete", "with")
_ADD_PERSON = "add the person's column to the key, or explain the exception in db/distribution.py"


@dataclass
class Distribution:
    """The results of the checks, and what an operator who distributes the tables has to know."""

    results: list[Result] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    """The distributed tables with the columns of their people."""
    triggers: dict[str, str] = field(default_factory=dict)
    """Their triggers, which need citus.enable_unsafe_triggers, with their levels."""
    statements: int = 0
    """How many statements were planned."""
    everybody: dict[str, list[str]] = field(default_factory=dict)
    """Statements that touch the shards of several people, with the tables."""


async def _rows(bench: Bench, name: str, **values: Any) -> list[asyncpg.Record]:
    """Rows of a named query as the owner, who may look into every schema."""
    assert bench.owner is not None
    named = QUERIES[f"verify_distribution.{name}"]
    given = {"schemas": bench.schemas, **values}
    return await bench.owner.fetch(named.sql, *[given[parameter] for parameter in named.params])


async def _placement(bench: Bench) -> dict[str, str]:
    people = [row["name"] for row in await _rows(bench, "people")]
    return {PROFILES: "id", **{name: "user_id" for name in people if name not in COORDINATOR}}


def _finding(name: str) -> Find:
    """The faults that a query finds in the placement of the tables."""

    async def find(bench: Bench) -> list[str]:
        placed = await _placement(bench)
        local = [table for table in COORDINATOR if table.partition(".")[0] in bench.schemas]
        rows = await _rows(
            bench,
            name,
            tables=list(placed),
            columns=list(placed.values()),
            local=local,
            allowed=list(REPLACED_KEYS),
            names=list(REPLACED_KEYS),
        )
        return [row["fault"] for row in rows]

    return find


def _statements(row_types: Iterable[RowType]) -> list[tuple[str, str]]:
    """Everything that the service sends, by label: named statements, and those of which plans and loaders consist."""
    named = [
        (query.name, statement_of(query))
        for query in QUERIES.values()
        if is_statement(query)
        and query.text.split(maxsplit=1)[0].lower() in _PLANNED
        and not query.name.startswith(OWNERS)
    ]
    return named + [(each.label.replace("`", ""), each.sql) for each in statements_of_rows(row_types)]


CHECKS = (
    Check(
        "distribution.placed",
        "each table with people is distributed by person, or stays on the coordinator for a reason",
        _ADD_PERSON,
        _finding("unplaced"),
        needs_owner=True,
    ),
    Check(
        "distribution.people",
        "each row of a distributed table has its person",
        "make the column not null",
        _finding("without_person"),
        needs_owner=True,
    ),
    Check(
        "distribution.keys",
        "each primary and unique key of a distributed table has its person's column",
        _ADD_PERSON,
        _finding("keys_of_many"),
        needs_owner=True,
    ),
    Check(
        "distribution.foreign_keys",
        "each foreign key joins rows of one person, or leads to a reference table",
        _ADD_PERSON,
        _finding("references_of_many"),
        needs_owner=True,
    ),
    Check(
        "distribution.local",
        "no distributed table refers to one that stays on the coordinator",
        "drop the foreign key, and check it in the function that writes the row",
        _finding("references_to_local"),
        needs_owner=True,
    ),
    Check(
        "distribution.exceptions",
        "the foreign keys that db/distribution.py replaces exist",
        "take it out of REPLACED_KEYS",
        _finding("unknown_constraints"),
        needs_owner=True,
    ),
)


async def examine(
    api: Connection, owner: Connection | None, settings: Settings, row_types: Sequence[RowType]
) -> Distribution:
    """Runs the checks, which need the owner: nothing is hidden from it."""
    bench = await make_bench(api, owner, settings)
    found = Distribution()

    async def statements(bench: Bench) -> list[str]:
        assert bench.owner is not None
        await make_temporary_tables(bench.owner)
        asked = _statements(row_types)
        people = {table.partition(".")[2]: column for table, column in found.tables.items()}
        found.statements, found.everybody = len(asked), await of_everybody(bench.owner, asked, people)
        unknown = found.everybody.keys() - EVERYBODY.keys()
        return [f"{label} reads {', '.join(found.everybody[label])} of everybody" for label in unknown] + [
            f"{label} names the person, or is gone" for label in EVERYBODY.keys() - found.everybody.keys()
        ]

    of_statements = Check(
        "distribution.statements",
        "each statement names the person, and so runs on one node, or is listed with a reason",
        "add the condition on the person, or the reason to EVERYBODY in db/distribution.py",
        statements,
        needs_owner=True,
    )
    if owner is not None:
        found.tables = await _placement(bench)
        triggers = await _rows(bench, "triggers", tables=list(found.tables))
        levels = {True: "for each row", False: "for each statement"}
        found.triggers = {f"{row['relation']}.{row['name']}": levels[row["is_per_row"]] for row in triggers}
    found.results = [await run(check, bench) for check in (*CHECKS, of_statements)]
    return found


async def make_temporary_tables(owner: Connection) -> None:
    """Those that undoing an import and a seed make for their own statements."""
    for block in STAGING[1:]:
        await owner.execute(QUERIES[f"product_imports.{block}"].sql)
    await owner.execute("select private.prepare_undo(null)")
    await owner.execute(QUERIES["seeds.create_people"].sql)
