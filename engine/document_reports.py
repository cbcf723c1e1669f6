"""Static reports on documents: whether they are valid, what they may cost, and how many statements they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from graphql import (
    ListTypeNode,
    NonNullTypeNode,
    TypeNode,
)

from domain.pages import MAX_SIZE
from domain.trusted_documents import TrustedDocument
from engine.documents import Document, Operation
from engine.engine import Engine
from engine.root_fields import root_fields
from plan.errors import NotPlanned
from plan.walker import fragments_of


class Report(msgspec.Struct, frozen=True):
    """An operation of a manifest.

    `cost`: the maximum number of values (fields, items of lists) in a response, for any variables; page sizes from
    variables count as 100.
    `statements`: the minimum number of SQL statements, one for each root field without a condition.
    `path`: `plan`, or why the operation has no plan.
    `error`: why it is not valid for the schema; the other figures are then missing.
    """

    id: str
    name: str
    cost: int | None = None
    statements: int | None = None
    path: str | None = None
    error: str | None = None

    def problem_within(self, max_cost: int, max_statements: int | None) -> str | None:
        """Why it is not acceptable within these limits; None if it is."""
        if self.error is not None or self.cost is None or self.statements is None:
            return self.error
        if self.cost > max_cost:
            return f"cost {self.cost} is more than {max_cost}"
        if max_statements is not None and self.statements > max_statements:
            return f"{self.statements} statements or more, {max_statements} are allowed"
        return None


def report(engine: Engine, document: TrustedDocument) -> list[Report]:
    """A report per operation; a single one, with the first error, for a document that is not valid."""
    known = engine.document(document.text)
    if known.errors or not known.operations:
        why = known.errors[0].message if known.errors else "it holds no operation"
        return [Report(document.id, document.label, error=why)]
    return [
        Report(document.id, name or "without a name", _cost(operation), _statements(known, operation), _path(operation))
        for name, operation in known.operations.items()
    ]


def _cost(operation: Operation) -> int:
    """The cost with the largest pages that variables can ask for."""
    definitions = operation.node.variable_definitions or ()
    return operation.costs.count({each.variable.name.value: _largest(each.type) for each in definitions}).values


def _largest(type_: TypeNode) -> Any:
    inner = type_.type if isinstance(type_, NonNullTypeNode) else type_
    return [None] * MAX_SIZE if isinstance(inner, ListTypeNode) else MAX_SIZE


def _path(operation: Operation) -> str:
    try:
        operation.plans.get(_Either())
    except NotPlanned as error:
        return error.reason
    return "plan"


class _Either(Mapping[str, Any]):
    """Every variable is true. Variables of directives select one of an operation's plans; whether it can be planned
    does not depend on them."""

    def __getitem__(self, name: str) -> Any:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _statements(document: Document, operation: Operation) -> int:
    """Each root field takes one statement; fields below it with resolvers may take more."""
    assert document.tree is not None
    names = root_fields(operation.node, fragments_of(document.tree), without_conditions=True).values()
    return sum(not name.startswith("__") for name in names)
