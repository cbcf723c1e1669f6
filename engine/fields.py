"""The declarations behind the schema's fields, for the plan compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import strawberry
from graphql import GraphQLObjectType
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from db.rows import RowType, ToPage
from engine.arguments import Arguments
from plan.fields import Attribute, Field, PageField, Resolver
from schema.connection import Connection
from schema.context import Context
from schema.node import Row


class SchemaFields:
    """Implements plan.fields.Fields."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._schema = schema
        self._core = schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._arguments = Arguments(schema)
        self._known: dict[tuple[str, str], Field] = {}

    def field(self, type_name: str, field_name: str) -> Field:
        key = (type_name, field_name)
        if key not in self._known:
            self._known[key] = self._find(type_name, field_name)
        return self._known[key]

    def _find(self, type_name: str, field_name: str) -> Field:
        row_type = self.row_type(type_name)
        declared = row_type.fields.get(field_name) if row_type else None
        if declared is not None and not isinstance(declared, ToPage):
            return declared
        type_ = self._core.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        field: StrawberryField = type_.fields[field_name].extensions["strawberry-definition"]
        if declared is not None:
            return _page(declared, self._arguments.converter(field.arguments))
        if field.base_resolver is None:
            return Attribute(field.python_name)
        return _resolver(field, self._arguments)

    def row_type(self, type_name: str) -> RowType | None:
        cls = self._class(type_name)
        return getattr(cls, "ROW", None) if issubclass(cls, Row) else None

    def is_page(self, type_name: str) -> bool:
        return issubclass(self._class(type_name), Connection)

    def type_name(self, value: Any) -> str:
        return get_object_definition(type(value), strict=True).name

    def _class(self, type_name: str) -> type[Any]:
        definition = self._core.type_map[type_name].extensions["strawberry-definition"]
        origin: type[Any] = definition.origin
        return origin


def _page(declared: ToPage, convert: Callable[[Mapping[str, Any]], dict[str, Any]]) -> PageField:
    describe = declared.describe
    return PageField(declared.key, lambda info, arguments: describe(info, **arguments), convert)


def _resolver(field: StrawberryField, arguments_of: Arguments) -> Resolver:
    resolver = field.base_resolver
    assert resolver is not None
    function = cast("Callable[..., Any]", resolver.wrapped_func)
    info_name = resolver.info_parameter.name if resolver.info_parameter else None

    def call(source: Any, info: Any, arguments: Mapping[str, Any]) -> Any:
        if info_name is None:
            return function(source, **arguments)
        return function(source, **{info_name: info}, **arguments)

    return Resolver(call, arguments_of.converter(field.arguments))


class PlannedInfo:
    """The info of resolvers that a plan calls: see `Info` in schema/context.py."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context
