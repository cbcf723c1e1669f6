"""The smallest document on which two answers still differ, found by taking away one part after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from graphql import (
    REMOVE,
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    Node,
    ObjectFieldNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)

from tests.differential.documents import Document

MAX_TRIES = 600
_REMOVABLE = (
    OperationDefinitionNode,
    FieldNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ArgumentNode,
    ObjectFieldNode,
    DirectiveNode,
)


class _Without(Visitor):
    """Takes the part of this number away; `seen` is how many there are."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.seen = 0

    def enter(self, node: Node, *_: Any) -> Any:
        if isinstance(node, _REMOVABLE):
            self.seen += 1
            if self.seen == self.number:
                return REMOVE
        return None


class _Names(Visitor):
    """What is used: names of variables and of fragments."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments: set[str] = set()

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_: Any) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.fragments.add(node.name.value)


class _Unused(Visitor):
    """Takes definitions away that nothing uses."""

    def __init__(self, names: _Names) -> None:
        super().__init__()
        self.names = names

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> Any:
        return None if node.variable.name.value in self.names.variables else REMOVE

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> Any:
        return None if node.name.value in self.names.fragments else REMOVE


async def shrink(
    document: Document, schema: GraphQLSchema, still_differs: Callable[[Document], Awaitable[bool]]
) -> Document:
    """A document as small as can be found in MAX_TRIES. One that is refused as invalid stays as it is."""
    try:
        tree = parse(document.text)
    except GraphQLSyntaxError:
        return document
    if validate(schema, tree):
        return document
    tries, number = 0, 1
    while tries < MAX_TRIES:
        without = _Without(number)
        smaller = _tidy(visit(tree, without))
        if without.seen < number:
            break
        tries += 1
        candidate = replace(document, text=print_ast(smaller), variables=_used(smaller, document.variables))
        if smaller.definitions and not validate(schema, smaller) and await still_differs(candidate):
            tree, document = smaller, candidate
        else:
            number += 1
    return document


def _tidy(tree: DocumentNode) -> DocumentNode:
    """Without what nothing uses any more, and without what only that used."""
    while True:
        names = _Names()
        visit(tree, names)
        tidied = visit(tree, _Unused(names))
        if print_ast(tidied) == print_ast(tree):
            return tree
        tree = tidied


def _used(tree: DocumentNode, variables: dict[str, Any]) -> dict[str, Any]:
    names = _Names()
    visit(tree, names)
    return {name: value for name, value in variables.items() if name in names.variables}
