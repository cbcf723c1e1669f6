"""What can be said of a document before it runs: whether it fits, what it may cost, what it asks of Postgres."""

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

    `cost`: values (fields, items of lists) that an answer may hold at most, whatever the variables; page sizes among
    them count as 100.
    `statements`: SQL statements at least, one for each root field that is there whatever the variables say.
    `path`: `plan`, or why there is none.
    `error`: why it does not fit the schema; the figures are missing then.
    """

    id: str
    name: str
    cost: int | None = None
    statements: int | None = None
    path: str | None = None
    error: str | None = None

    def problem_within(self, max_cost: int, max_statements: int | None) -> str | None:
        """Why it will not do; None when it will."""
        if self.error is not None or self.cost is None or self.statements is None:
            return self.error
        if self.cost > max_cost:
            return f"cost {self.cost} is more than {max_cost}"
        if max_statements is not None and self.statements > max_statements:
            return f"{self.statements} statements or more, {max_statements} are allowed"
        return None


def report(engine: Engine, document: TrustedDocument) -> list[Report]:
    """One per operation of the document; one with the first error where it does not fit."""
    known = engine.document(document.text)
    if known.errors or not known.operations:
        why = known.errors[0].message if known.errors else "it holds no operation"
        return [Report(document.id, document.label, error=why)]
    return [
        Report(document.id, name or "without a name", _cost(operation), _statements(known, operation), _path(operation))
        for name, operation in known.operations.items()
    ]


def _cost(operation: Operation) -> int:
    """With the largest pages that variables may ask for."""
    definitions = operation.node.variable_definitions or ()
    return operation.cost({each.variable.name.value: _most(each.type) for each in definitions}).values


def _most(type_: TypeNode) -> Any:
    inner = type_.type if isinstance(type_, NonNullTypeNode) else type_
    return [None] * MAX_SIZE if isinstance(inner, ListTypeNode) else MAX_SIZE


def _path(operation: Operation) -> str:
    try:
        operation.plans.get(_Either())
    except NotPlanned as error:
        return error.reason
    return "plan"


class _Either(Mapping[str, Any]):
    """Variables of directives, all true: which plan an operation has depends on them, whether it has one does not."""

    def __getitem__(self, name: str) -> Any:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _statements(document: Document, operation: Operation) -> int:
    """Every root field asks Postgres once; fields below it that resolvers give may ask again."""
    assert document.tree is not None
    names = root_fields(operation.node, fragments_of(document.tree), without_conditions=True).values()
    return sum(not name.startswith("__") for name in names)
