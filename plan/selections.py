"""Collects the fields of selection sets: fields merged, fragments expanded, @skip and @include evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    is_abstract_type,
)

from plan.errors import NotPlanned, Reason
from plan.walker import Fragments, selections_within

CONDITIONS = ("skip", "include")


class Selections:
    """The selections of one operation, with given values for the variables in its directives."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], conditions: Mapping[str, bool]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._conditions = conditions

    def fields(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode | None]) -> dict[str, list[FieldNode]]:
        """The selected fields by response key, in response order; nodes with the same key have to be merged. Raises
        NotPlanned for a directive other than @skip and @include."""
        found: dict[str, list[FieldNode]] = {}
        followed: set[str] = set()
        for selection_set in sets:
            if selection_set is not None:
                self._collect(type_, selection_set.selections, found, followed)
        return found

    def below(self, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> dict[str, list[FieldNode]]:
        """The fields selected below a field. Raises what `fields` raises."""
        return self.fields(type_, (node.selection_set for node in nodes))

    def _collect(
        self,
        type_: GraphQLObjectType,
        selections: Sequence[SelectionNode],
        found: dict[str, list[FieldNode]],
        followed: set[str],
    ) -> None:
        for selection in selections:
            if not self._is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                found.setdefault(key, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                if self._applies(selection, type_):
                    self._collect(type_, selection.selection_set.selections, found, followed)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in followed:
                followed.add(selection.name.value)
                fragment = self._fragments[selection.name.value]
                if self._applies(fragment, type_):
                    self._collect(type_, fragment.selection_set.selections, found, followed)

    def _applies(self, fragment: InlineFragmentNode | FragmentDefinitionNode, type_: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        name = fragment.type_condition.name.value
        condition = self._schema.get_type(name)
        return name == type_.name or (is_abstract_type(condition) and self._schema.is_sub_type(condition, type_))

    def _is_included(self, selection: SelectionNode) -> bool:
        for directive in selection.directives or ():
            if directive.name.value not in CONDITIONS:
                raise NotPlanned(Reason.DIRECTIVE)
            (argument,) = directive.arguments or ()  # ensured by validation
            holds = self._holds(argument.value)
            if holds is not (directive.name.value == "include"):
                return False
        return True

    def _holds(self, value: ValueNode) -> bool:
        if isinstance(value, VariableNode):
            return self._conditions[value.name.value]
        assert isinstance(value, BooleanValueNode)
        return value.value


def condition_variables(operation: OperationDefinitionNode, fragments: Fragments) -> tuple[str, ...]:
    """The names of the variables in an operation's @skip and @include."""
    found: dict[str, None] = {}
    for node in selections_within(operation.selection_set, fragments):
        for directive in node.directives or ():
            for argument in (directive.arguments or ()) if directive.name.value in CONDITIONS else ():
                if isinstance(argument.value, VariableNode):
                    found[argument.value.name.value] = None
    return tuple(found)


def has_variables(node: Node) -> bool:
    """Whether a value, or an argument of a field, contains a variable."""
    children = node.arguments or () if isinstance(node, FieldNode) else (node,)
    return any(isinstance(found, VariableNode) for child in children for found in _values(child))


def _values(node: Node) -> Iterator[Node]:
    yield node
    for key in ("value", "values", "fields"):
        child = getattr(node, key, None)
        if isinstance(child, Node):
            yield from _values(child)
        elif isinstance(child, list | tuple):
            for item in child:
                yield from _values(item)
