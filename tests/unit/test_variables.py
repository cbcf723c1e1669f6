"""Variables are coerced as graphql-core coerces them, or left to it, for every type that an argument has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    parse,
)
from graphql.execution.values import VariableValues, get_variable_values

from engine.variables import Coercions, Variables
from schema.schema import build

CORE = build()._schema
TYPES = sorted(
    {
        str(argument.type)
        for type_ in CORE.type_map.values()
        for field in getattr(type_, "fields", {}).values()
        for argument in getattr(field, "args", {}).values()
    }
)
SCALARS = {
    "Int": 3,
    "Float": 1.5,
    "Boolean": True,
    "Date": "2026-01-31",
    "DateTime": "2026-01-31T12:00:00Z",
    "Decimal": "1.50",
    "JSON": {"a": [1]},
}
WRONG = (None, 1, 1.5, "no such thing", True, [], [None], {}, {"unknown": 1})


def operation(text: str) -> OperationDefinitionNode:
    (found,) = parse(text).definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def right(type_: Any, *, whole: bool) -> Any:
    """A value of the type; with `whole` nothing that may be left out is."""
    nullable = get_nullable_type(type_)
    if is_list_type(nullable):
        return [right(nullable.of_type, whole=whole), right(nullable.of_type, whole=True)]
    named = get_named_type(nullable)
    if isinstance(named, GraphQLInputObjectType):
        fields = named.fields.items()
        wanted = {name: each for name, each in fields if whole or each.type is not get_nullable_type(each.type)}
        return {name: right(each.type, whole=whole) for name, each in wanted.items()}
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    return SCALARS.get(named.name, "text")


def changed(value: Any) -> Iterator[Any]:
    """The value with something else at each place of it, and with each member left out."""
    yield from WRONG
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {key: each for key, each in value.items() if key != name}
            for other in changed(inner):
                yield {**value, name: other}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            for other in changed(inner):
                yield [*value[:place], other, *value[place + 1 :]]


def compare(node: OperationDefinitionNode, given: dict[str, Any]) -> bool:
    """Whether the values were coerced here; they are as graphql-core's then."""
    expected = get_variable_values(CORE, node.variable_definitions or (), given)
    found = Variables(CORE, Coercions(), node).values(given)
    if found is None:
        return False
    assert isinstance(expected, VariableValues), f"{given}: {expected}"
    assert found.coerced == expected.coerced
    assert {name: source.value for name, source in found.sources.items()} == {
        name: source.value for name, source in expected.sources.items()
    }
    return True


@pytest.mark.parametrize("name", TYPES)
def test_values_are_those_of_graphql_core(name: str) -> None:
    node = operation(f"query ($v: {name}) {{ __typename }}")
    type_: Any = next(
        argument.type
        for each in CORE.type_map.values()
        for field in getattr(each, "fields", {}).values()
        for argument in getattr(field, "args", {}).values()
        if str(argument.type) == name
    )
    assert compare(node, {"v": right(type_, whole=True)})
    assert compare(node, {"v": right(type_, whole=False)})
    for value in changed(right(type_, whole=True)):
        compare(node, {"v": value})
    assert compare(node, {}) == (type_ is get_nullable_type(type_))


def test_a_default_is_left_to_graphql_core() -> None:
    node = operation("query ($n: Int = 3) { __typename }")
    assert not compare(node, {})
    assert compare(node, {"n": 4})
    assert compare(node, {"n": None})


def test_variables_that_are_not_declared_are_nobodys() -> None:
    assert compare(operation("query ($n: Int) { __typename }"), {"m": 1})
