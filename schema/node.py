"""Object types backed by rows.

A type declares its row through its own fields:

    @row("public.brands")
    @strawberry.type(description="Who makes a product.")
    class Brand(RowNode):
        name: str = column("Name as shown to people.")

`@row` turns that into a RowType (`Brand.ROW`), from which DataLoaders, connections and compiled plans follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar, cast

import strawberry
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryContainer
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

from db.claims import Claims
from db.rows import Column, Order, RowType, ToMany, ToOne, ToPage
from db.sources import Listing, Reference
from domain import ids
from schema.bounds import at_most
from schema.context import Info

T = TypeVar("T", bound="Row")

NODES: dict[str, type[Node]] = {}


@strawberry.interface(description="Anything with a global id.")
class Node:
    @strawberry.field(description="Opaque; carries the type.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(self.global_id)

    @property
    def global_id(self) -> str:
        raise NotImplementedError

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        """Whether the caller's role holds the privilege to read the table at all; which rows is for Postgres to say."""
        return True


@strawberry.type
class Row:
    """A type backed by rows that has no global id, such as a part of a node."""

    ROW: ClassVar[RowType]
    record: strawberry.Private[Mapping[str, Any]]


@strawberry.type
class RowNode(Row, Node):
    """A node that is backed by rows."""

    @property
    def global_id(self) -> str:
        return ids.encode(type(self).__name__, self.record["id"])


def column(
    description: str,
    *names: str,
    read: Callable[..., Any] | None = None,
    with_context: bool = False,
    is_jsonb: bool = False,
    limit: int | None = None,
    deprecation_reason: str | None = None,
) -> Any:
    """A field read from the column of the same name, or computed by `read` from the columns `names`. `limit`: the
    maximum number of items of a list (schema/bounds.py). See db.rows.Column."""

    def resolve(self: Row, info: Info) -> Any:
        return declared.value(self.record, info.context)

    declared = Column(names, read, with_context, is_jsonb)
    return strawberry.field(
        description=description,
        deprecation_reason=deprecation_reason,
        metadata={"row": declared} if limit is None else {"row": declared, **at_most(limit)},
        resolver=cast(Any, resolve if with_context else None),
    )


def to_one(description: str, key: str, by: str = "id", *, keeps_old_ids: bool = False) -> Any:
    """A field with the row of another type whose column `by` equals this row's `key`. See db.rows.ToOne."""

    def resolve(self: Row, info: Info) -> Any:
        return Reference(info.context.session, declared.target(), self.record[key], by)

    declared = ToOne(lambda: _target(field), key, by, keeps_old_ids)
    field = strawberry.field(description=description, resolver=resolve, metadata={"row": declared})
    return field


def to_many(description: str, *, key: str = "id", by: str, order_by: str, limit: int, where: str = "true") -> Any:
    """A field with the first `limit` rows whose column `by` equals this row's `key`. See db.rows.ToMany."""

    async def resolve(self: Row, info: Info) -> Any:
        return await info.context.session.loaders.related(declared, self.record[key])

    declared = ToMany(lambda: _target(field), key, by, order_by, limit, where)
    field = strawberry.field(description=description, resolver=resolve, metadata={"row": declared, **at_most(limit)})
    return field


def _target(field: Any) -> RowType:
    """The row type behind a field's GraphQL type."""
    type_ = field.type
    while isinstance(type_, StrawberryContainer):
        type_ = type_.of_type
    return cast("type[Row]", type_.resolve_type() if isinstance(type_, LazyType) else type_).ROW


def row(
    table: str,
    *,
    keys: Sequence[str] = (),
    owner: str | None = None,
    orders: Mapping[str, Order] | None = None,
    aliases: str | None = None,
) -> Callable[[type[T]], type[T]]:
    """Binds a type to its table. `keys` are columns that only relations need; `owner` is the column with the person
    that a row belongs to. `aliases`: see db.rows.RowType."""

    def bind(cls: type[T]) -> type[T]:
        definition = get_object_definition(cls, strict=True)
        columns: dict[str, None] = dict.fromkeys((*([owner] if owner else []), *keys))
        declared: dict[str, Column | ToOne | ToMany | ToPage] = {}
        if issubclass(cls, Node):
            columns["id"] = None
            declared["id"] = Column(("id",), read=ids.encoder(definition.name), is_plain=True)
        for field in definition.fields:
            declaration = field.metadata.get("row")
            if isinstance(declaration, Column):
                declaration = replace(declaration, columns=declaration.columns or (field.python_name,))
                columns.update(dict.fromkeys(declaration.columns))
            elif declaration is not None:
                columns[declaration.key] = None
            if declaration is not None:
                declared[to_camel_case(field.python_name)] = declaration
        stored = {
            field.python_name: declaration
            for field in definition.fields
            if isinstance(declaration := declared.get(to_camel_case(field.python_name)), Column)
            and not field.base_resolver
        }

        def make(record: Mapping[str, Any]) -> T:
            return cls(record=record, **{name: column.value(record, None) for name, column in stored.items()})

        cls.ROW = RowType(cls.__name__, table, tuple(columns), make, owner, orders or {}, declared, aliases)
        if issubclass(cls, Node):
            NODES[cls.__name__] = cls
        return cls

    return bind


def load(info: Info, cls: type[T], key: Any, by: str = "id") -> Reference[T]:
    """A reference to the row with this key, which is not fetched yet: see db/sources.py."""
    return Reference(info.context.session, cls.ROW, key, by)


def listed(info: Info, cls: type[T], *, where: str, order_by: str, size: int) -> Listing[T]:
    """A listing of the first rows that meet a condition (SQL over alias `r`), which are not fetched yet."""
    return Listing(info.context.session, cls.ROW, where, order_by, size)


def load_own(info: Info, cls: type[T]) -> Reference[T]:
    """A reference to the caller's only row of a type that each person has one of."""
    return load(info, cls, info.context.session.claims.subject, "user_id")
