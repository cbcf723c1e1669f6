"""The public schema: the contract is in it, everything is described, and the committed file says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    build_schema,
    lexicographic_sort_schema,
    parse,
    print_schema,
    validate,
)

from schema.schema import build

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT.parent / "shared" / "contract.graphql"

FIELDS = (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)


@pytest.fixture(scope="module")
def exported() -> GraphQLSchema:
    return build_schema(build().as_str())


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    if not CONTRACT.exists():
        pytest.skip("the contract (../shared/contract.graphql) is not beside the repository")
    return build_schema(CONTRACT.read_text())


def own_types(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    builtin = {"String", "Int", "Float", "Boolean", "ID"}
    return [t for name, t in schema.type_map.items() if not name.startswith("__") and name not in builtin]


def default_of(argument: Any) -> Any:
    """Comparable, as a value or as graphql-core's literal; a default of null is none."""
    if argument.default_value is not Undefined and argument.default_value is not None:
        return str(getattr(argument.default_value, "value", argument.default_value))
    literal = getattr(getattr(argument, "default", None), "literal", None)
    return None if literal is None or literal.kind == "null_value" else str(literal.value)


def field_facts(schema: GraphQLSchema) -> set[tuple[str, ...]]:
    """Every field, argument, default, enum value and interface as comparable facts."""
    facts: set[tuple[str, ...]] = set()
    for named in own_types(schema):
        facts.add(("type", named.name, type(named).__name__))
        if isinstance(named, GraphQLEnumType):
            facts |= {("enum value", named.name, value) for value in named.values}
        if isinstance(named, GraphQLObjectType):
            facts |= {("implements", named.name, interface.name) for interface in named.interfaces}
        if isinstance(named, FIELDS):
            for name, field in named.fields.items():
                facts.add(("field", f"{named.name}.{name}", str(field.type)))
                if isinstance(named, GraphQLInputObjectType):
                    facts.add(("default", f"{named.name}.{name}", str(default_of(field))))
                    continue
                for argument_name, argument in field.args.items():
                    path = f"{named.name}.{name}({argument_name})"
                    facts.add(("argument", path, str(argument.type)))
                    facts.add(("default", path, str(default_of(argument))))
    return facts


def test_everything_of_the_contract_is_there(exported: GraphQLSchema, contract: GraphQLSchema) -> None:
    missing = field_facts(contract) - field_facts(exported)
    assert not missing, "\n".join(" ".join(fact) for fact in sorted(missing))


def test_defaults_of_the_contract_are_compared_at_all(contract: GraphQLSchema) -> None:
    defaults = {path: value for kind, path, value in field_facts(contract) if kind == "default"}
    assert defaults["ProductFilter.currencyCode"] == "GBP"
    assert defaults["Product.similar(first)"] == "10"
    assert defaults["Query.products(orderBy)"] == "NEWEST"
    assert defaults["Query.products(first)"] == "None"
    assert defaults["ProductInput.inStock"].lower() == "true"


def test_nothing_more_is_required_of_clients_than_the_contract_says(
    exported: GraphQLSchema, contract: GraphQLSchema
) -> None:
    """A further argument or input field must be optional."""
    known = {fact[:2] for fact in field_facts(contract)}
    names = {name for _, name in known}
    more = [
        fact
        for fact in field_facts(exported) - field_facts(contract)
        if fact[0] == "argument" and fact[2].endswith("!") and fact[1].partition("(")[0] in names
    ]
    for named in own_types(exported):
        if isinstance(named, GraphQLInputObjectType) and named.name in contract.type_map:
            more += [
                ("input field", f"{named.name}.{name}", str(field.type))
                for name, field in named.fields.items()
                if str(field.type).endswith("!")
                and default_of(field) is None
                and ("field", f"{named.name}.{name}") not in known
            ]
    assert not more


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
    assert nullable == ["UserError.field"]  # null where no input is at fault, as the contract has it


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
