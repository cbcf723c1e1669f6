"""The traversal of a whole document, by which engine/ measures and checks it: callers provide the value of a field,
this module follows nested selections and fragments. Plans collect fields by type and condition: plan/selections.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    NamedTypeNode,
    SelectionNode,
    SelectionSetNode,
)

State = TypeVar("State", bound=Hashable)
Value = TypeVar("Value")

Fragments = Mapping[str, FragmentDefinitionNode]


def fragments_of(tree: DocumentNode) -> Fragments:
    """The fragments of a document by name."""
    return {each.name.value: each for each in tree.definitions if isinstance(each, FragmentDefinitionNode)}


class Walker(Generic[State, Value]):
    """Folds selections into a single value, expanding fragments.

    `of_field(node, state)` is the value of a field; it calls `fold` for the selections below. `combine` reduces the
    values of a selection set to one. `cyclic` is the value of a recursive fragment: validation refuses these, but some
    traversals run before it. A missing fragment counts as empty. `narrow(state, condition)` is the state within a
    fragment on a type; `includes(selection)` filters selections.

    A fragment is folded once for each state it is spread under, so the time is linear in the size of the document.
    """

    def __init__(
        self,
        fragments: Fragments,
        of_field: Callable[[FieldNode, State], Value],
        combine: Callable[[Iterable[Value]], Value],
        *,
        cyclic: Value,
        narrow: Callable[[State, NamedTypeNode], State] | None = None,
        includes: Callable[[SelectionNode], bool] | None = None,
    ) -> None:
        self._fragments = fragments
        self._of_field = of_field
        self._combine = combine
        self._cyclic = cyclic
        self._narrow = narrow
        self._includes = includes
        self._folded: dict[tuple[str, State], Value] = {}

    def fold(self, selections: SelectionSetNode | None, state: State) -> Value:
        """The value of a selection set; None counts as an empty one."""
        values = []
        for selection in selections.selections if selections is not None else ():
            if self._includes is not None and not self._includes(selection):
                continue
            if isinstance(selection, FieldNode):
                values.append(self._of_field(selection, state))
            elif isinstance(selection, FragmentSpreadNode):
                values.append(self._of_fragment(selection.name.value, state))
            else:
                values.append(self._within(selection, state))
        return self._combine(values)

    def _of_fragment(self, name: str, state: State) -> Value:
        key = (name, state)
        if key not in self._folded:
            self._folded[key] = self._cyclic  # until it is known
            fragment = self._fragments.get(name)
            self._folded[key] = self.fold(None, state) if fragment is None else self._within(fragment, state)
        return self._folded[key]

    def _within(self, fragment: SelectionNode | FragmentDefinitionNode, state: State) -> Value:
        condition: NamedTypeNode | None = getattr(fragment, "type_condition", None)
        if condition is not None and self._narrow is not None:
            state = self._narrow(state, condition)
        return self.fold(getattr(fragment, "selection_set", None), state)


def selections_within(selections: SelectionSetNode, fragments: Fragments | None = None) -> Iterator[SelectionNode]:
    """Every selection at any depth, once; with `fragments`, also those of the fragments that are spread there."""
    waiting = list(selections.selections)
    followed: set[str] = set()
    while waiting:
        node = waiting.pop()
        yield node
        below: SelectionSetNode | None = getattr(node, "selection_set", None)
        if fragments is not None and isinstance(node, FragmentSpreadNode) and node.name.value not in followed:
            followed.add(node.name.value)
            below = fragments[node.name.value].selection_set
        if below is not None:
            waiting.extend(below.selections)
