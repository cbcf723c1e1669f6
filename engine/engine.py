"""The schema, ready to answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLSchema, OperationType

from engine.answers import Answer, refused
from engine.cost import Cost
from engine.documents import Document, Documents
from engine.execution import Execution, Runtime
from engine.fields import SchemaFields
from engine.receipts import Receipt
from engine.requests import Prepared, Request
from schema.context import Context
from schema.schema import build
from settings import Settings

_NO_STREAM = GraphQLError(
    "Subscribe over a WebSocket, or with Accept: text/event-stream.", extensions={"code": "BAD_REQUEST"}
)


class Engine:
    """One per process. Read a request with `prepare`, then run it with `answer`. `core` is the schema as graphql-core
    knows it."""

    def __init__(self, settings: Settings) -> None:
        self.schema: strawberry.Schema = build()
        self.core: GraphQLSchema = self.schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._runtime = Runtime(self.core, settings)
        self._documents = Documents(self.core, SchemaFields(self.schema), settings)
        self._settings = settings

    @property
    def counts(self) -> Counter[str]:
        """How many requests went by plan (`planned`), and why others did not."""
        return self._runtime.counts

    def document(self, text: str) -> Document:
        """The operations of a text, or what is wrong with it."""
        return self._documents.get(text)

    def price_of_reading(self, text: str) -> int:
        """What is charged before a text is parsed and validated: nothing for one that is known."""
        return 0 if self._documents.known(text) is not None else 1 + len(text) // 2

    def prepare(self, request: Request) -> Prepared:
        """Reads the request's text and finds the operation to run. Never raises for what a caller sends."""
        return Prepared(request, self._documents.get(request.query))

    async def answer(self, prepared: Prepared, context: Context, request_id: str) -> Answer:
        """Runs a request; of a subscription one event, the context's change. Never raises for what a caller sends."""
        request, document, operation = prepared.request, prepared.document, prepared.operation
        if operation is None or document.tree is None:
            return refused(prepared.errors, context, request_id)
        document.requests += 1
        receipt = Receipt() if request.wants_receipt else None
        if self._is_too_dear(prepared.cost):
            answer = refused((self._too_dear(prepared.cost),), context, request_id)
        elif context.change is None and prepared.kind is OperationType.SUBSCRIPTION:
            answer = refused((_NO_STREAM,), context, request_id)
            answer.subscribes_to = next(iter(operation.root_fields.values()))  # validation lets it have no second one
        else:
            answer = await Execution(self._runtime, request, document.tree, operation, context, request_id).run()
        if request.wants_cost or receipt is not None:
            self._annotate(answer, prepared, receipt, context)
        return answer

    def _annotate(self, answer: Answer, prepared: Prepared, receipt: Receipt | None, context: Context) -> None:
        extensions: dict[str, Any] = {}
        cost = prepared.cost
        if prepared.request.wants_cost:
            maximum = self._settings.max_cost
            extensions["cost"] = {"requested": cost.values, "maximum": maximum, "objects": cost.objects}
        if receipt is not None:
            path = "refused" if answer.is_refused else "fallback" if answer.fallback else "plan"
            is_known = prepared.document.requests > 1
            extensions["receipt"], answer.server_timing = receipt.rendered(
                cost, context.claims.role, path, answer.fallback, is_known_document=is_known
            )
        answer.extensions = extensions

    def _is_too_dear(self, cost: Cost) -> bool:
        return cost.values > self._settings.max_cost or cost.objects > self._settings.max_result_objects

    def _too_dear(self, cost: Cost) -> GraphQLError:
        if cost.objects > self._settings.max_result_objects:
            what, maximum = f"{cost.objects} objects", self._settings.max_result_objects
        else:
            what, maximum = f"{cost.values} values", self._settings.max_cost
        problem = f"The answer may hold {what}, more than {maximum}: ask for less."
        return GraphQLError(problem, extensions={"code": "COST_LIMIT_EXCEEDED"})
