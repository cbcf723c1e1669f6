"""Static cost analysis: an upper bound of the values in a response, plus the size of a mutation's input, before the
request runs. Page sizes multiply at each level. A value is a field or an item of a list; long texts count several
times. Objects of the response are counted separately.

A list counts with its maximum length: a page with its size, a list with one item per item of an input with the length
of that input, any other with the bound that its field declares (schema/bounds.py). Introspection lists count with their
average length, below `__type` with the longest. Each fragment is measured once per page size it is spread under, so
that the time is linear in the size of the document.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
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
    is_non_null_type,
)
from graphql.type.introspection import SchemaMetaFieldDef, TypeMetaFieldDef

from domain.pages import DEFAULT_SIZE, MAX_SIZE
from domain.sizes import size_of
from engine.prices import LONG_LEAVES, SEARCH_ARGUMENT, SEARCH_SURCHARGE, SURCHARGES, SURCHARGES_PER_ITEM
from plan.walker import Fragments, Walker, selections_within
from schema.bounds import declared

CACHE_COUNTS = 100
MAX_DIGITS = 20  # of an integer literal; it is only compared with a page size
ALIASED_LEAF = 10
WRITTEN_ITEM = 10  # values that an item of an input list costs
WRITTEN_BYTES = 100  # bytes of a mutation's input that cost a value
TOO_MUCH = 100_000  # counting stops here, as the request is refused
# Arguments that bound the length of a list below their field: by name, and for `input` the list within it, by field.
SIZING_ARGUMENTS = ("first", "last", "ids")
SIZING_INPUTS = {
    "recordSwipes": "swipes",
    "recordEvents": "events",
    "recordProductViews": "views",
    "recordImpressions": "impressions",
}

_META_FIELDS = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}

_Composite = GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class Cost:
    """Upper bounds for a valid operation; `values` includes its input. `work` is the sum of surcharges, which count for
    rate limits, but not for the limit on the size of a response."""

    values: int
    objects: int
    work: int = 0


class _State(NamedTuple):
    """State of the walk. `page` is the page size set by the field above, which applies to the lists right below it;
    `is_one_type`: below `__type`, not `__schema { types }`."""

    parent: GraphQLNamedType | None
    page: int
    is_one_type: bool = False


class _Counter:
    """Counts `composite` for each object, `leaf` for each leaf value, and `surcharge` times the surcharge of a field.
    `sizes` are the list sizes from arguments, by the id of the field's node; None if an argument sets none."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Fragments,
        sizes: Mapping[int, int | None],
        *,
        leaf: int = 0,
        composite: int = 0,
        surcharge: int = 0,
    ) -> None:
        self._leaf = leaf
        self._composite = composite
        self._surcharge = surcharge
        self._schema = schema
        self._sizes = sizes
        self._walker: Walker[_State, int] = Walker(
            fragments,
            self._of_field,
            sum,
            cyclic=0,
            narrow=lambda state, condition: state._replace(parent=schema.get_type(condition.name.value)),
        )

    def count(self, selections: SelectionSetNode, root: GraphQLNamedType | None) -> int:
        """The count of an operation's selections."""
        return self._walker.fold(selections, _State(root, DEFAULT_SIZE))

    def _of_field(self, node: FieldNode, state: _State) -> int:
        parent = state.parent
        if not isinstance(parent, _Composite):
            return 0
        field = parent.fields.get(node.name.value) or _META_FIELDS.get(node.name.value)
        if field is None:  # __typename
            return self._leaf * (ALIASED_LEAF if node.alias is not None else 1)
        if parent.name.startswith("__"):
            return self._of_description(node, field, parent, state)
        size = self._size(node, field)
        times = 1
        if is_list_type(get_nullable_type(field.type)):
            # From its own argument, else its declared bound, else the page size of the field above.
            times = size if size is not None else (declared(field) or state.page)
        if not is_composite_type(get_named_type(field.type)):
            # Aliases repeat one long text many times.
            weight = ALIASED_LEAF if node.alias is not None else 1
            size = max(weight, times, LONG_LEAVES.get((parent.name, node.name.value), 1))
            return self._leaf * size + self._surcharge_of(node, parent, times)
        is_one_type = state.is_one_type or field is TypeMetaFieldDef
        below = _State(get_named_type(field.type), DEFAULT_SIZE if size is None else size, is_one_type)
        each = self._composite + self._walker.fold(node.selection_set, below)
        return times * each + self._surcharge_of(node, parent, times)

    def _surcharge_of(self, node: FieldNode, parent: _Composite, times: int) -> int:
        if not self._surcharge:
            return 0
        field = parent.name, node.name.value
        searches = any(argument.name.value == SEARCH_ARGUMENT for argument in node.arguments or ())
        surcharge = SURCHARGES.get(field, 0) + times * SURCHARGES_PER_ITEM.get(field, 0)
        return surcharge + (SEARCH_SURCHARGE if searches else 0)

    def _size(self, node: FieldNode, field: GraphQLField) -> int | None:
        """The list size from the field's arguments; None for a field without such arguments. A size over the maximum is
        refused when the field runs."""
        maximum = declared(field) or MAX_SIZE
        size = self._sizes.get(id(node))
        if size is not None:
            return max(1, min(size, maximum))  # an empty page takes the work of one item
        if "first" in field.args:
            default = field.args["first"].default_value
            return default if isinstance(default, int) else DEFAULT_SIZE
        return maximum if "ids" in field.args or node.name.value in SIZING_INPUTS else None

    def _of_description(self, node: FieldNode, field: GraphQLField, parent: _Composite, state: _State) -> int:
        sizes = _longest_descriptions if state.is_one_type else _average_descriptions
        times = sizes(self._schema).get((parent.name, node.name.value), 1)
        if not is_composite_type(get_named_type(field.type)):
            return self._leaf * max(ALIASED_LEAF if node.alias is not None else 1, math.ceil(times))
        is_null = 0 if is_non_null_type(field.type) else self._leaf  # a null counts as a value
        below = state._replace(parent=get_named_type(field.type))
        return math.ceil(times * (self._composite + self._walker.fold(node.selection_set, below))) + is_null


@functools.cache
def _average_descriptions(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """Lengths of introspection lists: the number of types, and the average number of members per type."""
    return _descriptions(schema, lambda sizes, among: sum(sizes) / max(1, among)) | {
        ("__Type", "ofType"): 0.5,  # half of all type references are wrapped, and half of those wrapped again
    }


@functools.cache
def _longest_descriptions(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """The same, with the maximum in place of the average."""
    return _descriptions(schema, lambda sizes, _: max(sizes, default=0))


def _descriptions(schema: GraphQLSchema, of: Callable[[list[int], int], float]) -> dict[tuple[str, str], float]:
    types = list(schema.type_map.values())
    inputs = [type_ for type_ in types if is_input_object_type(type_)]
    others = [type_ for type_ in types if hasattr(type_, "fields") and type_ not in inputs]
    fields = [field for type_ in others for field in type_.fields.values()]
    every = len(types)
    return {
        ("__Schema", "types"): every,
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): of([len(type_.fields) for type_ in others], every),
        ("__Type", "inputFields"): of([len(type_.fields) for type_ in inputs], every),
        ("__Type", "enumValues"): of([len(type_.values) for type_ in types if is_enum_type(type_)], every),
        ("__Type", "interfaces"): of([len(getattr(type_, "interfaces", ())) for type_ in types], every),
        ("__Type", "possibleTypes"): of(
            [len(schema.get_possible_types(type_)) for type_ in types if is_abstract_type(type_)], every
        ),
        ("__Field", "args"): of([len(field.args) for field in fields], len(fields)),
        ("__Directive", "locations"): max(len(directive.locations) for directive in schema.directives),
        ("__Directive", "args"): of([len(directive.args) for directive in schema.directives], len(schema.directives)),
    }


class CostCounter:
    """Counts the cost of one operation; caches it per combination of list sizes."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Fragments,
        operation: OperationDefinitionNode,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._operation = operation
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._sizing = {
            id(node): found
            for selections in (operation.selection_set, *(f.selection_set for f in fragments.values()))
            for node in selections_within(selections)
            if isinstance(node, FieldNode) and (found := _sizing(node))
        }
        # The sizes of most operations are literals: the same for each request.
        self._fixed_sizes = self._sizes_of({}) if self._are_sizes_fixed() else None
        self._written = self._input_of_roots()
        self._known: dict[Hashable, Cost] = {}

    def count(self, variables: Mapping[str, Any]) -> Cost:
        """Upper bounds of a valid operation's response, including the cost of its input."""
        sizes = self._sizes(variables)
        counted = self._known.get(sizes)
        return self._with_writing(self._count(sizes) if counted is None else counted, variables)

    def known(self, variables: Mapping[str, Any]) -> Cost | None:
        """The same where it has been counted for these sizes; else None."""
        if not self._known:
            return None
        sizes = self._fixed_sizes
        counted = self._known.get(self._sizes_of(variables) if sizes is None else sizes)
        return counted if counted is None or not self._written else self._with_writing(counted, variables)

    def _count(self, sizes: tuple[int | None, ...]) -> Cost:
        if len(self._known) >= CACHE_COUNTS:
            self._known.clear()
        given = dict(zip(self._sizing, sizes, strict=True))
        root = self._schema.get_root_type(self._operation.operation)
        count = partial(_Counter, self._schema, self._fragments, given)
        values, objects, work = (
            counter.count(self._operation.selection_set, root)
            for counter in (count(leaf=1, composite=1), count(composite=1), count(surcharge=1))
        )
        cost = self._known[sizes] = Cost(values, objects, work)
        return cost

    def _with_writing(self, cost: Cost, variables: Mapping[str, Any]) -> Cost:
        return replace(cost, values=cost.values + self._of_writing(variables)) if self._written else cost

    def _sizes(self, variables: Mapping[str, Any]) -> tuple[int | None, ...]:
        return self._sizes_of(variables) if self._fixed_sizes is None else self._fixed_sizes

    def _are_sizes_fixed(self) -> bool:
        return not any(_is_variable(node, path) for found in self._sizing.values() for node, path in found)

    def _sizes_of(self, variables: Mapping[str, Any]) -> tuple[int | None, ...]:
        return tuple([self._size(found, variables) for found in self._sizing.values()])

    def _size(self, found: list[tuple[ValueNode, tuple[str, ...]]], variables: Mapping[str, Any]) -> int | None:
        for node, path in found:
            size = self._size_of(node, path, variables)
            if size is not None:
                return size
        return None

    def _size_of(self, node: ValueNode | None, path: tuple[str, ...], variables: Mapping[str, Any]) -> int | None:
        """The size at a path within a value: an integer itself, or the length of a list."""
        if isinstance(node, VariableNode):
            name = node.name.value
            if name in variables:
                return _size_at(variables[name], path)
            return self._size_of(self._defaults.get(name), path, variables)
        if node is None or isinstance(node, NullValueNode):
            return None
        if path and isinstance(node, ObjectValueNode):
            below = next((field.value for field in node.fields if field.name.value == path[0]), None)
            return self._size_of(below, path[1:], variables)
        if isinstance(node, IntValueNode):
            return int(node.value[:MAX_DIGITS])
        return len(node.values) if isinstance(node, ListValueNode) else 1  # a single value is coerced to a list of one

    def _input_of_roots(self) -> list[ValueNode]:
        """Arguments of root fields that cost what they hold: all of a mutation, and lists of objects; with repeats."""
        is_mutation = self._operation.operation is OperationType.MUTATION
        root = self._schema.get_root_type(self._operation.operation)

        def input_of(node: FieldNode, _: None) -> list[ValueNode]:
            field = root.fields.get(node.name.value) if root is not None else None
            types = {name: argument.type for name, argument in field.args.items()} if field is not None else {}
            return [
                argument.value
                for argument in node.arguments or ()
                if is_mutation or _is_list_of_objects(types.get(argument.name.value))
            ]

        walker: Walker[None, list[ValueNode]] = Walker(
            self._fragments, input_of, lambda found: list(chain.from_iterable(found)), cyclic=[]
        )
        return walker.fold(self._operation.selection_set, None)

    def _of_writing(self, variables: Mapping[str, Any]) -> int:
        values = 0
        for node in self._written:
            value = self._plain(node, variables)
            values += size_of(value).bytes // WRITTEN_BYTES
            below = value.values() if isinstance(value, dict) else [value]
            lists = (each for each in below if isinstance(each, list))
            values += WRITTEN_ITEM * sum(isinstance(item, dict) for items in lists for item in items)
            if values > TOO_MUCH:
                break
        return values

    def _plain(self, node: ValueNode | None, variables: Mapping[str, Any]) -> Any:
        """A literal as a JSON value; numbers stay strings, as they may exceed Python's limit of digits."""
        if isinstance(node, VariableNode):
            name = node.name.value
            return variables[name] if name in variables else self._plain(self._defaults.get(name), variables)
        if isinstance(node, ListValueNode):
            return [self._plain(below, variables) for below in node.values]
        if isinstance(node, ObjectValueNode):
            return {field.name.value: self._plain(field.value, variables) for field in node.fields}
        return getattr(node, "value", None)


def _sizing(node: FieldNode) -> list[tuple[ValueNode, tuple[str, ...]]]:
    """The arguments of a field that bound a list below it, each with the path within the argument."""
    found: list[tuple[ValueNode, tuple[str, ...]]] = []
    for argument in node.arguments or ():
        if argument.name.value in SIZING_ARGUMENTS:
            found.append((argument.value, ()))
        elif argument.name.value == "input" and node.name.value in SIZING_INPUTS:
            found.append((argument.value, (SIZING_INPUTS[node.name.value],)))
    return found


def _is_list_of_objects(argument: GraphQLInputType | None) -> bool:
    nullable = argument.of_type if is_non_null_type(argument) else argument
    return is_list_type(nullable) and is_input_object_type(get_named_type(nullable))


def _is_variable(node: ValueNode, path: tuple[str, ...]) -> bool:
    """Whether a variable decides the size at a path within a value."""
    if path and isinstance(node, ObjectValueNode):
        return any(_is_variable(member.value, path[1:]) for member in node.fields if member.name.value == path[0])
    return isinstance(node, VariableNode)


def _size_at(value: Any, path: tuple[str, ...]) -> int | None:
    """The size at a path within a variable: an integer itself, or the length of a list."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, list):
        return len(value)
    if type(value) is float and value.is_integer():
        return int(value)
    if value is None or isinstance(value, float | bool):
        return None
    return value if type(value) is int else 1  # a single value is coerced to a list of one
