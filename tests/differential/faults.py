"""Faults planted into the service with plans alone: each is one that a renderer or a compiler could have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLObjectType
from starlette.applications import Starlette

from tests.differential.apps import schema_of

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Fault:
    """`plant` breaks one service for good; `within` is how many documents may pass before it is found."""

    plant: Callable[[Starlette], None]
    within: int = 250


def _altering(coordinate: str, change: Change) -> Callable[[Starlette], None]:
    """A field whose value is changed on its way out. The schema belongs to this service alone."""
    type_name, _, field_name = coordinate.partition(".")

    def plant(app: Starlette) -> None:
        type_ = schema_of(app).get_type(type_name)
        assert isinstance(type_, GraphQLObjectType)
        field = type_.fields[field_name]
        resolve = field.resolve
        assert resolve is not None

        def altered(*args: Any, **kwargs: Any) -> Any:
            value = resolve(*args, **kwargs)
            return _later(value, change) if inspect.isawaitable(value) else change(value)

        field.resolve = altered

    return plant


async def _later(value: Any, change: Change) -> Any:
    return change(await value)


FAULTS = {
    "the last row of a page is lost": Fault(_altering("ProductConnection.nodes", lambda nodes: nodes[:-1])),
    "a null becomes an empty text": Fault(_altering("Product.description", lambda text: text or "")),
    "a backslash is not escaped": Fault(_altering("Product.name", lambda text: text.replace("\\", ""))),
    "an empty list becomes null": Fault(_altering("Product.tags", lambda tags: tags or None)),
    "the next page is not seen": Fault(_altering("PageInfo.hasNextPage", lambda has_next: False)),
    "rows come in another order": Fault(_altering("Product.similar", lambda found: found[::-1])),
    "money loses its last digit": Fault(_altering("Money.amount", lambda amount: round(amount, 1))),
    "a relation that is null fails": Fault(_altering("Product.brand", lambda brand: brand or {})),
}
