"""Objects that Python holds: payloads, what a resolver computed, rows that a loader fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from db.rows import Column, ToMany, ToOne
from db.sources import Reference
from plan.fields import Attribute, Field
from plan.rows import loaded
from plan.values import Run, Value, settled

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLObjectType

    from plan.compiler import Compiler

Get = Callable[[Run, Any], Any]


class ObjectPlan:
    """One object type and the fields asked for of it."""

    def __init__(self, compiler: Compiler, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> None:
        self._parts: list[tuple[Get, Value]] = []
        texts: list[str] = []
        asks: set[int] = set()
        for key, merged in compiler.selections.below(type_, nodes).items():
            name = merged[0].name.value
            if name == "__typename":
                texts.append(f'"{key}":"{type_.name}"')
                continue
            field = compiler.fields.field(type_.name, name)
            get = _getter(compiler, type_, field, merged)
            if not isinstance(field, Attribute | Column):
                asks.add(len(self._parts))
            texts.append(f'"{key}":%s')
            self._parts.append((get, compiler.value(type_.fields[name].type, merged)))
        self._template = "{" + ",".join(texts) + "}"
        # What comes after this part is there already: it asks the database for nothing.
        self._last = max((n for n, (get, value) in enumerate(self._parts) if n in asks or not value.is_leaf), default=0)

    async def texts(self, run: Run, objects: Sequence[Any], *, is_last: bool = False) -> list[str]:
        """A text per object. Raises Mismatch."""
        columns = []
        for number, (get, value) in enumerate(self._parts):
            found = await settled([get(run, each) for each in objects])
            columns.append(await value.texts(run, found, is_last=is_last and number == self._last))
        if not columns:
            return [self._template] * len(objects)
        return [self._template % row for row in zip(*columns, strict=True)]


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
        return loaded(field)
    arguments = compiler.arguments(type_, nodes[0], field)
    return lambda run, value: field.call(value, run.info, arguments(run))
