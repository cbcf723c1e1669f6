"""Converts coerced GraphQL values into the arguments of resolvers, with the same results as Strawberry's conversion.

The converters are built once per field; Strawberry inspects the type of every value again for each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any

import strawberry
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.lazy_type import LazyType

Convert = Callable[[Any], Any]


def _made(make: Convert | None, value: Any) -> Any:
    return value if make is None or value is None else make(value)


class Arguments:
    """Converters for the resolvers of one schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._scalars = schema.schema_converter.scalar_registry
        self._config = schema.config
        self._inputs: dict[type, Convert] = {}

    def converter(self, arguments: Sequence[StrawberryArgument]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """A function from coerced values by GraphQL name to a resolver's arguments. Missing values are left out."""
        name_of = self._config.name_converter.from_argument
        parts = [(name_of(each), each.python_name, self._of(each.type)) for each in arguments]

        def convert(given: Mapping[str, Any]) -> dict[str, Any]:
            return {python_name: _made(make, given[name]) for name, python_name, make in parts if name in given}

        return convert

    def _of(self, type_: Any) -> Convert | None:
        """The conversion of a coerced value that is not null; None if the value can be used unchanged."""
        if isinstance(type_, StrawberryOptional) and not isinstance(type_, StrawberryMaybe):
            return self._of(type_.of_type)
        if isinstance(type_, LazyType):
            return self._of(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            item = self._of(type_.of_type)
            if item is None:
                return list  # a copy: all requests share a default value
            return lambda values: [None if value is None else item(value) for value in values]
        if isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return None
        if is_scalar(type_, self._scalars) and type_ is not GlobalID:
            return None
        if has_object_definition(type_) and type_.__strawberry_definition__.from_input is None:
            return self._of_input(type_)
        raise TypeError(f"no conversion for arguments of the type {type_}")

    def _of_input(self, type_: Any) -> Convert:
        known = self._inputs.get(type_)
        if known is not None:
            return known
        definition = type_.__strawberry_definition__
        fields = definition.fields
        # Nullable fields may be omitted even if Python declares no default.
        missing = {f.python_name: None for f in fields if f.default_value is MISSING and f.default_factory is MISSING}
        parts: list[tuple[str, str, Convert | None]] = []

        def convert(given: Mapping[str, Any]) -> Any:
            values: dict[str, Any] = dict(missing)
            for name, python_name, make in parts:
                if name in given:
                    values[python_name] = _made(make, given[name])
            return type_(**values)

        self._inputs[type_] = convert  # before its fields are converted: the type may be recursive
        for each in fields:
            name = self._config.name_converter.from_field(each)
            parts.append((name, each.python_name, self._of(each.resolve_type(type_definition=definition))))
        return convert
