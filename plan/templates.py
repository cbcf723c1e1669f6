"""Templates for the JSON of objects whose members are rendered one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from graphql import FieldNode, GraphQLObjectType

from plan.selections import Selections

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Template(Generic[P]):
    """`text % tuple(rendered parts)` is the object; constant members are part of `text`. GraphQL names need no
    escaping, neither in JSON nor for `%`."""

    text: str
    parts: Sequence[P]


def template(
    selections: Selections,
    type_: GraphQLObjectType,
    nodes: Sequence[FieldNode],
    part: Callable[[str, Sequence[FieldNode]], P],
) -> Template[P]:
    """The template for the selections of these nodes on an object type. `part` is called for each field but __typename,
    with its name and the nodes to merge. Raises what `part` raises."""
    return members(type_, selections.below(type_, nodes), part)


def members(
    type_: GraphQLObjectType,
    fields: dict[str, list[FieldNode]],
    part: Callable[[str, Sequence[FieldNode]], P],
) -> Template[P]:
    """Like `template`, for fields by response key."""
    pieces: list[str] = []
    parts: list[P] = []
    for key, merged in fields.items():
        name = merged[0].name.value
        if name == "__typename":
            pieces.append(f'"{key}":"{type_.name}"')
        else:
            pieces.append(f'"{key}":%s')
            parts.append(part(name, merged))
    return Template("{" + ",".join(pieces) + "}", parts)
