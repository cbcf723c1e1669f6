"""The entry point of the package: parses requests and answers them."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import strawberry
from graphql import GraphQLError, GraphQLSchema, OperationType, get_introspection_query

from db import metrics, tracing
from engine import caching
from engine.answers import Answer, refused
from engine.cost import Cost
from engine.documents import Document, Documents, Operation
from engine.execution import Execution, Runtime
from engine.fields import SchemaFields
from engine.receipts import Receipt
from engine.requests import Prepared, Request
from schema.context import Context
from schema.schema import build
from services.public_answers import Read, Source
from settings import Settings

INTROSPECTION_MARGIN = 1.25  # beyond what most tools ask for: some ask for deeper types

_NO_STREAM = GraphQLError(
    "Subscribe over a WebSocket, or with Accept: text/event-stream.", extensions={"code": "BAD_REQUEST"}
)


class Engine:
    """One per process. Parse a request with `prepare`, then run it with `answer`. `core` is graphql-core's schema
    behind Strawberry's."""

    def __init__(self, settings: Settings) -> None:
        self.schema: strawberry.Schema = build()
        self.core: GraphQLSchema = self.schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._runtime = Runtime(self.core, settings)
        self._documents = Documents(self.core, SchemaFields(self.schema), settings)
        self._settings = settings

    @property
    def counts(self) -> Counter[str]:
        """How many requests a plan answered (`planned`), and how many fell back, by reason."""
        return self._runtime.counts

    def document(self, text: str) -> Document:
        """The operations of a text, or its errors."""
        return self._documents.get(text)

    def known(self, text: str) -> Document | None:
        """The cached document of a text, or None."""
        return self._documents.known(text)

    def trust(self, texts: Iterable[str]) -> None:
        """The texts of trusted documents: metrics have the names of their operations."""
        self._documents.trust(texts)

    def charge_for_reading(self, text: str) -> int:
        """The charge for parsing and validating a text: none if it is cached."""
        return 0 if self.known(text) is not None else 1 + len(text) // 2

    def prepare(self, request: Request, document: Document | None = None) -> Prepared:
        """Parses the request's document, unless it is given, and selects the operation to run. Never raises for invalid
        input."""
        return Prepared(request, self._documents.get(request.query) if document is None else document)

    async def answer(self, prepared: Prepared, context: Context, request_id: str) -> Answer:
        """Runs a request; for a subscription one event, the context's change. Never raises for invalid input; raises
        what `Execution.run` does."""
        request, document, operation = prepared.request, prepared.document, prepared.operation
        if operation is None or document.tree is None:
            return refused(prepared.errors, context, request_id)
        document.requests += 1
        (metrics.DOCUMENT_HIT if document.requests > 1 else metrics.DOCUMENT_MISS).inc()
        receipt = Receipt() if request.wants_receipt else None
        cost, limits = prepared.cost, self._limits(operation)
        if cost.values > limits.values or cost.objects > limits.objects:
            metrics.LIMITS.labels("cost").inc()
            answer = refused((_cost_error(cost, limits),), context, request_id)
        elif context.change is None and operation.node.operation is OperationType.SUBSCRIPTION:
            answer = refused((_NO_STREAM,), context, request_id)
            answer.subscribes_to = next(iter(operation.root_fields.values()))  # validation allows only one
        else:
            metrics.COST.inc(cost.values)
            started = time.perf_counter()
            try:
                answering = self._answer(prepared, operation, context, request_id)
                if tracing.current is None:
                    answer = await answering
                else:
                    name = f"{operation.node.operation.value} {operation.label}"
                    answer = await tracing.current.traced(name, answering, _described)
            finally:
                operation.duration.observe(time.perf_counter() - started)
        if request.wants_cost or receipt is not None:
            self._annotate(answer, prepared, limits, receipt, context)
        return answer

    async def _answer(self, prepared: Prepared, operation: Operation, context: Context, request_id: str) -> Answer:
        """Runs an operation, unless its answer is the same for every caller, and cached. Administrators always see what
        they have just written."""
        services = context.services
        key = None
        if operation.public is not None and not operation.is_introspection and not context.claims.may_administer:
            key = caching.key_of(operation, prepared.request.variables, services.served)
        if key is None:
            return await self._run(prepared, operation, context, request_id)
        own: Answer | None = None

        async def read() -> Read:
            nonlocal own
            anybody = context.as_anybody()
            own = await self._run(prepared, operation, anybody, request_id)
            may_keep = own.data is not None and not own.errors and not own.is_refused
            return Read(bytes(own.encoded_data()) if may_keep else None, anybody.as_of)

        waiting = functools.partial(services.admission.released, context.caller.address)
        data, source = await services.public_answers.get(key, read, waiting)
        answer = Answer(msgspec.Raw(data)) if data is not None else own
        assert answer is not None
        answer.source = source
        return answer

    async def _run(self, prepared: Prepared, operation: Operation, context: Context, request_id: str) -> Answer:
        tree = prepared.document.tree
        assert tree is not None
        return await Execution(self._runtime, prepared.request, tree, operation, context, request_id).run()

    def _annotate(
        self, answer: Answer, prepared: Prepared, limits: Cost, receipt: Receipt | None, context: Context
    ) -> None:
        extensions: dict[str, Any] = {}
        cost = prepared.cost
        if prepared.request.wants_cost:
            extensions["cost"] = {"requested": cost.values, "maximum": limits.values, "objects": cost.objects}
        if receipt is not None:
            is_known = prepared.document.requests > 1
            extensions["receipt"] = receipt.rendered(
                cost, context.claims.role, _path(answer), answer.fallback, answer.source, is_known_document=is_known
            )
        answer.extensions = extensions

    def _limits(self, operation: Operation) -> Cost:
        return self._limits_of_introspection if operation.is_introspection else self._limits_of_others

    @functools.cached_property
    def _limits_of_others(self) -> Cost:
        return Cost(self._settings.max_cost, self._settings.max_result_objects, 0)

    @functools.cached_property
    def _limits_of_introspection(self) -> Cost:
        """The whole schema has to fit, however large it is: introspection is answered from memory."""
        everything = get_introspection_query(
            specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
        )
        cost = self.prepare(Request(everything)).cost
        return Cost(
            max(self._settings.max_cost, int(cost.values * INTROSPECTION_MARGIN)),
            max(self._settings.max_result_objects, int(cost.objects * INTROSPECTION_MARGIN)),
            0,
        )


def _cost_error(cost: Cost, limits: Cost) -> GraphQLError:
    if cost.objects > limits.objects:
        what, maximum = f"{cost.objects} objects", limits.objects
    else:
        what, maximum = f"{cost.values} values", limits.values
    problem = f"The answer may hold {what}, more than {maximum}: ask for less."
    return GraphQLError(problem, extensions={"code": "COST_LIMIT_EXCEEDED"})


def _path(answer: Answer) -> str:
    """What receipts and traces call the way to an answer."""
    if answer.source in (Source.HIT, Source.JOINED):
        return "cache"
    return "refused" if answer.is_refused else "fallback" if answer.fallback else "plan"


def _described(answer: Answer) -> dict[str, str]:
    """What a trace says of an answer."""
    found = {"aclue.path": _path(answer)}
    if answer.fallback:
        found["aclue.fallback.reason"] = str(answer.fallback)
    if answer.codes:
        found["error.type"] = answer.codes[0]
    return found
