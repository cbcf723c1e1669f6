"""What a document may hold, counted right after it is parsed: validating and running take time that grows with it.

Fields and aliases are counted as they are answered, fragments followed; each fragment is counted once, so the time is
linear in the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableDefinitionNode,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from settings import Settings

# Comparing fields of the same name is quadratic; graphql-core gives up here, after a few hundredths of a second.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000


@dataclass(frozen=True, slots=True)
class _Size:
    """Of selections with all that is spread in them."""

    fields: int = 0
    aliases: int = 0

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.fields + other.fields, self.aliases + other.aliases)


def check(tree: DocumentNode, settings: Settings) -> None:
    """Raises GraphQLError for a document that holds more than the settings allow."""
    operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
    _limit("operations", len(operations), settings.max_document_operations)
    _check_directives(tree, settings)
    measure = _Measure({d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)})
    for operation in operations:
        size = measure.of(operation.selection_set)
        _limit("fields", size.fields, settings.max_document_fields)
        _limit("aliases", size.aliases, settings.max_document_aliases)
        _limit("root fields", measure.roots(operation.selection_set), settings.max_root_fields)


def too(what: str, code: str = "GRAPHQL_VALIDATION_FAILED") -> GraphQLError:
    """For a document that is more of something than is allowed."""
    return GraphQLError(f"The document is {what}.", extensions={"code": code})


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        raise GraphQLError(
            f"The document has more than {most} {what}.", extensions={"code": "GRAPHQL_VALIDATION_FAILED"}
        )


class _Measure:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._sizes: dict[str, _Size] = {}
        self._roots: dict[str, int] = {}

    def of(self, selections: SelectionSetNode | None) -> _Size:
        size = _Size()
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                size += _Size(1, selection.alias is not None) + self.of(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                size += self._of_fragment(selection.name.value)
            else:
                size += self.of(selection.selection_set)  # type: ignore[attr-defined]
        return size

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._sizes:
            self._sizes[name] = _Size()  # a cycle, which validation refuses
            fragment = self._fragments.get(name)
            self._sizes[name] = self.of(fragment.selection_set if fragment else None)
        return self._sizes[name]

    def roots(self, selections: SelectionSetNode) -> int:
        """Fields of the operation itself."""
        count = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                count += 1
            elif isinstance(selection, FragmentSpreadNode):
                count += self._roots_of_fragment(selection.name.value)
            else:
                count += self.roots(selection.selection_set)  # type: ignore[attr-defined]
        return count

    def _roots_of_fragment(self, name: str) -> int:
        if name not in self._roots:
            self._roots[name] = 0
            fragment = self._fragments.get(name)
            self._roots[name] = self.roots(fragment.selection_set) if fragment else 0
        return self._roots[name]


def _check_directives(tree: DocumentNode, settings: Settings) -> None:
    total = 0
    for count in _directives(tree):
        _limit("directives in one place", count, settings.max_node_directives)
        total += count
    _limit("directives", total, settings.max_document_directives)


def _directives(tree: DocumentNode) -> Iterator[int]:
    """How many directives each place of the document has."""
    waiting: list[SelectionNode | VariableDefinitionNode] = []
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            yield len(definition.directives or ())
            waiting.extend(definition.variable_definitions or ())
            waiting.extend(definition.selection_set.selections)
    while waiting:
        node = waiting.pop()
        yield len(node.directives or ())
        below: SelectionSetNode | None = getattr(node, "selection_set", None)
        if below is not None:
            waiting.extend(below.selections)
