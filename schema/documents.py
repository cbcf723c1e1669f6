"""Texts of operations: parsed, validated and measured once, kept in a bounded cache."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    specified_rules,
    validate,
)

from plan.fields import Fields
from plan.operations import OperationPlans
from schema import limits
from schema.caching import is_public
from schema.cost import Cost, CostCounter
from schema.root_fields import root_fields, surcharge
from schema.variables import Coercions, Variables
from settings import Settings

KEPT_REFUSED = 500  # texts that do not fit, with up to twenty errors each
_NUMBER_TOO_LONG = re.compile(r", but encountered error 'Exceeds the limit[^']*'; found")  # Python's words, not ours
CACHED_LENGTH = 500_000  # characters of all texts together; a tree takes about a hundred times its text


class Operation:
    """An operation of a document, with what is worked out once for all its requests."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fields: Fields,
        coercions: Coercions,
        tree: DocumentNode,
        node: OperationDefinitionNode,
    ) -> None:
        fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
        self.node = node
        self.variables = Variables(schema, coercions, node)
        self.plans = OperationPlans(schema, fields, node, fragments)
        self.is_public = is_public(schema, fragments, node)
        self.root_fields = root_fields(node, fragments)
        self.is_introspection = {"__schema", "__type", "__typename"}.issuperset(self.root_fields.values())
        self._surcharge = surcharge(node, fragments)
        self._counter = CostCounter(schema, fragments, node)

    def price(self, variables: Mapping[str, Any]) -> int:
        """What a request is charged against rate limits: 1, its cost, and what some of its fields cost more."""
        return 1 + self.cost(variables).values + self._surcharge

    def cost(self, variables: Mapping[str, Any]) -> Cost:
        """The most that an answer may hold."""
        return self._counter.count(variables)


@dataclass(slots=True)
class Document:
    """A text: its operations by name, or what is wrong with it. `requests` counts those that ran one of them."""

    tree: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: Mapping[str | None, Operation] = field(default_factory=dict)
    requests: int = 0

    def operation(self, name: str | None) -> Operation | None:
        """The operation to run. None when the name does not say which."""
        if name is None:
            return next(iter(self.operations.values())) if len(self.operations) == 1 else None
        return self.operations.get(name)


class Documents:
    """All texts seen lately."""

    def __init__(self, schema: GraphQLSchema, fields: Fields, settings: Settings) -> None:
        self._schema = schema
        self._fields = fields
        self._coercions = Coercions()
        self._settings = settings
        self._rules = [*specified_rules, *(() if settings.introspection else (NoSchemaIntrospectionCustomRule,))]
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._length = 0
        self._refused: OrderedDict[bytes, Document] = OrderedDict()

    def known(self, text: str) -> Document | None:
        """The document of a text that need not be read again."""
        document = self._known.get(text)
        if document is None:
            return self._refused.get(_digest(text))
        self._known.move_to_end(text)
        return document

    def get(self, text: str) -> Document:
        """The document of a text. One that is refused is remembered too, by its errors alone."""
        document = self.known(text)
        if document is None:
            document = self._read(text)
            if not document.errors:
                self._keep(text, document)
            else:
                document = Document(None, tuple(map(_without_nodes, document.errors)))
                self._refused[_digest(text)] = document
                if len(self._refused) > KEPT_REFUSED:
                    self._refused.popitem(last=False)
        return document

    def _keep(self, text: str, document: Document) -> None:
        self._known[text] = document
        self._length += len(text)
        while self._length > CACHED_LENGTH:
            forgotten, _ = self._known.popitem(last=False)
            self._length -= len(forgotten)

    def _read(self, text: str) -> Document:
        settings = self._settings
        most = settings.max_document_bytes
        if len(text) > most or len(text.encode()) > most:
            return Document(None, (limits.too(f"longer than {most} bytes", "GRAPHQL_PARSE_FAILED"),))
        try:
            tree = parse(text, max_tokens=settings.max_document_tokens)
            if measure_depth(tree, settings.max_document_depth) > settings.max_document_depth:
                raise limits.too(f"nested deeper than {settings.max_document_depth} fields")
            limits.check(tree, settings)
            errors = validate(
                self._schema, tree, self._rules, max_errors=20, hide_suggestions=not settings.introspection
            )
        except GraphQLError as error:
            return Document(None, (error,))
        except RecursionError:
            return Document(None, (limits.too("nested too deeply", "GRAPHQL_PARSE_FAILED"),))
        for invalid in errors:
            invalid.message = _NUMBER_TOO_LONG.sub(", found", invalid.message)
            invalid.extensions = {**(invalid.extensions or {}), "code": "GRAPHQL_VALIDATION_FAILED"}
        if errors:
            return Document(None, tuple(errors))
        operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
        named = {
            d.name.value if d.name else None: Operation(self._schema, self._fields, self._coercions, tree, d)
            for d in operations
        }
        return Document(tree, operations=named)


def _without_nodes(error: GraphQLError) -> GraphQLError:
    """The same to a reader; its nodes would keep the whole tree."""
    if not error.nodes:
        return error
    bare = GraphQLError(error.message, extensions=error.extensions)
    bare.locations = error.locations
    return bare


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
