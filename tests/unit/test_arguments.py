"""Arguments are made as Strawberry makes them, for every field of the schema."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type, get_nullable_type, is_list_type
from strawberry.types.arguments import convert_arguments

from engine.arguments import Arguments
from schema.schema import build

SCHEMA = build()
TYPES = SCHEMA._schema.type_map.values()
FIELDS = [
    (f"{type_.name}.{name}", field)
    for type_ in TYPES
    if not type_.name.startswith("__")
    for name, field in getattr(type_, "fields", {}).items()
    if getattr(field, "args", {}) and field.extensions["strawberry-definition"].arguments
]
KINDS = ("whole", "with nulls", "bare")


def sample(type_: Any, kind: str) -> Any:
    """A coerced value, such as graphql-core hands out."""
    nullable = get_nullable_type(type_)
    if kind == "with nulls" and nullable is type_:
        return None
    if is_list_type(nullable):
        return [sample(nullable.of_type, kind), sample(nullable.of_type, "whole")]
    named = get_named_type(nullable)
    if isinstance(named, GraphQLInputObjectType):
        wanted = {
            name: each
            for name, each in named.fields.items()
            if kind != "bare" or each.type is not get_nullable_type(each.type)
        }
        return {name: sample(each.type, kind) for name, each in wanted.items()}
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values.values())).value
    return "a value"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[name for name, _ in FIELDS])
def test_arguments_are_those_of_strawberry(name: str, field: Any, kind: str) -> None:
    definition = field.extensions["strawberry-definition"]
    given = {key: sample(argument.type, kind) for key, argument in field.args.items()}
    expected = convert_arguments(
        given, definition.arguments, scalar_registry=SCHEMA.schema_converter.scalar_registry, config=SCHEMA.config
    )
    convert = Arguments(SCHEMA).converter(definition.arguments)
    assert convert(given) == expected
    assert convert({}) == {}


def test_a_list_is_nobody_elses() -> None:
    """Of a default there is one for all requests."""
    _, field = next(item for item in FIELDS if item[0] == "Query.nodes")
    ids = ["a"]
    made = Arguments(SCHEMA).converter(field.extensions["strawberry-definition"].arguments)({"ids": ids})
    assert made == {"ids": ["a"]}
    assert made["ids"] is not ids
