"""Variables of requests, coerced as graphql-core coerces them, by functions that are put together once per type:
graphql-core looks at the type of each value anew for each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce = Callable[[Any], Any]


class Unfit(Exception):
    """The value is none of its type, or this module leaves it to graphql-core."""


class Coercions:
    """Of the types of one schema."""

    def __init__(self) -> None:
        self._known: dict[int, Coerce] = {}
        self._types: list[Any] = []  # they must stay, for their ids to be theirs

    def of(self, type_: Any) -> Coerce:
        """What coerces values of this type. It raises Unfit, or whatever a scalar raises."""
        if is_non_null_type(type_):
            coerce = self._nullable(type_.of_type)
            return lambda value: _refused() if value is None else coerce(value)
        coerce = self._nullable(type_)
        return lambda value: None if value is None else coerce(value)

    def _nullable(self, type_: Any) -> Coerce:
        """The same for values that are not null."""
        if is_list_type(type_):
            item = self.of(type_.of_type)
            return lambda values: [item(value) for value in values] if type(values) is list else _refused()
        if not is_input_object_type(type_):
            coerce: Coerce = type_.coerce_input_value
            return coerce
        known = self._known.get(id(type_))
        return known if known is not None else self._object(type_)

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        parts: list[tuple[str, str, Any, bool, Coerce]] = []

        def coerce(value: Any) -> Any:
            if type(value) is not dict or type_.is_one_of or not type_.fields.keys() >= value.keys():
                raise Unfit
            found: dict[str, Any] = {}
            for name, out_name, field, is_required, coerce_field in parts:
                if name in value:
                    found[out_name] = coerce_field(value[name])
                elif is_required:
                    raise Unfit
                elif (default := coerce_default_value(field)) is not Undefined:
                    found[out_name] = default
            return type_.out_type(found)

        self._known[id(type_)] = coerce  # before its fields are looked at: it may be among them
        self._types.append(type_)
        for name, field in type_.fields.items():
            parts.append((name, field.out_name or name, field, is_required_input_field(field), self.of(field.type)))
        return coerce


def _refused() -> Any:
    raise Unfit


class Variables:
    """Of one operation."""

    def __init__(self, schema: GraphQLSchema, coercions: Coercions, operation: OperationDefinitionNode) -> None:
        self._parts: list[tuple[Any, bool, Coerce]] | None = []
        for node in operation.variable_definitions or ():
            signature = get_variable_signature(schema, node)
            if isinstance(signature, GraphQLError):
                self._parts = None
                return
            may_be_left_out = node.default_value is None and not is_non_null_type(signature.type)
            self._parts.append((signature, may_be_left_out, coercions.of(signature.type)))

    def values(self, given: Mapping[str, Any]) -> VariableValues | None:
        """What a plan runs with. None where graphql-core is to be asked: a value does not fit, or a default applies."""
        if self._parts is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        try:
            for signature, may_be_left_out, coerce in self._parts:
                name = signature.name
                if name in given:
                    value = given[name]
                    sources[name] = VariableValueSource(signature, value)
                    coerced[name] = coerce(value)
                elif may_be_left_out:
                    sources[name] = VariableValueSource(signature)
                else:
                    return None
        except Exception:  # Unfit, or what scalars raise: graphql-core says what is wrong
            return None
        return VariableValues(sources, coerced)
