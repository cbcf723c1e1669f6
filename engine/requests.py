"""GraphQL requests of any transport, before and after parsing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, OperationType

from engine.cost import Cost
from engine.documents import Document, Operation
from engine.errors import shortened

_NOTHING = Cost(0, 0)


@dataclass(slots=True)
class Request:
    """`wants_cost`: the answer includes the static cost; `wants_receipt`: and a receipt. `on_accepted` is called once
    the text has been charged and is valid."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    wants_cost: bool = False
    wants_receipt: bool = False
    on_accepted: Callable[[], None] | None = None


class Prepared:
    """A request and the operation that it runs; None if it runs none, and then `errors` say why."""

    __slots__ = ("_cost", "document", "errors", "operation", "request")

    def __init__(self, request: Request, document: Document) -> None:
        self.request = request
        self.document = document
        self.errors = document.errors
        self.operation: Operation | None = None if document.errors else document.operation(request.operation_name)
        self._cost: Cost | None = None
        if self.operation is None and not document.errors:
            problem = _no_operation(request.operation_name, len(document.operations))
            self.errors = (GraphQLError(problem, extensions={"code": "BAD_USER_INPUT"}),)

    @property
    def cost(self) -> Cost:
        """Upper bounds of the answer; counted once, on first use."""
        if self._cost is None:
            operation = self.operation
            self._cost = _NOTHING if operation is None else operation.costs.count(self.request.variables or {})
        return self._cost

    def charge_for_counting(self) -> int:
        """The charge for counting the cost: none if the sizes are known, as they are in most requests. A known cost is
        kept."""
        operation = self.operation
        if operation is None:
            return 0
        if self._cost is None:
            self._cost = operation.costs.known(self.request.variables or {})
        return operation.charge_for_counting if self._cost is None else 0

    @property
    def charge(self) -> int:
        """The charge for running it, against rate limits; 1 if it will not run."""
        cost = self._cost or self.cost
        return 1 + cost.values + cost.work

    @property
    def kind(self) -> OperationType | None:
        """Query, mutation or subscription; None if it will not run."""
        return None if self.operation is None else self.operation.node.operation

    @property
    def is_public(self) -> bool:
        """Whether all callers get the same answer, whatever the variables."""
        public = None if self.operation is None else self.operation.public
        return public is not None and not public.ids


def _no_operation(name: str | None, count: int) -> str:
    if name is None:
        return f"`operationName` is required: the document has {count} operations."
    return shortened(f"The document has no operation named {name!r}.")
