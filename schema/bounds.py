"""How many items a list without pages may hold. The field declares it, engine/cost.py counts with it, and a constraint
of the table or a limit of the query ensures it."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLField

_AT_MOST = "at_most"


def at_most(items: int) -> dict[str, Any]:
    """The metadata of a list field; for a field with `first`, its maximum."""
    return {_AT_MOST: items}


def declared(field: GraphQLField) -> int | None:
    """The bound that the field declares, or None."""
    definition = field.extensions.get("strawberry-definition")
    items: int | None = definition.metadata.get(_AT_MOST) if definition is not None else None
    return items
