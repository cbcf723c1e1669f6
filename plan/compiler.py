"""Compiles what an operation asks for: types and selections into values, rows, pages and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import get_argument_values

from db.rows import RowType
from plan.errors import NotPlanned
from plan.fields import Attribute, Fields, Resolver
from plan.leaves import NULL, leaf
from plan.objects import ObjectPlan
from plan.pages import PagePlan
from plan.rows import RowPlan
from plan.selections import Selections, has_variables
from plan.values import Leaf, List, NonNull, Object, Run, Value


class Compiler:
    """The parts of one plan, made on demand. `number` gives each statement's aliases and each page its own number."""

    def __init__(self, schema: GraphQLSchema, fields: Fields, selections: Selections) -> None:
        self.schema = schema
        self.fields = fields
        self.selections = selections
        self._numbers = count()

    def number(self) -> int:
        return next(self._numbers)

    def value(self, type_: Any, nodes: Sequence[FieldNode]) -> Value:
        """How values of a type are written. Raises NotPlanned."""
        if is_non_null_type(type_):
            return NonNull(self.value(type_.of_type, nodes))
        if is_list_type(type_):
            return List(self.value(type_.of_type, nodes))
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return Leaf(leaf(type_))
        return Object(self, type_, nodes)

    def pure(self, type_: Any, nodes: Sequence[FieldNode]) -> Callable[[Any], str] | None:
        """Writes values of a type that need nothing but themselves; None where they need more. The function raises
        Mismatch."""
        if is_non_null_type(type_):
            return self._pure(type_.of_type, nodes)
        write = self._pure(type_, nodes)
        return None if write is None else lambda value: NULL if value is None else write(value)

    def _pure(self, type_: Any, nodes: Sequence[FieldNode]) -> Callable[[Any], str] | None:
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return leaf(type_)
        if is_list_type(type_):
            item = self.pure(type_.of_type, nodes)
            return None if item is None else lambda value: f"[{','.join([item(each) for each in value])}]"
        if not isinstance(type_, GraphQLObjectType):
            return None
        texts: list[str] = []
        parts: list[tuple[str, Callable[[Any], str]]] = []
        for key, merged in self.selections.below(type_, nodes).items():
            name = merged[0].name.value
            if name == "__typename":
                texts.append(f'"{key}":"{type_.name}"')
                continue
            field = self.fields.field(type_.name, name)
            write = self.pure(type_.fields[name].type, merged)
            if not isinstance(field, Attribute) or write is None:
                return None
            texts.append(f'"{key}":%s')
            parts.append((field.name, write))
        template = "{" + ",".join(texts) + "}"
        return lambda value: template % tuple([write(getattr(value, name)) for name, write in parts])

    def rows(self, row_type: RowType, nodes: Sequence[FieldNode]) -> RowPlan:
        """How rows of a type are read and written."""
        return RowPlan(self, row_type, nodes)

    def page(self, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> PagePlan:
        """How pages of a connection are read and written."""
        return PagePlan(self, type_, nodes)

    def object(self, type_name: str, nodes: Sequence[FieldNode]) -> ObjectPlan:
        """How objects of a type are written."""
        return ObjectPlan(self, self.object_type(type_name), nodes)

    def object_type(self, name: str) -> GraphQLObjectType:
        type_ = self.schema.get_type(name)
        if not isinstance(type_, GraphQLObjectType):
            raise NotPlanned("abstract type")
        return type_

    def arguments(
        self, type_: GraphQLObjectType, node: FieldNode, resolver: Resolver
    ) -> Callable[[Run], Mapping[str, Any]]:
        """A resolver's arguments in a run; made once where no variable is among them. May raise GraphQLError."""
        field = type_.fields[node.name.value]
        if not field.args:
            return lambda run: {}
        if not has_variables(node):
            fixed = resolver.convert(get_argument_values(field, node))
            return lambda run: fixed
        return lambda run: resolver.convert(get_argument_values(field, node, run.variables))
