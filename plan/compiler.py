"""Compiles types and selections of an operation into plans for values, rows, pages and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import get_argument_values

from db.rows import RowType
from plan.errors import NotPlanned, Reason
from plan.fields import Attribute, Fields, Page, PageField, Resolver
from plan.leaves import NULL, RenderValue, leaf
from plan.objects import ObjectPlan
from plan.pages import PagePlan
from plan.rows import RowPlan
from plan.selections import Selections, has_variables
from plan.templates import template
from plan.values import Get, Leaf, List, NonNull, Object, Run, Value


class Compiler:
    """Creates the parts of an operation's plan on demand."""

    def __init__(self, schema: GraphQLSchema, fields: Fields, selections: Selections) -> None:
        self.schema = schema
        self.fields = fields
        self.selections = selections
        self._numbers = count()

    def new_alias(self, prefix: str) -> str:
        """A table alias that is unique within the plan."""
        return f"{prefix}{next(self._numbers)}"

    def value(self, type_: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Value:
        """How values of a type are rendered. Raises NotPlanned."""
        if is_non_null_type(type_):
            return NonNull(self.value(type_.of_type, nodes))
        if is_list_type(type_):
            return List(self.value(type_.of_type, nodes))
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return Leaf(leaf(type_))
        return Object(self, type_, nodes)

    def pure(self, type_: GraphQLOutputType, nodes: Sequence[FieldNode]) -> RenderValue | None:
        """A pure function that renders values of a type; None if rendering them needs more than the value. It raises
        Mismatch."""
        if is_non_null_type(type_):
            return self.pure_not_null(type_.of_type, nodes)
        render = self.pure_not_null(type_, nodes)
        return None if render is None else lambda value: NULL if value is None else render(value)

    def pure_not_null(self, type_: GraphQLOutputType, nodes: Sequence[FieldNode]) -> RenderValue | None:
        """Like `pure`, for values of a nullable type that are not null."""
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return leaf(type_)
        if is_list_type(type_):
            item = self.pure(type_.of_type, nodes)
            return None if item is None else lambda value: f"[{','.join([item(each) for each in value])}]"
        return self._pure_object(type_, nodes) if isinstance(type_, GraphQLObjectType) else None

    def _pure_object(self, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> RenderValue | None:
        def member(name: str, merged: Sequence[FieldNode]) -> tuple[str, RenderValue] | None:
            field = self.fields.field(type_.name, name)
            render = self.pure(type_.fields[name].type, merged)
            return None if render is None or not isinstance(field, Attribute) else (field.name, render)

        made = template(self.selections, type_, nodes, member)
        text, parts = made.text, [part for part in made.parts if part is not None]
        if len(parts) < len(made.parts):
            return None
        return lambda value: text % tuple([render(getattr(value, name)) for name, render in parts])

    def rows(self, row_type: RowType, nodes: Sequence[FieldNode]) -> RowPlan:
        """How rows of a type are read and rendered. Raises NotPlanned."""
        return RowPlan(self, row_type, nodes)

    def page(self, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> PagePlan:
        """How pages of a connection are read and rendered. Raises NotPlanned."""
        return PagePlan(self, type_, nodes)

    def object(self, type_name: str, nodes: Sequence[FieldNode]) -> ObjectPlan:
        """How objects of a type are rendered. Raises NotPlanned."""
        return ObjectPlan(self, self.object_type(type_name), nodes)

    def object_type(self, name: str) -> GraphQLObjectType:
        """The object type of this name. Raises NotPlanned for a type of another kind."""
        type_ = self.schema.get_type(name)
        if not isinstance(type_, GraphQLObjectType):
            raise NotPlanned(Reason.ABSTRACT_TYPE)
        return type_

    def getter(self, type_: GraphQLObjectType, field: Resolver | PageField, nodes: Sequence[FieldNode]) -> Get:
        """A function that calls a field's resolver on an object. It raises what the resolver raises, and GraphQLError
        for invalid variables. Raises GraphQLError for invalid literals."""
        if isinstance(field, PageField):
            key, describe = field.key, self.describer(type_, field, nodes)
            return lambda run, value: describe(run).below(value.record[key])
        call, arguments = field.call, self._arguments(type_, nodes[0], field)
        return lambda run, value: call(value, run.info, arguments(run))

    def describer(
        self, type_: GraphQLObjectType, field: PageField, nodes: Sequence[FieldNode]
    ) -> Callable[[Run], Page]:
        """A function that describes a field's page without its parent. It raises, and this raises, what `getter`
        says."""
        describe, arguments = field.describe, self._arguments(type_, nodes[0], field)
        return lambda run: describe(run.info, arguments(run))

    def _arguments(
        self, type_: GraphQLObjectType, node: FieldNode, resolver: Resolver | PageField
    ) -> Callable[[Run], Mapping[str, Any]]:
        """A function that returns a resolver's arguments in a run; they are converted only once if they have no
        variables."""
        field = type_.fields[node.name.value]
        if not field.args:
            return lambda run: {}
        if not has_variables(node):
            fixed = resolver.convert(get_argument_values(field, node))
            return lambda run: fixed
        return lambda run: resolver.convert(get_argument_values(field, node, run.variables))
