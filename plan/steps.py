"""Steps: each reads rows with one statement, then calls resolvers for the fields that need them.

A page or list below a row is a part of the statement (plan/select.py), unless fields below it need resolvers: then it
has a step of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from db.queries import NumberedSql
from db.rows import Column, RowType, ToMany
from plan import leaves
from plan.codegen import Row
from plan.fields import Page
from plan.select import FromClause, Select, Table, prefix_of
from plan.values import Get, Run, Value, gather_awaitables

MAX_STATEMENTS = 8  # of one step: one per shape of its pages

Describe: TypeAlias = Callable[[Run], Page]
"""Returns the page to read in a run, without its parent."""


@dataclass(frozen=True, slots=True)
class _ResolvedField:
    """A field that a resolver computes for the rows of a table. `positions` are those of the row type's columns."""

    table: Table
    positions: Mapping[str, int]
    get: Get
    value: Value


class RowStep:
    """Reads rows of one type, including nested pages and lists, with one statement."""

    def __init__(self, row_type: RowType, new_alias: Callable[[str], str]) -> None:
        """`new_alias`: see Select."""
        self.row_type = row_type
        self.select = Select(row_type, new_alias)
        self._pages: dict[str, Describe] = {}  # of nested pages by alias, outer ones first
        self._resolved: list[_ResolvedField] = []
        self._statements: dict[Hashable, NumberedSql] = {}

    def nest_list(self, outer: Table, to_many: ToMany, step: RowStep) -> int:
        """Nests the step of a to-many relation as an output; returns its position. Raises NotPlanned."""
        position = self.select.nest_list(outer, to_many, step.select)
        self._pages.update(step._pages)
        return position

    def nest_page(self, outer: Table, key: str, step: RowStep, describe: Describe) -> int:
        """Nests the step of a page, whose parent's key is in the column `key`, as an output; returns its position.
        Raises NotPlanned."""
        position = self.select.nest_page(outer, key, step.select)
        self._pages[step.select.root.alias] = describe
        self._pages.update(step._pages)
        return position

    def add_resolved(self, table: Table, get: Get, value: Value) -> int:
        """Adds a field with a resolver, which is called with an object of the table's whole row. Returns the field's
        index in the result of `resolve`."""
        fields = table.row_type.fields.values()
        as_text = {name for field in fields if isinstance(field, Column) and field.is_jsonb for name in field.columns}
        positions = {name: self.select.column(table, name, as_text=name in as_text) for name in table.row_type.columns}
        self._resolved.append(_ResolvedField(table, positions, get, value))
        return len(self._resolved) - 1

    @property
    def has_resolved(self) -> bool:
        """Whether rows have fields with resolvers."""
        return bool(self._resolved)

    async def resolve(self, run: Run, rows: Sequence[Row]) -> list[list[str]] | None:
        """For each row, the JSON of its fields with resolvers; None without such fields. Raises Mismatch, or what a
        resolver or Postgres raised."""
        if not self._resolved:
            return None
        resolved: list[list[str]] = [[] for _ in rows]
        for field in self._resolved:
            row_type = field.table.row_type
            key = field.positions[row_type.columns[0]]
            present = [number for number, row in enumerate(rows) if row[key] is not None]
            objects = [
                row_type.make({name: rows[number][at] for name, at in field.positions.items()}) for number in present
            ]
            values = await gather_awaitables([field.get(run, each) for each in objects])
            rendered = dict(zip(present, await field.value.render(run, values), strict=True))
            for number, of_row in enumerate(resolved):
                of_row.append(rendered.get(number, leaves.NULL))
        return resolved

    async def fetch(
        self,
        run: Run,
        identity: Hashable,
        source: Callable[[], FromClause],
        values: Mapping[str, object],
        *,
        is_last: bool = False,
    ) -> list[asyncpg.Record]:
        """The rows of a source, with its outputs by name. `identity` identifies the source within this step,
        independent of the `values` of its parameters. `is_last`: no other statement of the run follows, except those of
        fields with resolvers. Raises what a resolver or Postgres raised."""
        session = run.context.session
        given: dict[str, object] = {"subject": session.claims.subject, **values}
        if self._pages:
            shapes = [identity]
            for alias, describe in self._pages.items():
                page = run.pages[alias] = describe(run)
                shapes.append(page.request.shape)
                prefix = prefix_of(alias)
                for name, value in page.request.values().items():
                    given[prefix + name] = value
            identity = tuple(shapes)
        statement = self._statements.get(identity)
        if statement is None:
            if len(self._statements) >= MAX_STATEMENTS:
                self._statements.clear()
            statement = self._statements[identity] = NumberedSql.of(self.select.text(source(), run.pages))
        is_over = is_last and not self._resolved and session.read_only
        run_statement = session.run_last if is_over else session.run
        return await run_statement(statement.sql, statement.arguments(given))


def related(to_many: ToMany) -> Get:
    """A function that loads the rows of an object's relation, through a DataLoader."""

    def get(run: Run, value: Any) -> Awaitable[list[Any]]:
        return run.context.session.loaders.related(to_many, value.record[to_many.key])

    return get
