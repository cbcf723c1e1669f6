"""Coerces variables, with the same results as graphql-core.

The functions are built once per type; graphql-core inspects the type of every value again for each request.
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


class CoercionError(Exception):
    """The value is not of its type, or coercing it is left to graphql-core."""


class Coercions:
    """Coercions for the input types of one schema."""

    def __init__(self) -> None:
        self._known: dict[int, Coerce] = {}
        self._types: list[Any] = []  # keeps them alive, so that their ids stay unique

    def of(self, type_: Any) -> Coerce:
        """The function that coerces values of this type. It raises CoercionError, or what a scalar raises."""
        if is_non_null_type(type_):
            coerce = self._nullable(type_.of_type)
            return lambda value: _refused() if value is None else coerce(value)
        coerce = self._nullable(type_)
        return lambda value: None if value is None else coerce(value)

    def _nullable(self, type_: Any) -> Coerce:
        """The coercion of values that are not null."""
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
                raise CoercionError
            found: dict[str, Any] = {}
            for name, out_name, field, is_required, coerce_field in parts:
                if name in value:
                    found[out_name] = coerce_field(value[name])
                elif is_required:
                    raise CoercionError
                elif (default := coerce_default_value(field)) is not Undefined:
                    found[out_name] = default
            return type_.out_type(found)

        self._known[id(type_)] = coerce  # before its fields are coerced: the type may be recursive
        self._types.append(type_)
        for name, field in type_.fields.items():
            parts.append((name, field.out_name or name, field, is_required_input_field(field), self.of(field.type)))
        return coerce


def _refused() -> Any:
    raise CoercionError


class Variables:
    """Coerces the variables of one operation."""

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
        """The coerced values. None if graphql-core has to coerce them: a value is invalid, or a default applies."""
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
        except Exception:  # CoercionError, or what scalars raise: graphql-core reports the error
            return None
        return VariableValues(sources, coerced)
