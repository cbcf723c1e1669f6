"""What a change of the schema does to operations that were written for an earlier one."""

from __future__ import annotations

import msgspec
from graphql import GraphQLError, build_schema, find_breaking_changes, find_dangerous_changes

from schema.schema import build


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """`is_breaking`: operations that were valid are refused, or answer what their clients do not expect. Otherwise it
    is dangerous: clients that do not reckon with it may fail."""

    is_breaking: bool
    kind: str
    description: str


def changes_since(old: str) -> list[Change]:
    """From an earlier schema in GraphQL's own language to the one of this code, breaking ones first. Raises ValueError
    where the text is no schema."""
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
