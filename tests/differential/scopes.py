"""What an operation holds so far: the fields of each place in the answer, and what was declared for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLField


@dataclass
class Scope:
    """What stands in one place of the answer so far, by response key. The same key may come again, in a fragment too:
    as the same call, with the selections below it in the same scope."""

    chosen: dict[str, Chosen] = field(default_factory=dict)

    def takes(self, other: Scope) -> bool:
        """Whether the other's selections may be added here."""
        return all(
            key not in self.chosen or (self.chosen[key].is_like(new) and self.chosen[key].below.takes(new.below))
            for key, new in other.chosen.items()
        )

    def add(self, other: Scope) -> None:
        for key, new in other.chosen.items():
            known = self.chosen.setdefault(key, Chosen(new.call, new.field, new.page))
            known.below.add(new.below)


@dataclass
class Chosen:
    """A field with its arguments, as it was written. `page` is the size of the connection that it may be."""

    call: str
    field: GraphQLField
    page: int
    below: Scope = field(default_factory=Scope)

    def is_like(self, other: Chosen) -> bool:
        return self.call == other.call and str(self.field.type) == str(other.field.type)


@dataclass(frozen=True)
class Fragment:
    name: str
    condition: str
    text: str
    scope: Scope
    page: int
    objects: float  # for each object that it is spread on


@dataclass
class Used:
    """What the text so far has declared; `purposes` finds a variable that may serve again."""

    declared: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    purposes: dict[tuple[str, str], str] = field(default_factory=dict)
    fragments: list[Fragment] = field(default_factory=list)

    def copy(self) -> Used:
        return Used(
            dict(self.declared), dict(self.variables), dict(self.types), dict(self.purposes), list(self.fragments)
        )
