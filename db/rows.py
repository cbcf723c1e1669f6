"""The declaration of a row type: which table it is read from, which columns, in which orders.

It is made once per GraphQL object type (schema/node.py builds it from the type's own fields). The DataLoaders and the
keyset connections follow from it; nothing else lists the columns of a table for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg


@dataclass(frozen=True, slots=True)
class SortKey:
    """One part of a keyset order: SQL over alias `r`, and the type its printed value is cast back to."""

    expression: str
    cast: str


@dataclass(frozen=True, slots=True)
class Order:
    """A keyset order; all keys run the same way, the last is unique."""

    name: str
    keys: tuple[SortKey, ...]
    descending: bool

    @classmethod
    def by(cls, name: str, expression: str, cast: str, *, descending: bool) -> Order:
        return cls(name, (SortKey(expression, cast), SortKey("r.id", "uuid")), descending)


@dataclass(frozen=True, slots=True)
class RowType:
    """`columns` are all that is read; `owner` names the column of the person a row belongs to, if it has one."""

    name: str
    table: str
    columns: tuple[str, ...]
    make: Callable[[asyncpg.Record], Any]
    owner: str | None = None
    orders: Mapping[str, Order] = field(default_factory=dict)

    def select_list(self, alias: str) -> str:
        return ", ".join(f"{alias}.{column}" for column in self.columns)
