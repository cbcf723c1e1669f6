"""How many items a list without pages may hold. A field says so itself; who fills the list keeps to it (a constraint of
the table, or a limit when it is read), and schema/cost.py counts it."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLField

_AT_MOST = "at_most"


def at_most(items: int) -> dict[str, Any]:
    """The metadata of a list field; of one with `first`, the most that `first` may say."""
    return {_AT_MOST: items}


def declared(field: GraphQLField) -> int | None:
    """What the field says; None where it says nothing."""
    definition = field.extensions.get("strawberry-definition")
    items: int | None = definition.metadata.get(_AT_MOST) if definition is not None else None
    return items
