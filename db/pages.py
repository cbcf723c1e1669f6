"""Keyset pages: `where (sort, id) > (cursor)` instead of OFFSET, so inserts never repeat or skip a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from db.queries import Composed, Fragment
from db.rows import Order, RowType

if TYPE_CHECKING:
    from db.session import Session

R = TypeVar("R")

ROOT = UUID(int=0)  # the parent key of a connection without a parent


class Window(NamedTuple, Generic[R]):
    """The rows of a page in the connection's order, and whether there are more on either side of them."""

    rows: Sequence[R]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page. `parent` is a SQL condition over `parent.key` that ties a row to its parent; None at the
    root. If a parent's rows belong to several keys, such as a category and all below it, `parts` is SQL over
    `parent.key` that returns these, each once, and `parent` is a condition over `part.key`."""

    row_type: RowType
    order: Order
    size: int
    backward: bool
    cursor: tuple[str, ...] | None
    where: Fragment
    parent: str | None = None
    parts: str | None = None
    order_values: tuple[tuple[str, Any], ...] = ()  # of `:names` in the order's expressions

    @property
    def scope(self) -> str:
        """The scope of its cursors: they are valid for this connection and order only."""
        return f"{self.row_type.name}:{self.order.name}"

    @property
    def identity_of_all(self) -> Hashable:
        return (
            self.row_type.name,
            self.order,
            self.parent,
            self.parts,
            self.where.text,
            repr(self.where.values),
            self.order_values,
        )

    @property
    def shape(self) -> Hashable:
        """Everything that the SQL text of the page depends on."""
        is_first = self.cursor is None
        return (self.order.name, self.size, self.backward, is_first, self.where.text, self.parent, self.parts)

    @property
    def identity(self) -> Hashable:
        return (self.identity_of_all, self.size, self.backward, self.cursor)

    def page_text(self, columns: str, parent_key: str = "parent.key") -> str:
        """SQL of the page plus one row, which tells whether there is a next page: `columns` over alias `r`, then the
        sort values as text (sort_0, ...). `parent_key` replaces `parent.key`. `values` has its parameters."""
        descending = self.order.descending != self.backward
        direction = "desc" if descending else "asc"
        expressions = [key.expression for key in self.order.keys]
        conditions = self._conditions(parent_key)
        if self.cursor is not None:
            bounds = ", ".join(f":cursor_{i}::text::{key.cast}" for i, key in enumerate(self.order.keys))
            conditions += f" and ({', '.join(expressions)}) {'<' if descending else '>'} ({bounds})"
        sorts = ", ".join(f"({expression})::text as sort_{i}" for i, expression in enumerate(expressions))
        order = ", ".join(f"{expression} {direction}" for expression in expressions)
        rest = f"from {self.row_type.table} r where {conditions} order by {order} limit {self.size + 1}"
        if self.parts is None:
            return f"select {columns}, {sorts} {rest}"
        # A page of each part in the order of an index, and of these the page.
        parts = f"{self._parts(parent_key)} cross join lateral (select r.* {rest}) r"
        return f"select {columns}, {sorts} from {parts} order by {order} limit {self.size + 1}"

    def pages_text(self) -> str:
        """SQL of one page per parent: `page_key`, the columns of the row type, then the sort values. At the root there
        is one page, with a null key. `:page_keys` are the parents' keys."""
        page = self.page_text(self.row_type.select_list("r"))
        if not self.parent:
            return f"select null::uuid as page_key, page.* from ({page}) page"
        parents = "unnest(:page_keys::uuid[]) parent (key)"
        return f"select parent.key as page_key, page.* from {parents} cross join lateral ({page}) page"

    def window(self, found: Sequence[R]) -> Window[R]:
        """The page within the rows of its statement. With a cursor there is, or was, a row on the other side of it."""
        has_more = len(found) > self.size
        is_behind_cursor = self.cursor is not None
        if not self.backward:
            return Window(found[: self.size] if has_more else found, has_more, is_behind_cursor)
        return Window(found[: self.size][::-1], is_behind_cursor, has_more)

    def count_text(self, parent_key: str = "parent.key") -> str:
        """SQL that counts all rows of the connection."""
        parts = f"{self._parts(parent_key)} cross join " if self.parts else ""
        return f"select count(*) from {parts}{self.row_type.table} r where {self._conditions(parent_key)}"

    def _conditions(self, parent_key: str) -> str:
        tie = f" and ({self.parent.replace('parent.key', parent_key)})" if self.parent else ""
        return f"({self.where.text}){tie}"

    def _parts(self, parent_key: str) -> str:
        assert self.parts is not None
        return f"({self.parts.replace('parent.key', parent_key)}) part (key)"

    def values(self) -> dict[str, Any]:
        """The parameters of page and count, by name."""
        cursor = {f"cursor_{i}": printed for i, printed in enumerate(self.cursor or ())}
        return {**self.where.values, **cursor, **dict(self.order_values)}


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows in the connection's order, each with its sort values as text."""

    rows: list[Any]
    cursors: list[tuple[str, ...]]
    has_next: bool
    has_previous: bool


async def load_pages(session: Session, request: PageRequest, keys: list[Any]) -> list[PageRows]:
    """One page per parent key, in one statement."""
    found: dict[Any, list[asyncpg.Record]] = {key: [] for key in keys}
    for row in await session.run(*page_statement(request, keys)):
        found[row["page_key"] or ROOT].append(row)
    return [_page(request, found[key]) for key in keys]


def _page(request: PageRequest, found: list[asyncpg.Record]) -> PageRows:
    window = request.window(found)
    sort_names = [f"sort_{i}" for i in range(len(request.order.keys))]
    return PageRows(
        rows=[request.row_type.make(row) for row in window.rows],
        cursors=[tuple(row[name] for name in sort_names) for row in window.rows],
        has_next=window.has_next,
        has_previous=window.has_previous,
    )


def page_statement(request: PageRequest, keys: list[Any]) -> tuple[str, list[Any]]:
    """A page per key, as rows with `page_key`; the statement and its arguments."""
    return Composed(request.pages_text(), {**request.values(), "page_keys": keys}).statement()


async def count(session: Session, request: PageRequest, keys: list[Any]) -> list[int]:
    """The number of all rows of the connection, per parent key."""
    values = request.values()
    if request.parent:
        parents = "unnest(:keys::uuid[]) parent (key)"
        text = f"select parent.key as parent_key, ({request.count_text()}) as total from {parents}"
        values["keys"] = keys
    else:
        text = f"select null::uuid as parent_key, ({request.count_text()}) as total"
    rows = await session.run(*Composed(text, values).statement())
    totals = {row["parent_key"] or ROOT: row["total"] for row in rows}
    return [totals[key] for key in keys]
