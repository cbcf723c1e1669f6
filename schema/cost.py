"""What an answer may hold, judged before it runs: page sizes multiply on the way down. Its cost is the number of its
values: fields, and items of lists; long texts count several times. Its objects are counted beside it.

A list without a page size counts as 10 (root lists, the whole tree of categories among them, as 50); lists of the
schema's own description count as long as they are on average. Each fragment is measured once per page size it is
spread under, so the time is linear in the document.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
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
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
)
from graphql.type.introspection import SchemaMetaFieldDef, TypeMetaFieldDef

from domain.pages import DEFAULT_SIZE, MAX_SIZE

KEPT_COUNTS = 100
MAX_DIGITS = 20  # of what is but compared with the size of a page
UNPAGED_LIST = 10
ROOT_LIST = 50
ALIASED_LEAF = 10
# Values of up to 50,000 characters: 15,000 buy 365 of them, 18 MB, or 55 where a letter takes three bytes.
LONG_LEAVES = {
    ("Product", "description"): 40,
    ("AuditEntry", "changes"): 20,
    ("SystemLog", "context"): 5,
    ("ExportMyDataPayload", "document"): 1000,  # up to 1 MB
}

_META_FIELDS = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}

_Composite = GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class Cost:
    """The most that a valid operation may answer with."""

    values: int
    objects: int


class _Counter:
    """Counts objects, and `leaf` for each field below which there is nothing."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        sizes: Mapping[str, int | None],
        leaf: int,
    ) -> None:
        self._leaf = leaf
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
        field = parent.fields.get(node.name.value) or _META_FIELDS.get(node.name.value)
        if field is None or not is_composite_type(get_named_type(field.type)):
            # Many aliases of one long text make a large answer of a small one.
            weight = ALIASED_LEAF if node.alias is not None else 1
            return self._leaf * max(weight, LONG_LEAVES.get((parent.name, node.name.value), 1))
        if parent.name.startswith("__"):
            below = 1 + self.of(node.selection_set, get_named_type(field.type), page)
            return math.ceil(_description_sizes(self._schema).get((parent.name, node.name.value), 1) * below)
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
            return int(node.value[:MAX_DIGITS])
        return len(node.values) if isinstance(node, ListValueNode) else None


@functools.cache
def _description_sizes(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """How long the lists are in which a schema describes itself: all types, and on average what one of them has."""
    types = list(schema.type_map.values())
    fields = [field for type_ in types for field in getattr(type_, "fields", {}).values()]
    arguments = [argument for field in fields for argument in getattr(field, "args", {}).values()]
    inputs = sum(len(type_.fields) for type_ in types if is_input_object_type(type_))
    enums = [type_ for type_ in types if is_enum_type(type_)]
    abstract = [type_ for type_ in types if is_abstract_type(type_)]
    return {
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): (len(fields) - inputs) / len(types),
        ("__Type", "inputFields"): inputs / len(types),
        ("__Type", "enumValues"): sum(len(type_.values) for type_ in enums) / len(types),
        ("__Type", "interfaces"): sum(len(getattr(type_, "interfaces", ())) for type_ in types) / len(types),
        ("__Type", "possibleTypes"): sum(len(schema.get_possible_types(type_)) for type_ in abstract) / len(types),
        ("__Type", "ofType"): 0.5,  # half of the references to types are wrapped, their wrappings too
        ("__Field", "args"): len(arguments) / max(1, len(fields)),
        ("__Directive", "args"): 2,
    }


class CostCounter:
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
            definition.variable.name.value: int(definition.default_value.value[:MAX_DIGITS])
            if isinstance(definition.default_value, IntValueNode)
            else None
            for definition in operation.variable_definitions or ()
        }
        self._known: dict[tuple[int | None, ...], Cost] = {}

    def count(self, variables: Mapping[str, Any]) -> Cost:
        """The most that a valid operation may answer with."""
        sizes = tuple([_size(variables.get(name, default)) for name, default in self._defaults.items()])
        if sizes not in self._known:
            if len(self._known) >= KEPT_COUNTS:
                self._known.clear()
            given = dict(zip(self._defaults, sizes, strict=True))
            root = self._schema.get_root_type(self._operation.operation)
            values, objects = (
                _Counter(self._schema, self._fragments, given, leaf).of(
                    self._operation.selection_set, root, DEFAULT_SIZE
                )
                for leaf in (1, 0)
            )
            self._known[sizes] = Cost(values, objects)
        return self._known[sizes]


def _size(value: Any) -> int | None:
    """What a variable says of sizes: a number, or how many items a list has."""
    if isinstance(value, list):
        return len(value)
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None
