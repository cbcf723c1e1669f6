"""Keyset pages: `where (sort, id) > (cursor)` instead of OFFSET, so inserts never repeat or skip a row."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from db.queries import Fragment, compose
from db.rows import Order, RowType

if TYPE_CHECKING:
    from db.session import Session

ROOT = UUID(int=0)  # the parent key of a connection without a parent


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What to page through. `parent` is SQL over `parent.key` that ties a row to its parent; None at the root."""

    row_type: RowType
    order: Order
    size: int
    backward: bool
    cursor: tuple[str, ...] | None
    where: Fragment
    parent: str | None = None
    order_values: tuple[tuple[str, Any], ...] = ()  # of `:names` in the order's expressions

    @property
    def identity_of_all(self) -> Hashable:
        return (
            self.row_type.name,
            self.order,
            self.parent,
            self.where.text,
            repr(self.where.values),
            self.order_values,
        )

    @property
    def identity(self) -> Hashable:
        return (self.identity_of_all, self.size, self.backward, self.cursor)


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows in the connection's order, each with its sort values as Postgres prints them."""

    rows: list[Any]
    cursors: list[tuple[str, ...]]
    has_next: bool
    has_previous: bool


async def load_pages(session: Session, request: PageRequest, keys: list[Any]) -> list[PageRows]:
    """One page per parent key, in one statement."""
    found: dict[Any, list[asyncpg.Record]] = {key: [] for key in keys}
    for row in await session.run(*page_statement(request, keys)):
        found[row["parent_key"] or ROOT].append(row)
    return [_page(request, found[key]) for key in keys]


def _page(request: PageRequest, rows: list[asyncpg.Record]) -> PageRows:
    has_more = len(rows) > request.size
    rows = rows[: request.size]
    if request.backward:
        rows.reverse()
    sort_names = [f"sort_{i}" for i in range(len(request.order.keys))]
    return PageRows(
        rows=[request.row_type.make(row) for row in rows],
        cursors=[tuple(row[name] for name in sort_names) for row in rows],
        has_next=(request.cursor is not None) if request.backward else has_more,
        has_previous=has_more if request.backward else (request.cursor is not None),
    )


def page_statement(request: PageRequest, keys: list[Any]) -> tuple[str, list[Any]]:
    order = request.order
    descending = order.descending != request.backward
    direction = "desc" if descending else "asc"
    expressions = [key.expression for key in order.keys]
    conditions = ["({where})"]
    values: dict[str, Any] = dict(request.order_values)
    if request.parent:
        conditions.append(f"({request.parent})")
    if request.cursor is not None:
        for position, printed in enumerate(request.cursor):
            values[f"cursor_{position}"] = printed
        bounds = ", ".join(f":cursor_{i}::text::{key.cast}" for i, key in enumerate(order.keys))
        conditions.append(f"({', '.join(expressions)}) {'<' if descending else '>'} ({bounds})")
    sort_columns = ", ".join(f"({expression})::text as sort_{i}" for i, expression in enumerate(expressions))
    page = f"""
        select {request.row_type.select_list("r")}, {sort_columns}
        from {request.row_type.table} r
        where {" and ".join(conditions)}
        order by {", ".join(f"{expression} {direction}" for expression in expressions)}
        limit {request.size + 1}
    """
    if request.parent:
        values["keys"] = keys
        parents = "unnest(:keys::uuid[]) parent (key)"
        text = f"select parent.key as parent_key, page.* from {parents} cross join lateral ({page}) page"
    else:
        text = f"select null::uuid as parent_key, page.* from ({page}) page"
    return compose(text, {"where": request.where}).statement(**values)


async def count(session: Session, request: PageRequest, keys: list[Any]) -> list[int]:
    """All rows of the connection per parent key, whatever the page."""
    conditions = "({where})" + (f" and ({request.parent})" if request.parent else "")
    total = f"select count(*) from {request.row_type.table} r where {conditions}"
    values: dict[str, Any] = {}
    if request.parent:
        text = f"select parent.key as parent_key, ({total}) as total from unnest(:keys::uuid[]) parent (key)"
        values["keys"] = keys
    else:
        text = f"select null::uuid as parent_key, ({total}) as total"
    rows = await session.run(*compose(text, {"where": request.where}).statement(**values))
    totals = {row["parent_key"] or ROOT: row["total"] for row in rows}
    return [totals[key] for key in keys]
