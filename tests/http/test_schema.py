"""The public schema: clients of the last release are served, everything is described, and the committed file says the
same."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    lexicographic_sort_schema,
    parse,
    print_schema,
    validate,
)

from engine.compatibility import changes_since
from schema.schema import build

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "schema.released.graphql"

FIELDS = (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)


@pytest.fixture(scope="module")
def exported() -> GraphQLSchema:
    return build_schema(build().as_str())


def own_types(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    builtin = {"String", "Int", "Float", "Boolean", "ID"}
    return [t for name, t in schema.type_map.items() if not name.startswith("__") and name not in builtin]


def test_clients_of_the_last_release_are_served() -> None:
    """What is taken away is deprecated first. `make check` prints what is merely dangerous."""
    assert [change for change in changes_since(RELEASED.read_text()) if change.is_breaking] == []


def test_everything_has_a_description(exported: GraphQLSchema) -> None:
    bare: list[str] = []
    for named in own_types(exported):
        if not named.description:
            bare.append(named.name)
        if isinstance(named, GraphQLEnumType):
            bare += [f"{named.name}.{name}" for name, value in named.values.items() if not value.description]
        if isinstance(named, FIELDS):
            bare += [f"{named.name}.{name}" for name, field in named.fields.items() if not field.description]
        assert not isinstance(named, GraphQLUnionType)
    assert not bare, "\n".join(sorted(bare))


def test_lists_are_never_null(exported: GraphQLSchema) -> None:
    nullable = [
        f"{named.name}.{name}"
        for named in own_types(exported)
        if isinstance(named, GraphQLObjectType)
        for name, field in named.fields.items()
        if str(field.type).startswith("[") and not str(field.type).endswith("!")
    ]
    assert nullable == ["UserError.field"]  # null where no input is at fault


def test_every_mutation_payload_has_user_errors(exported: GraphQLSchema) -> None:
    assert exported.mutation_type is not None
    for name, field in exported.mutation_type.fields.items():
        payload = exported.type_map[str(field.type).rstrip("!")]
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!", name


def test_the_committed_schema_is_the_exported_one() -> None:
    committed = ROOT / "schema.graphql"
    assert committed.exists(), "run `make schema`"
    assert committed.read_text() == build().as_str() + "\n", "schema.graphql is stale; run `make schema`"


def test_the_export_can_be_read_back(exported: GraphQLSchema) -> None:
    once = print_schema(lexicographic_sort_schema(exported))
    assert print_schema(lexicographic_sort_schema(build_schema(once))) == once


EXAMPLES = sorted((ROOT / "web" / "src" / "examples").glob("*.graphql"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_graphiql_are_valid(exported: GraphQLSchema, path: Path) -> None:
    assert validate(exported, parse(path.read_text())) == []


def test_there_are_examples() -> None:
    assert {"browse", "swipe", "quiz", "recommendations", "affiliate_link"} <= {path.stem for path in EXAMPLES}
