"""Texts of operations: parsed, validated and measured once, kept in a bounded cache."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    validate,
)

from settings import Settings

CACHED_LENGTH = 500_000  # characters of all texts together; a tree takes about a hundred times its text


@dataclass(frozen=True, slots=True)
class Document:
    """A text: its tree, or what is wrong with it."""

    tree: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation to run. None when the name does not say which."""
        assert self.tree is not None
        operations = [d for d in self.tree.definitions if isinstance(d, OperationDefinitionNode)]
        if name is None:
            return operations[0] if len(operations) == 1 else None
        return next((d for d in operations if d.name and d.name.value == name), None)


class Documents:
    """All texts seen lately."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._length = 0

    def get(self, text: str) -> Document:
        document = self._known.get(text)
        if document is None:
            document = self._read(text)
            if not document.errors:
                self._keep(text, document)
        else:
            self._known.move_to_end(text)
        return document

    def _keep(self, text: str, document: Document) -> None:
        self._known[text] = document
        self._length += len(text)
        while self._length > CACHED_LENGTH:
            forgotten, _ = self._known.popitem(last=False)
            self._length -= len(forgotten)

    def _read(self, text: str) -> Document:
        try:
            tree = parse(text, max_tokens=self._settings.max_document_tokens)
            depth = measure_depth(tree, self._settings.max_document_depth)
        except GraphQLError as error:
            return Document(None, (error,))
        except RecursionError:
            return Document(None, (_too("nested too deeply", "GRAPHQL_PARSE_FAILED"),))
        if depth > self._settings.max_document_depth:
            limit = self._settings.max_document_depth
            return Document(None, (_too(f"nested deeper than {limit} fields", "GRAPHQL_VALIDATION_FAILED"),))
        errors = validate(self._schema, tree, max_errors=20)
        for invalid in errors:
            invalid.extensions = {**(invalid.extensions or {}), "code": "GRAPHQL_VALIDATION_FAILED"}
        return Document(None, tuple(errors)) if errors else Document(tree)


def _too(what: str, code: str) -> GraphQLError:
    return GraphQLError(f"The document is {what}.", extensions={"code": code})


def measure_depth(tree: DocumentNode, limit: int) -> int:
    """The deepest field, fragments followed. Each fragment is measured once, so the time is linear; a spread within
    itself counts as too deep."""
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
    measured: dict[str, int] = {}
    too_deep = limit + 1

    def of_fragment(name: str) -> int:
        if name not in measured:
            measured[name] = too_deep  # until it is known: a cycle
            fragment = fragments.get(name)
            measured[name] = of_selections(fragment.selection_set) if fragment else 0
        return measured[name]

    def of_selections(selections: SelectionSetNode | None) -> int:
        deepest = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                depth = 1 + of_selections(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                depth = of_fragment(selection.name.value)
            else:
                depth = of_selections(selection.selection_set)  # type: ignore[attr-defined]
            deepest = max(deepest, depth)
        return deepest

    operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
    return max((of_selections(operation.selection_set) for operation in operations), default=0)
