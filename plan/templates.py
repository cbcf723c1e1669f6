"""Templates: the JSON text of an object whose members are rendered one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from graphql import FieldNode, GraphQLObjectType

from plan.selections import Selections

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Template(Generic[P]):
    """`text % tuple(rendered parts)` is the object; members that are always the same stand in `text`. Names of GraphQL
    need no escaping, in JSON nor here."""

    text: str
    parts: Sequence[P]


def template(
    selections: Selections,
    type_: GraphQLObjectType,
    nodes: Sequence[FieldNode],
    part: Callable[[str, Sequence[FieldNode]], P],
) -> Template[P]:
    """The template of what these nodes select of an object type. `part` is called with the name of each field but
    __typename and the nodes to merge; raises what it raises."""
    return members(type_, selections.below(type_, nodes), part)


def members(
    type_: GraphQLObjectType,
    fields: dict[str, list[FieldNode]],
    part: Callable[[str, Sequence[FieldNode]], P],
) -> Template[P]:
    """As `template`, of fields by response key."""
    texts: list[str] = []
    parts: list[P] = []
    for key, merged in fields.items():
        name = merged[0].name.value
        if name == "__typename":
            texts.append(f'"{key}":"{type_.name}"')
        else:
            texts.append(f'"{key}":%s')
            parts.append(part(name, merged))
    return Template("{" + ",".join(texts) + "}", parts)
