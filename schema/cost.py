"""How many objects an answer may hold, judged before it runs: page sizes multiply on the way down.

A list without a page size counts as 10 (root lists, the whole tree of categories among them, as 50); each fragment is
measured once per page size it is spread under, so the time is linear in the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
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

from resolvers.pages import DEFAULT_SIZE, MAX_SIZE

UNPAGED_LIST = 10
ROOT_LIST = 50

_Composite = GraphQLObjectType | GraphQLInterfaceType


class _Counter:
    def __init__(self, schema: GraphQLSchema, tree: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
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
                return min(len(value), MAX_SIZE) if isinstance(value, list) else MAX_SIZE
        return ROOT_LIST if parent in self._roots else UNPAGED_LIST

    def _value(self, node: ValueNode) -> Any:
        if isinstance(node, VariableNode):
            return self._variables.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value)
        return list(node.values) if isinstance(node, ListValueNode) else None


def count_objects(
    schema: GraphQLSchema, tree: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> int:
    """The most objects that a valid operation may answer with."""
    given = dict(variables)
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name not in given and isinstance(definition.default_value, IntValueNode):
            given[name] = int(definition.default_value.value)
    root = schema.get_root_type(operation.operation)
    return _Counter(schema, tree, given).of(operation.selection_set, root, DEFAULT_SIZE)
