"""The plan of an operation: its root fields, each resolved to a value or a source and written as JSON text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    is_non_null_type,
)

from plan.compiler import Compiler
from plan.errors import NotPlanned
from plan.fields import Fields, Resolver
from plan.leaves import string
from plan.selections import Selections, condition_variables
from plan.values import Run, Value, settled_one

MAX_VARIANTS = 32
MAX_PLANNED_FIELDS = 4_000  # of all variants of an operation together
INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class Root:
    """A root field. `get` gives its value, or something to await that does."""

    key: str
    nodes: Sequence[FieldNode]
    get: Callable[[Run], Any]
    value: Value


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation under one set of conditions."""

    is_mutation: bool
    is_nullable: bool  # whether a root field that fails leaves the others
    texts: Sequence[str]  # of the answer's members: fixed, or with %s for a root's
    roots: Sequence[Root]

    async def run(self, run: Run) -> list[str]:
        """A text per root field. Raises Mismatch, or what a resolver or Postgres raised."""
        written: list[str] = []
        for number, root in enumerate(self.roots, 1):
            value = await settled_one(root.get(run))
            written += await root.value.texts(run, [value], is_last=number == len(self.roots))
        return written

    def written(self, texts: Sequence[str]) -> str:
        """The answer's `data`, of a text for each root field."""
        return f"{{{','.join(self.texts)}}}" % tuple(texts)


class Plans:
    """The plans of one operation: one for each set of values that the variables of its directives have had."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fields: Fields,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        size: int,
    ) -> None:
        """`size` is the number of the operation's fields, with fragments in their places."""
        self._schema = schema
        self._fields = fields
        self._operation = operation
        self._fragments = fragments
        self._conditions = condition_variables(operation, fragments)
        self._known: dict[tuple[bool, ...], Plan | NotPlanned] = {}
        variants = min(2 ** min(len(self._conditions), 5), MAX_VARIANTS)
        self._max_variants = max(1, min(variants, MAX_PLANNED_FIELDS // max(1, size)))
        self.planned_fields = size * self._max_variants  # at most

    def get(self, variables: Mapping[str, Any]) -> Plan:
        """The plan for these coerced variables. Raises NotPlanned."""
        decided: tuple[bool, ...] = tuple([variables.get(name, None) for name in self._conditions])
        if None in decided:
            raise NotPlanned("condition without a value")
        found = self._known.get(decided)
        if found is None:
            if len(self._known) >= self._max_variants:
                raise NotPlanned("too many variants")
            try:
                found = self._compile(dict(zip(self._conditions, decided, strict=True)))
            except NotPlanned as error:
                found = error
            except GraphQLError:  # of arguments, which ordinary execution reports
                found = NotPlanned("arguments")
            except RecursionError:
                found = NotPlanned("depth")
            self._known[decided] = found
        if isinstance(found, NotPlanned):
            raise NotPlanned(found.reason)
        return found

    def _compile(self, conditions: Mapping[str, bool]) -> Plan:
        kind = self._operation.operation
        type_ = self._schema.get_root_type(kind)
        if type_ is None:
            raise NotPlanned("kind of operation")
        selections = Selections(self._schema, self._fragments, conditions)
        compiler = Compiler(self._schema, self._fields, selections)
        texts: list[str] = []
        roots: list[Root] = []
        is_nullable = True
        for key, nodes in selections.fields(type_, [self._operation.selection_set]).items():
            name = nodes[0].name.value
            if name == "__typename":
                texts.append(f"{string(key)}:{string(type_.name)}")
                continue
            if name in INTROSPECTION:
                raise NotPlanned("introspection")
            resolver = self._fields.field(type_.name, name)
            assert isinstance(resolver, Resolver)
            field = type_.fields[name]
            arguments = compiler.arguments(type_, nodes[0], resolver)
            get = _getter(resolver, arguments)
            is_nullable = is_nullable and not is_non_null_type(field.type)
            texts.append(f"{string(key)}:%s")
            roots.append(Root(key, nodes, get, compiler.value(field.type, nodes)))
        is_mutation = kind is OperationType.MUTATION
        if is_mutation and len(roots) != 1:
            raise NotPlanned("several mutations")
        return Plan(is_mutation, is_nullable, texts, roots)


def _getter(resolver: Resolver, arguments: Callable[[Run], Mapping[str, Any]]) -> Callable[[Run], Any]:
    return lambda run: resolver.call(None, run.info, arguments(run))
