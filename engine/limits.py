"""Limits on the size of a document, checked right after parsing, because validation and execution take time that grows
with it.

Fields and aliases are counted with fragments expanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from plan.walker import Fragments, Walker, fragments_of, selections_within
from settings import Settings

# Comparing fields of the same name is quadratic: this makes graphql-core give up after tens of milliseconds.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000
# An answer repeats an alias for each object, and its cost does not depend on the length.
MAX_ALIAS_LENGTH = 100


def check(tree: DocumentNode, settings: Settings) -> None:
    """Raises GraphQLError for a document that exceeds a limit of the settings."""
    operations = [each for each in tree.definitions if isinstance(each, OperationDefinitionNode)]
    if measure_depth(tree, settings.max_document_depth) > settings.max_document_depth:
        raise document_error(f"nested deeper than {settings.max_document_depth} fields")
    _limit("operations", len(operations), settings.max_document_operations)
    _check_directives(tree, settings)
    fragments = fragments_of(tree)
    roots: Walker[None, int] = Walker(fragments, lambda node, _: 1, sum, cyclic=0)
    for operation in operations:
        fields, aliases = measure_size(operation, fragments)
        _limit("fields", fields, settings.max_document_fields)
        _limit("aliases", aliases, settings.max_document_aliases)
        _limit("root fields", roots.fold(operation.selection_set, None), settings.max_root_fields)
        _limit("searches and facets", measure_searches(operation, fragments), settings.max_searches)


def measure_size(operation: OperationDefinitionNode, fragments: Fragments) -> tuple[int, int]:
    """The numbers of fields and aliases of an operation, fragments expanded. Raises GraphQLError for a long alias."""

    def of_field(node: FieldNode, state: None) -> tuple[int, int]:
        if node.alias is not None and len(node.alias.value) > MAX_ALIAS_LENGTH:
            raise document_error(f"invalid: an alias is longer than {MAX_ALIAS_LENGTH} characters")
        return _added([(1, int(node.alias is not None)), walker.fold(node.selection_set, None)])

    walker: Walker[None, tuple[int, int]] = Walker(fragments, of_field, _added, cyclic=(0, 0))
    return walker.fold(operation.selection_set, None)


def measure_searches(operation: OperationDefinitionNode, fragments: Fragments) -> int:
    """How many root fields have a `search`, and facets of `productFacets`: each may read the whole catalogue."""

    def of_facet(node: FieldNode, state: None) -> int:
        return int(not node.name.value.startswith("__"))

    def of_root(node: FieldNode, state: None) -> int:
        if node.name.value == "productFacets":
            return facets.fold(node.selection_set, None)
        return int(any(argument.name.value == "search" for argument in node.arguments or ()))

    facets: Walker[None, int] = Walker(fragments, of_facet, sum, cyclic=0)
    roots: Walker[None, int] = Walker(fragments, of_root, sum, cyclic=0)
    return roots.fold(operation.selection_set, None)


def measure_depth(tree: DocumentNode, limit: int) -> int:
    """The depth of the deepest field of any operation, fragments expanded; a recursive fragment exceeds the limit."""

    def of_field(node: FieldNode, state: None) -> int:
        return 1 + walker.fold(node.selection_set, None)

    walker: Walker[None, int] = Walker(
        fragments_of(tree), of_field, lambda depths: max(depths, default=0), cyclic=limit + 1
    )
    operations = (each for each in tree.definitions if isinstance(each, OperationDefinitionNode))
    return max((walker.fold(operation.selection_set, None) for operation in operations), default=0)


def document_error(what: str, code: str = "GRAPHQL_VALIDATION_FAILED") -> GraphQLError:
    """The error for a document that exceeds a limit."""
    return GraphQLError(f"The document is {what}.", extensions={"code": code})


def _limit(what: str, count: int, maximum: int) -> None:
    if count > maximum:
        raise GraphQLError(
            f"The document has more than {maximum} {what}.", extensions={"code": "GRAPHQL_VALIDATION_FAILED"}
        )


def _added(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The sums of the numbers of fields and aliases."""
    fields = aliases = 0
    for more_fields, more_aliases in sizes:
        fields += more_fields
        aliases += more_aliases
    return fields, aliases


def _check_directives(tree: DocumentNode, settings: Settings) -> None:
    total = 0
    for count in _directives(tree):
        _limit("directives in one place", count, settings.max_node_directives)
        total += count
    _limit("directives", total, settings.max_document_directives)


def _directives(tree: DocumentNode) -> Iterator[int]:
    """The number of directives at each location of the document."""
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            yield len(definition.directives or ())
            for variable in definition.variable_definitions or ():
                yield len(variable.directives or ())
            for selection in selections_within(definition.selection_set):
                yield len(selection.directives or ())
