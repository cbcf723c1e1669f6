"""The plan of an operation: its root fields, each resolved to a value or a source and rendered as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from plan.errors import NotPlanned, Reason
from plan.fields import Fields, Resolver
from plan.selections import Selections, condition_variables
from plan.templates import Template, members
from plan.values import Get, Run, Value, is_awaited

MAX_VARIANTS = 32
MAX_PLANNED_FIELDS = 4_000  # over all variants of an operation
INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class Root:
    """A root field. `get` is called with None as the object."""

    key: str
    nodes: Sequence[FieldNode]
    get: Get
    value: Value


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """The plan of an operation for one combination of its @skip and @include conditions."""

    is_mutation: bool
    is_nullable: bool  # whether a failing root field is null on its own, without the others
    template: Template[Root]

    @property
    def roots(self) -> Sequence[Root]:
        """The root fields, in response order."""
        return self.template.parts

    async def run(self, run: Run) -> list[str]:
        """Renders each root field as JSON. Raises Mismatch, or what a resolver or Postgres raised."""
        rendered: list[str] = []
        roots = self.template.parts
        for number, root in enumerate(roots, 1):
            value = root.get(run, None)
            if is_awaited(type(value)):
                value = await value
            rendered += await root.value.render(run, [value], is_last=number == len(roots))
        return rendered

    def render(self, rendered: Sequence[str]) -> str:
        """The JSON of `data`, from the JSON of each root field."""
        return self.template.text % tuple(rendered)


class OperationPlans:
    """The plans of one operation: one for each combination of values of the variables in its directives."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fields: Fields,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        size: int,
    ) -> None:
        """`size` is the number of the operation's fields, fragments expanded."""
        self._schema = schema
        self._fields = fields
        self._operation = operation
        self._fragments = fragments
        self._conditions = condition_variables(operation, fragments)
        self._known: dict[tuple[bool, ...], OperationPlan | NotPlanned] = {}
        variants = min(2 ** min(len(self._conditions), 5), MAX_VARIANTS)
        self._max_variants = max(1, min(variants, MAX_PLANNED_FIELDS // max(1, size)))
        self.planned_fields = size * self._max_variants  # at most

    def get(self, variables: Mapping[str, Any]) -> OperationPlan:
        """The plan for these coerced variables. Raises NotPlanned."""
        decided: tuple[bool, ...] = tuple([variables.get(name, None) for name in self._conditions])
        if None in decided:
            raise NotPlanned(Reason.CONDITION)
        found = self._known.get(decided)
        if found is None:
            if len(self._known) >= self._max_variants:
                raise NotPlanned(Reason.VARIANTS)
            try:
                found = self._compile(dict(zip(self._conditions, decided, strict=True)))
            except NotPlanned as error:
                found = error
            except GraphQLError:  # invalid arguments, which graphql-core's execution reports
                found = NotPlanned(Reason.ARGUMENTS)
            except RecursionError:
                found = NotPlanned(Reason.DEPTH)
            self._known[decided] = found
        if isinstance(found, NotPlanned):
            raise NotPlanned(found.reason)
        return found

    def _compile(self, conditions: Mapping[str, bool]) -> OperationPlan:
        kind = self._operation.operation
        type_ = self._schema.get_root_type(kind)
        if type_ is None:
            raise NotPlanned(Reason.KIND)
        selections = Selections(self._schema, self._fragments, conditions)
        compiler = Compiler(self._schema, self._fields, selections)
        fields = selections.fields(type_, [self._operation.selection_set])

        def root(name: str, nodes: Sequence[FieldNode]) -> Root:
            if name in INTROSPECTION:
                raise NotPlanned(Reason.INTROSPECTION)
            resolver = self._fields.field(type_.name, name)
            assert isinstance(resolver, Resolver)
            get = compiler.getter(type_, resolver, nodes)
            return Root(_key(nodes[0]), nodes, get, compiler.value(type_.fields[name].type, nodes))

        made = members(type_, fields, root)
        is_mutation = kind is OperationType.MUTATION
        if is_mutation and len(made.parts) != 1:
            raise NotPlanned(Reason.SEVERAL_MUTATIONS)
        is_nullable = not any(is_non_null_type(type_.fields[each.nodes[0].name.value].type) for each in made.parts)
        return OperationPlan(is_mutation, is_nullable, made)


def _key(node: FieldNode) -> str:
    """The response key of a field."""
    return (node.alias or node.name).value
