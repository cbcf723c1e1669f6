"""Parses and validates each document once in a process: every test has a service of its own, and most send the same."""

from __future__ import annotations

import functools
from typing import Any

import graphql
from graphql import DocumentNode, GraphQLError, GraphQLSchema

MAX_DOCUMENTS = 500
MAX_CHARACTERS = 20_000  # longer ones are sent by tests that measure memory

_parse = functools.lru_cache(MAX_DOCUMENTS)(graphql.parse)
# By the ids of schema, document and rules. The first two are held, so that no other object gets their ids.
_valid: dict[tuple[int, ...], tuple[DocumentNode, GraphQLSchema]] = {}


def parse(text: str, *, max_tokens: int) -> DocumentNode:
    """As graphql.parse."""
    return (_parse if len(text) <= MAX_CHARACTERS else graphql.parse)(text, max_tokens=max_tokens)


def validate(
    schema: GraphQLSchema, tree: DocumentNode, rules: Any, *, max_errors: int, hide_suggestions: bool
) -> list[GraphQLError]:
    """As graphql.validate. Remembers valid documents only: callers change errors."""
    key = (id(schema), id(tree), *map(id, rules))
    if key in _valid:
        return []
    errors = graphql.validate(schema, tree, rules, max_errors=max_errors, hide_suggestions=hide_suggestions)
    if not errors and tree.loc is not None and tree.loc.end <= MAX_CHARACTERS:
        _valid[key] = tree, schema
        if len(_valid) > MAX_DOCUMENTS:
            del _valid[next(iter(_valid))]
    return errors
