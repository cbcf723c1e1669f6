"""The generator itself: what it makes is valid, varied, and the same for the same seed."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, parse, validate

from tests.differential.documents import Document, queries
from tests.differential.mutations import OF_ADMINISTRATORS, WEIGHTS, mutations
from tests.differential.stage import Stage

COUNT = 600
SEED = 99
# What GraphQL allows in a document, as it shows in the text.
FEATURES = {
    "a named fragment": r"fragment \w+ on ",
    "a fragment spread twice": r"\.\.\.(Q\d_\d+)\b(?=[\s\S]*\.\.\.\1\b)",
    "an inline fragment with a condition": r"\.\.\. on \w+",
    "an inline fragment without one": r"\.\.\.( @[^{]*)? \{",
    "an interface as the condition": r"\.\.\. on Node",
    "@include by a literal": r"@include\(if: (true|false)\)",
    "@skip by a variable": r"@skip\(if: \$",
    "both directives": r"@include\([^)]*\) @skip",
    "an alias": r"\w+_\d: \w+",
    "__typename under another name": r"kind_: __typename",
    "a default of a variable": r"\$\w+: \w+!? = ",
    "a variable within an object": r"\{[^{}]*: \$",
    "a variable within a list": r"\[[^\]]*\$",
    "null as a literal": r": null",
    "several operations": r"query Q1",
    "a block text": '"""',
    "a comment": r"# ",
}

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def documents(stage: Stage) -> list[Document]:
    return list(queries(stage.pair.schema, stage.world, SEED, COUNT))


async def test_a_document_that_is_meant_to_be_valid_is(stage: Stage, documents: list[Document]) -> None:
    written = mutations(stage.pair.schema, stage.world, SEED, COUNT // 2)
    for document in [*documents, *written]:
        if document.is_valid:
            assert validate(stage.pair.schema, parse(document.text)) == [], document.text


async def test_a_seed_makes_the_same_documents_again(stage: Stage, documents: list[Document]) -> None:
    assert list(queries(stage.pair.schema, stage.world, SEED, COUNT)) == documents
    assert list(queries(stage.pair.schema, stage.world, SEED + 1, COUNT)) != documents


@pytest.mark.parametrize("feature", FEATURES)
async def test_what_graphql_allows_occurs(documents: list[Document], feature: str) -> None:
    assert any(re.search(FEATURES[feature], document.text) for document in documents)


async def test_every_field_of_a_query_is_asked_for(stage: Stage) -> None:
    text = "\n".join(document.text for document in queries(stage.pair.schema, stage.world, SEED, 40 * COUNT))
    asked = set(re.findall(r"\w+", text))
    mutation_only = re.compile(r"(Payload|Result|Mutation|Subscription)$")
    for type_ in stage.pair.schema.type_map.values():
        if (
            isinstance(type_, GraphQLObjectType)
            and not type_.name.startswith("__")
            and not mutation_only.search(type_.name)
        ):
            assert set(type_.fields) <= asked | {"userErrors", "field", "message"}, type_.name


async def test_every_mutation_is_written_or_left_out_for_a_reason(stage: Stage) -> None:
    mutation = stage.pair.schema.mutation_type
    assert mutation is not None
    secrets = re.compile(r"(?i)sign|password|email|totp|recovery|session|role|exportMyData")
    written = WEIGHTS.keys() | OF_ADMINISTRATORS.keys()
    assert written <= mutation.fields.keys()
    assert all(name in written or secrets.search(name) for name in mutation.fields)
