"""Documents: parsed, validated and measured once, then kept in a bounded cache."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)

from db import metrics
from engine import limits
from engine.caching import public_of
from engine.cost import CostCounter
from engine.errors import MAX_LOCATIONS, code_of, shortened
from engine.limits import measure_size
from engine.root_fields import root_fields
from engine.variables import Coercions, Variables
from plan.fields import Fields
from plan.operations import OperationPlans
from plan.walker import fragments_of
from settings import Settings

CACHE_REFUSED = 100  # texts that do not fit, with up to twenty errors each, each of MAX_MESSAGE characters
_NUMBER_TOO_LONG = re.compile(r", but encountered error 'Exceeds the limit[^']*'; found")  # Python's words, not ours
# The maximum weight of all cached documents, in units of about a hundred bytes of memory. A character of a text weighs
# one, including its AST; a field of a plan weighs twenty, including the statements of its shapes.
CACHE_WEIGHT = 600_000
PLANNED_FIELD_WEIGHT = 20
FIELDS_COUNTED_FOR_A_VALUE = 10
MAX_NAMED = 500  # trusted documents that have a series of their own in metrics
MAX_NAME_LENGTH = 64


class Operation:
    """An operation of a document, with everything that all its requests share."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fields: Fields,
        coercions: Coercions,
        tree: DocumentNode,
        node: OperationDefinitionNode,
        label: str,
        digest: bytes,
    ) -> None:
        """`label`: its name in metrics; empty for one by its root field. `digest`: of its document."""
        fragments = fragments_of(tree)
        self.node = node
        self.variables = Variables(schema, coercions, node)
        size = measure_size(node, fragments)[0]
        self.plans = OperationPlans(schema, fields, node, fragments, size)
        self.has_failed_plan = False  # and a warning was logged
        self.public = public_of(schema, fragments, node)
        self.root_fields = root_fields(node, fragments)
        self.label = label or _label(self.root_fields)
        self.duration = metrics.duration_of(self.label)
        self.is_introspection = {"__schema", "__type", "__typename"}.issuperset(self.root_fields.values())
        self.digest = digest + (node.name.value.encode() if node.name else b"")
        self.costs = CostCounter(schema, fragments, node)
        self.charge_for_counting = 1 + size // FIELDS_COUNTED_FOR_A_VALUE  # charged before the cost is counted


@dataclass(slots=True)
class Document:
    """The operations of a document by name, or its errors. `requests` counts the requests that ran one of them."""

    tree: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: Mapping[str | None, Operation] = field(default_factory=dict)
    requests: int = 0

    @property
    def planned_fields(self) -> int:
        """Upper bound of the fields in its plans, over all variants: compiling them takes time and memory."""
        return sum(operation.plans.planned_fields for operation in self.operations.values())

    def operation(self, name: str | None) -> Operation | None:
        """The operation to run. None if the name does not identify one."""
        if name is None:
            return next(iter(self.operations.values())) if len(self.operations) == 1 else None
        return self.operations.get(name)


class Documents:
    """A bounded cache of documents."""

    def __init__(self, schema: GraphQLSchema, fields: Fields, settings: Settings) -> None:
        self._schema = schema
        self._fields = fields
        self._coercions = Coercions()
        self._settings = settings
        self._rules = [*specified_rules, *(() if settings.introspection else (NoSchemaIntrospectionCustomRule,))]
        self._trusted: frozenset[str] = frozenset()
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._weight = 0
        self._refused: OrderedDict[bytes, Document] = OrderedDict()

    def trust(self, texts: Iterable[str]) -> None:
        """Names operations of these documents in metrics by their own names, which are known to be few and harmless."""
        self._trusted = frozenset(itertools.islice(texts, MAX_NAMED))

    def known(self, text: str) -> Document | None:
        """The cached document of a text, or None."""
        document = self._known.get(text)
        if document is None:
            return self._refused.get(_digest(text))
        self._known.move_to_end(text)
        return document

    def get(self, text: str) -> Document:
        """The document of a text. Invalid documents are cached too, by a hash of the text and without the AST."""
        document = self.known(text)
        if document is None:
            document = self._read(text)
            if not document.errors:
                self._keep(text, document)
            else:
                document = Document(None, tuple(map(_without_nodes, document.errors)))
                self._refused[_digest(text)] = document
                if len(self._refused) > CACHE_REFUSED:
                    self._refused.popitem(last=False)
        return document

    def _keep(self, text: str, document: Document) -> None:
        self._known[text] = document
        self._weight += _weight(text, document)
        while self._weight > CACHE_WEIGHT and len(self._known) > 1:
            self._weight -= _weight(*self._known.popitem(last=False))

    def _read(self, text: str) -> Document:
        settings = self._settings
        limit = settings.max_document_bytes
        if len(text) > limit or len(text.encode()) > limit:
            return Document(None, (limits.document_error(f"longer than {limit} bytes", "GRAPHQL_PARSE_FAILED"),))
        try:
            tree = parse(text, max_tokens=settings.max_document_tokens)
            limits.check(tree, settings)
            errors = validate(
                self._schema, tree, self._rules, max_errors=20, hide_suggestions=not settings.introspection
            )
        except GraphQLError as error:
            return Document(None, (error,))
        except RecursionError:
            return Document(None, (limits.document_error("nested too deeply", "GRAPHQL_PARSE_FAILED"),))
        for invalid in errors:
            invalid.message = _NUMBER_TOO_LONG.sub(", found", invalid.message)
            invalid.extensions = {**(invalid.extensions or {}), "code": "GRAPHQL_VALIDATION_FAILED"}
        if errors:
            return Document(None, tuple(errors))
        operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
        is_trusted = text in self._trusted
        digest = _digest(text)
        named = {}
        for node in operations:
            name = node.name.value if node.name else None
            label = name if is_trusted and name is not None and len(name) <= MAX_NAME_LENGTH else ""
            named[name] = Operation(self._schema, self._fields, self._coercions, tree, node, label, digest)
        return Document(tree, operations=named)


def _label(root_fields: Mapping[str, str]) -> str:
    """The name of an operation in metrics. What a client calls it may be anything, also somebody's name."""
    names = set(root_fields.values())
    return names.pop() if len(names) == 1 else "several"


def _weight(text: str, document: Document) -> int:
    return len(text) + PLANNED_FIELD_WEIGHT * document.planned_fields


def _without_nodes(error: GraphQLError) -> GraphQLError:
    """A copy with the same message and locations; nodes and source would keep the whole text and AST in memory."""
    extensions = {**(error.extensions or {}), "code": code_of(error)}
    bare = GraphQLError(shortened(error.message), extensions=extensions)
    bare.locations = error.locations and error.locations[:MAX_LOCATIONS]
    return bare


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
