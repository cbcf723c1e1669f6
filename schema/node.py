"""Object types backed by rows.

A type declares its row once, by its own fields:

    @row("public.brands")
    @strawberry.type(description="Who makes a product.")
    class Brand(Node):
        name: str = column("Name as shown to people.")

`@row` turns that into a RowType (`Brand.ROW`), from which DataLoaders and connections follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

import asyncpg
import strawberry
from strawberry.types import get_object_definition

from db.claims import Claims
from db.rows import Order, RowType
from domain import ids
from schema.context import Info

T = TypeVar("T", bound="Row")

NODES: dict[str, type[Node]] = {}


@strawberry.type
class Row:
    """A type that is backed by rows and has no global id, such as a part of a node."""

    ROW: ClassVar[RowType]
    record: strawberry.Private[asyncpg.Record]


@strawberry.interface(description="Anything with a global id.")
class Node(Row):
    @strawberry.field(description="Opaque; carries the type.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(ids.encode(type(self).__name__, self.record["id"]))

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        """Whether the caller's role holds the privilege to read the table at all; which rows is for Postgres to say."""
        return True


def column(
    description: str, *names: str, read: Callable[..., Any] | None = None, deprecation_reason: str | None = None
) -> Any:
    """A field read from the column of its own name, or from `names`; `read` makes its value of theirs."""
    return strawberry.field(
        description=description,
        deprecation_reason=deprecation_reason,
        metadata={"columns": names, "read": read},
    )


def row(
    table: str, *, keys: Sequence[str] = (), owner: str | None = None, orders: Mapping[str, Order] | None = None
) -> Callable[[type[T]], type[T]]:
    """Binds a type to its table. `keys` are columns that relations need and no field shows; `owner` names the column of
    the person a row belongs to."""

    def bind(cls: type[T]) -> type[T]:
        definition = get_object_definition(cls, strict=True)
        id = ("id",) if issubclass(cls, Node) else ()
        columns: dict[str, None] = dict.fromkeys((*id, *([owner] if owner else []), *keys))
        readers: list[tuple[str, tuple[str, ...], Callable[..., Any] | None]] = []
        for field in definition.fields:
            if "columns" in field.metadata:
                names = cast(tuple[str, ...], field.metadata["columns"]) or (field.python_name,)
                columns.update(dict.fromkeys(names))
                readers.append((field.python_name, names, field.metadata["read"]))

        def make(record: asyncpg.Record) -> T:
            values = {
                name: read(*(record[c] for c in names)) if read else record[names[0]] for name, names, read in readers
            }
            return cls(record=record, **values)

        cls.ROW = RowType(cls.__name__, table, tuple(columns), make, owner, orders or {})
        if issubclass(cls, Node):
            NODES[cls.__name__] = cls
        return cls

    return bind


async def load(info: Info, cls: type[T], key: Any, by: str = "id") -> T | None:
    """The row with this key, through the request's DataLoader."""
    if key is None:
        return None
    return cast("T | None", await info.context.session.loaders.one_by(cls.ROW, by).load(key))


async def load_own(info: Info, cls: type[T]) -> T | None:
    """The caller's only row of a type that each person has one of."""
    return await load(info, cls, info.context.session.claims.subject, "user_id")
