"""Plans for Python objects: payloads, results of resolvers, and rows fetched by loaders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from db.rows import Column, ToMany, ToOne
from db.sources import Reference
from plan.fields import Attribute, Field
from plan.steps import related
from plan.templates import template
from plan.values import Get, Run, Value, gather_awaitables

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLObjectType

    from plan.compiler import Compiler


class ObjectPlan:
    """The plan for an object type and its selected fields."""

    def __init__(self, compiler: Compiler, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> None:
        """Raises NotPlanned."""

        def part(name: str, merged: Sequence[FieldNode]) -> tuple[Get, Value, bool]:
            field = compiler.fields.field(type_.name, name)
            get = _getter(compiler, type_, field, merged)
            value = compiler.value(type_.fields[name].type, merged)
            may_ask = not isinstance(field, Attribute | Column) or not value.is_leaf
            return get, value, may_ask

        made = template(compiler.selections, type_, nodes, part)
        self._text = made.text
        self._parts = [(get, value) for get, value, _ in made.parts]
        # Parts after this one do not use the database.
        self._last = max((number for number, (_, _, may_ask) in enumerate(made.parts) if may_ask), default=0)

    async def render(self, run: Run, objects: Sequence[Any], *, is_last: bool = False) -> list[str]:
        """Renders each object as JSON. Raises what Value.render raises."""
        columns = []
        for number, (get, value) in enumerate(self._parts):
            found = await gather_awaitables([get(run, each) for each in objects])
            columns.append(await value.render(run, found, is_last=is_last and number == self._last))
        if not columns:
            return [self._text] * len(objects)
        return [self._text % members for members in zip(*columns, strict=True)]


def _getter(compiler: Compiler, type_: GraphQLObjectType, field: Field, nodes: Sequence[FieldNode]) -> Get:
    if isinstance(field, Attribute):
        name = field.name
        return lambda run, value: getattr(value, name)
    if isinstance(field, Column):
        column = field
        return lambda run, value: column.value(value.record, run.context)
    if isinstance(field, ToOne):
        to_one = field
        return lambda run, value: Reference(run.context.session, to_one.target(), value.record[to_one.key], to_one.by)
    if isinstance(field, ToMany):
        return related(field)
    return compiler.getter(type_, field, nodes)
