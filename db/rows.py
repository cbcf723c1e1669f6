"""Declarations of row types: the table, the columns and the orders.

Each GraphQL object type has one (schema/node.py builds it from the type's fields). DataLoaders, keyset connections and
compiled plans are derived from it; nothing else lists the columns of a table for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SortKey:
    """A sort key of a keyset order: SQL over alias `r`, and the type that its text is cast back to."""

    expression: str
    cast: str


@dataclass(frozen=True, slots=True)
class Order:
    """A keyset order; all keys have the same direction, the last is unique."""

    name: str
    keys: tuple[SortKey, ...]
    descending: bool

    @classmethod
    def by(cls, name: str, expression: str, cast: str, *, descending: bool) -> Order:
        return cls(name, (SortKey(expression, cast), SortKey("r.id", "uuid")), descending)


# By name, ignoring case and accents, identically on every database; ties by code point.
BY_NAME = Order(
    "NAME",
    (
        SortKey('private.search_fold(r.name) collate "C"', "text"),
        SortKey('r.name collate "C"', "text"),
        SortKey("r.id", "uuid"),
    ),
    descending=False,
)
BY_NAME_SQL = ", ".join(key.expression for key in BY_NAME.keys)


@dataclass(frozen=True, slots=True)
class Column:
    """A field whose value `read` computes from columns; without `read` it is that of the only column. With
    `with_context`, the request's context is the first argument of `read`; without it, `read` is a pure function.
    `is_jsonb`: the columns are jsonb, and arrive as text, as do uuids and timestamps in the nested lists of a plan.
    `is_plain`: `read` returns text that needs no escaping in JSON, and is as fast as a cache lookup."""

    columns: tuple[str, ...]
    read: Callable[..., Any] | None = None
    with_context: bool = False
    is_jsonb: bool = False
    is_plain: bool = False

    def value(self, record: Mapping[str, Any], context: Any) -> Any:
        if self.read is None:
            return record[self.columns[0]]
        values = [record[name] for name in self.columns]
        return self.read(context, *values) if self.with_context else self.read(*values)


@dataclass(frozen=True, slots=True)
class ToOne:
    """The row of another type whose column `by` is this row's `key`. `keeps_old_ids`: the key may be an id that the row
    had before it was merged into another one; then the target's aliases are followed."""

    target: Callable[[], RowType]
    key: str
    by: str = "id"
    keeps_old_ids: bool = False


@dataclass(frozen=True, slots=True)
class ToMany:
    """The first `limit` rows of another type whose column `by` is this row's `key`. `order_by` and `where` are SQL over
    alias `r`."""

    target: Callable[[], RowType]
    key: str
    by: str
    order_by: str
    limit: int
    where: str = "true"


@dataclass(frozen=True, slots=True)
class ToPage:
    """A page of rows of another type whose parent's key is this row's `key`. `describe(info, **arguments)` returns the
    page without its parent (db/pages.py), so that it can be read together with the parents, before there are any."""

    key: str
    describe: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class RowType:
    """`columns` are all columns that are read; `owner` is the column with the person that a row belongs to, if any;
    `fields` maps GraphQL fields to what they are read from; `aliases` is a query with the columns `alias` and `id`,
    which leads from each id that a row has or had to the row: references by id follow it, and to-one relations that
    keep old ids."""

    name: str
    table: str
    columns: tuple[str, ...]
    make: Callable[[Any], Any]  # from a Record, or from a mapping by column
    owner: str | None = None
    orders: Mapping[str, Order] = field(default_factory=dict)
    fields: Mapping[str, Column | ToOne | ToMany | ToPage] = field(default_factory=dict)
    aliases: str | None = None

    def select_list(self, alias: str) -> str:
        return ", ".join(f"{alias}.{column}" for column in self.columns)
