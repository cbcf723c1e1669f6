"""How many objects an answer may hold, judged before it runs: page sizes multiply on the way down.

A list without a page size counts as 10 (root lists, the whole tree of categories among them, as 50); each fragment is
measured once per page size it is spread under, so the time is linear in the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from domain.pages import DEFAULT_SIZE, MAX_SIZE

KEPT_COUNTS = 100
UNPAGED_LIST = 10
ROOT_LIST = 50

_Composite = GraphQLObjectType | GraphQLInterfaceType


class _Counter:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        sizes: Mapping[str, int | None],
    ) -> None:
        self._schema = schema
        self._sizes = sizes
        self._fragments = fragments
        self._measured: dict[tuple[str, int], int] = {}
        self._roots = {schema.query_type, schema.mutation_type}

    def of(self, selections: SelectionSetNode | None, parent: Any, page: int) -> int:
        """Objects below one `parent`; `page` is the page size of the connection it may be."""
        if selections is None or not isinstance(parent, _Composite):
            return 0
        total = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                total += self._of_field(selection, parent, page)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._of_fragment(selection.name.value, page)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = self._schema.get_type(condition.name.value) if condition else parent
                total += self.of(selection.selection_set, inner, page)
        return total

    def _of_fragment(self, name: str, page: int) -> int:
        if (name, page) not in self._measured:
            self._measured[name, page] = 0  # a cycle, which validation refuses
            fragment = self._fragments[name]
            inner = self._schema.get_type(fragment.type_condition.name.value)
            self._measured[name, page] = self.of(fragment.selection_set, inner, page)
        return self._measured[name, page]

    def _of_field(self, node: FieldNode, parent: _Composite, page: int) -> int:
        field = parent.fields.get(node.name.value)
        if field is None or not is_composite_type(get_named_type(field.type)):
            return 0  # a leaf, or introspection
        size = self._page_size(node, field)
        is_list = is_list_type(get_nullable_type(field.type))
        if not is_list:
            times = 1
        elif size is not None:
            times = size
        elif parent.name.endswith("Connection"):
            times = page
        else:
            times = self._list_size(node, parent)
        return times * (1 + self.of(node.selection_set, get_named_type(field.type), size or DEFAULT_SIZE))

    def _page_size(self, node: FieldNode, field: GraphQLField) -> int | None:
        """What `first` or `last` says; None for a field without them."""
        if "first" not in field.args:
            return None
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                value = self._value(argument.value)
                if isinstance(value, int):
                    return max(0, min(value, MAX_SIZE))  # more is refused when the field runs
        default = field.args["first"].default_value
        return default if isinstance(default, int) else DEFAULT_SIZE

    def _list_size(self, node: FieldNode, parent: _Composite) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "ids":
                value = self._value(argument.value)
                return MAX_SIZE if value is None else min(value, MAX_SIZE)
        return ROOT_LIST if parent in self._roots else UNPAGED_LIST

    def _value(self, node: ValueNode) -> int | None:
        """A number, or how many items a list has."""
        if isinstance(node, VariableNode):
            return self._sizes.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value)
        return len(node.values) if isinstance(node, ListValueNode) else None


class ObjectCounter:
    """Counts for one operation; it remembers what it counted for the page sizes that requests have asked for."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._operation = operation
        self._defaults = {
            definition.variable.name.value: int(definition.default_value.value)
            if isinstance(definition.default_value, IntValueNode)
            else None
            for definition in operation.variable_definitions or ()
        }
        self._known: dict[tuple[int | None, ...], int] = {}

    def count(self, variables: Mapping[str, Any]) -> int:
        """The most objects that a valid operation may answer with."""
        sizes = tuple([_size(variables.get(name, default)) for name, default in self._defaults.items()])
        if sizes not in self._known:
            if len(self._known) >= KEPT_COUNTS:
                self._known.clear()
            given = dict(zip(self._defaults, sizes, strict=True))
            root = self._schema.get_root_type(self._operation.operation)
            counter = _Counter(self._schema, self._fragments, given)
            self._known[sizes] = counter.of(self._operation.selection_set, root, DEFAULT_SIZE)
        return self._known[sizes]


def _size(value: Any) -> int | None:
    """What a variable says of sizes: a number, or how many items a list has."""
    if isinstance(value, list):
        return len(value)
    return value if type(value) is int else None
