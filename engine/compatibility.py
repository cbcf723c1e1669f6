"""Compares schemas: which changes break clients that were written for an earlier one."""

from __future__ import annotations

import msgspec
from graphql import GraphQLError, build_schema, find_breaking_changes, find_dangerous_changes

from schema.schema import build


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """`is_breaking`: operations that were valid are refused, or return what their clients do not expect. Otherwise the
    change is dangerous: clients that are not prepared for it may fail."""

    is_breaking: bool
    kind: str
    description: str


def changes_since(old: str) -> list[Change]:
    """Changes from an earlier schema, in SDL, to the one of this code, breaking ones first. Raises ValueError if the
    text is not a schema."""
    try:
        before = build_schema(old)
    except (GraphQLError, TypeError) as error:
        raise ValueError(f"not a GraphQL schema: {str(error).splitlines()[0]}") from None
    now = build_schema(build().as_str())
    return [
        Change(is_breaking, change.type.name, change.description)
        for is_breaking, found in (
            (True, find_breaking_changes(before, now)),
            (False, find_dangerous_changes(before, now)),
        )
        for change in found
    ]
