"""GraphQL requests of any transport, before and after parsing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, OperationType

from engine.cost import Cost
from engine.documents import Document, Operation

_NOTHING = Cost(0, 0)


@dataclass(slots=True)
class Request:
    """`wants_cost`: the answer reports the estimated cost; `wants_receipt`: it reports what the request took."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    wants_cost: bool = False
    wants_receipt: bool = False


class Prepared:
    """A parsed request. `operation` is None if there is none to run; `errors` then say why. `cost` is an upper bound of
    the response."""

    __slots__ = ("cost", "document", "errors", "operation", "request")

    def __init__(self, request: Request, document: Document) -> None:
        self.request = request
        self.document = document
        self.errors = document.errors
        self.operation: Operation | None = None if document.errors else document.operation(request.operation_name)
        self.cost = _NOTHING
        if self.operation is not None:
            self.cost = self.operation.cost(request.variables or {})
        elif not document.errors:
            problem = "Set operationName to the name of one operation of the document."
            self.errors = (GraphQLError(problem, extensions={"code": "BAD_USER_INPUT"}),)

    @property
    def price(self) -> int:
        """The charge against rate limits for running it; 1 if it is not run."""
        return 1 + self.cost.values + self.cost.work

    @property
    def kind(self) -> OperationType | None:
        """Query, mutation or subscription; None if it will not run."""
        return None if self.operation is None else self.operation.node.operation

    @property
    def is_public(self) -> bool:
        """Whether all callers without a token get the same answer."""
        return self.operation is not None and self.operation.is_public
