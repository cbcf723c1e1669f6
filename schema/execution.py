"""Runs a request: one snapshot for a query, one transaction for each root field of a mutation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    execute,
)
from graphql.error import located_error
from graphql.execution import ExecutionResult
from graphql.execution.incremental import IncrementalExecutor
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Path

from domain.errors import TryAgain
from plan.errors import NotPlanned
from plan.operations import OperationPlan
from plan.values import Run, await_if_awaitable
from schema.context import Context
from schema.cost import Cost
from schema.documents import Document, Documents, Operation
from schema.errors import formatted
from schema.plans import SchemaFields, info_of
from schema.receipts import Receipt
from schema.schema import build
from settings import Settings

KEPT_INTROSPECTIONS = 8
MAX_VARIABLE_ERRORS = 50
_NO_STREAM = GraphQLError(
    "Subscribe over a WebSocket, or with Accept: text/event-stream.", extensions={"code": "BAD_REQUEST"}
)


class _Executor(IncrementalExecutor):
    """graphql-core runs the root fields of a mutation one after the other; here each gets a transaction around its
    resolver *and* its payload's selections."""

    def execute_field(self, parent_type: GraphQLObjectType, *arguments: Any) -> Any:
        result = super().execute_field(parent_type, *arguments)
        if parent_type is self.schema.mutation_type and self.is_awaitable(result):
            return self._in_transaction(result)
        return result

    async def _in_transaction(self, result: Awaitable[Any]) -> Any:
        context: Context = self.context_value
        context.begin_write()
        try:
            value = await result
        except BaseException:
            await context.end(failed=True)
            raise
        try:
            await context.commit()
        except Exception as error:
            raise GraphQLError(str(error), original_error=error) from error
        return value


@dataclass(slots=True)
class Request:
    """A GraphQL request, whatever it came in. `wants_cost`: the answer says what it was judged to cost;
    `wants_receipt`: and what it took."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    wants_cost: bool = False
    wants_receipt: bool = False
    document: Document | None = None


@dataclass(slots=True)
class Answer:
    """`body` is what is sent, as JSON. `is_refused`: the document never ran. `server_timing`: a header of that name.
    `fallback`: why no plan answered. `subscribes_to`: it was refused because it is a subscription to this field, with
    nothing wrong about it."""

    body: bytes
    is_refused: bool = False
    has_errors: bool = False
    retry_after: int | None = None
    server_timing: str | None = None
    fallback: str | None = None
    subscribes_to: str | None = None


class Engine:
    """The schema, ready to answer. `counts` says how many requests went by plan (`planned`), and why others did not."""

    def __init__(self, settings: Settings) -> None:
        self.schema: strawberry.Schema = build()
        self.counts: Counter[str] = Counter()
        self._core: GraphQLSchema = self.schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._documents = Documents(self._core, SchemaFields(self.schema), settings)
        self._introspections: dict[tuple[str, str | None], bytes] = {}
        self._settings = settings

    def document(self, text: str) -> Document:
        """The operations of a text, or what is wrong with it."""
        return self._documents.get(text)

    def _document(self, request: Request) -> Document:
        document = request.document
        if document is None:
            document = request.document = self._documents.get(request.query)
        return document

    def _operation(self, request: Request) -> Operation | None:
        return self._document(request).operation(request.operation_name)

    def price_of_reading(self, request: Request) -> int:
        """What is charged before the text is parsed and validated: nothing for one that is known."""
        request.document = self._documents.known(request.query)
        return 0 if request.document is not None else 1 + len(request.query) // 2

    def price(self, request: Request) -> int:
        """What running the request is charged against rate limits; 1 where it will not run."""
        operation = self._operation(request)
        return 1 if operation is None else operation.price(request.variables or {})

    def writes(self, request: Request) -> bool:
        """Whether the request would run a mutation."""
        operation = self._operation(request)
        return operation is not None and operation.node.operation is OperationType.MUTATION

    def subscribes(self, request: Request) -> bool:
        """Whether the request is a subscription."""
        operation = self._operation(request)
        return operation is not None and operation.node.operation is OperationType.SUBSCRIPTION

    def is_public(self, request: Request) -> bool:
        """Whether the answer to a caller without a token is the same for everybody."""
        operation = self._operation(request)
        return operation is not None and operation.is_public

    async def answer(self, request: Request, context: Context, request_id: str) -> Answer:
        """Runs the request; of a subscription one event, the context's change. Never raises for what a caller sends."""
        document = self._document(request)
        request.document = None  # a subscription's request stays as long as its stream, and needs nothing but the text
        if document.errors or document.tree is None:
            return _refused(document.errors, context, request_id)
        operation = document.operation(request.operation_name)
        if operation is None:
            problem = "Say which operation to run: operationName fits none of the document, or several."
            return _refused((GraphQLError(problem, extensions={"code": "BAD_USER_INPUT"}),), context, request_id)
        document.requests += 1
        receipt = Receipt() if request.wants_receipt else None
        cost = operation.cost(request.variables or {})
        if cost.values > self._settings.max_cost or cost.objects > self._settings.max_result_objects:
            answer = _refused((self._too_dear(cost),), context, request_id)
        elif context.change is None and operation.node.operation is OperationType.SUBSCRIPTION:
            answer = _refused((_NO_STREAM,), context, request_id)
            answer.subscribes_to = next(iter(operation.root_fields.values()))  # validation lets it have no second one
        else:
            answer = await self._run(operation, document.tree, request, context, request_id)
        if request.wants_cost or receipt is not None:
            self._annotate(answer, request, cost, receipt, context, is_known=document.requests > 1)
        return answer

    def _annotate(
        self, answer: Answer, request: Request, cost: Cost, receipt: Receipt | None, context: Context, *, is_known: bool
    ) -> None:
        extensions: dict[str, Any] = {}
        if request.wants_cost:
            maximum = self._settings.max_cost
            extensions["cost"] = {"requested": cost.values, "maximum": maximum, "objects": cost.objects}
        if receipt is not None:
            path = "refused" if answer.is_refused else "fallback" if answer.fallback else "plan"
            extensions["receipt"], answer.server_timing = receipt.written(
                cost, context.claims.role, path, answer.fallback, is_known_document=is_known
            )
        answer.body = answer.body[:-1] + b',"extensions":' + msgspec.json.encode(extensions) + b"}"

    def _too_dear(self, cost: Cost) -> GraphQLError:
        if cost.objects > self._settings.max_result_objects:
            what, most = f"{cost.objects} objects", self._settings.max_result_objects
        else:
            what, most = f"{cost.values} values", self._settings.max_cost
        problem = f"The answer may hold {what}, more than {most}: ask for less."
        return GraphQLError(problem, extensions={"code": "COST_LIMIT_EXCEEDED"})

    async def _run(
        self, operation: Operation, tree: DocumentNode, request: Request, context: Context, request_id: str
    ) -> Answer:
        try:
            answer = await self._planned(operation, tree, request, context, request_id)
            if isinstance(answer, Answer):
                return answer
            # Not where it was caught: what goes wrong from here on did not go wrong in the plan.
            self.counts[answer] += 1
            await context.end(failed=True)
            is_introspection = operation.is_introspection and not request.variables
            execute_otherwise = self._introspected if is_introspection else self._executed
            reason, answer = answer, await execute_otherwise(tree, request, context, request_id)
            answer.fallback = reason
            return answer
        except asyncio.CancelledError:
            context.cancel()
            raise
        finally:
            await context.finish()

    async def _planned(
        self, operation: Operation, tree: DocumentNode, request: Request, context: Context, request_id: str
    ) -> Answer | str:
        """By a compiled plan; or the reason why ordinary execution is to answer, with nothing done: something is not
        compiled, or went wrong in a query."""
        if not self._settings.plans:
            return "off"
        given = request.variables or {}
        variables = operation.variables.values(given)
        if variables is None:
            definitions = operation.node.variable_definitions or ()
            # As execute() does: without a limit, a hundred thousand wrong values are as many explanations.
            coerced = get_variable_values(
                self._core, definitions, given, MAX_VARIABLE_ERRORS, not self._settings.introspection
            )
            if not isinstance(coerced, VariableValues):
                return "variables"
            variables = coerced
        try:
            plan = operation.plans.get(variables.coerced)
        except NotPlanned as error:
            return error.reason
        run = Run(context, info_of(context), variables)
        if plan.is_mutation:
            return await self._mutated(plan, run, tree, request, context, request_id)
        try:
            text = await plan.answer(run)
        except TryAgain as error:  # again at once would be worse
            return _failed(plan, error, context, request_id)
        except Exception:
            return "error"
        self.counts["planned"] += 1
        return Answer(f'{{"data":{text}}}'.encode())

    async def _mutated(
        self, plan: OperationPlan, run: Run, tree: DocumentNode, request: Request, context: Context, request_id: str
    ) -> Answer | str:
        """By a plan with one root field, whose resolver runs once, whatever becomes of the payload."""
        (root,) = plan.roots
        context.begin_write()
        try:
            waiting = root.get(run, None)
        except GraphQLError:  # of arguments: before anything was done
            return "arguments"
        try:
            payload = [await await_if_awaitable(waiting)]
            try:
                data = plan.render(await root.value.render(run, payload))
            except Exception:
                if context.session.failure is not None:
                    raise
                return await self._completed(plan, payload[0], tree, request, context, request_id)
            await context.commit()
        except Exception as error:
            await context.end(failed=True)
            return _failed(plan, error, context, request_id)
        self.counts["planned"] += 1
        return Answer(f'{{"data":{data}}}'.encode())

    async def _completed(
        self, plan: OperationPlan, payload: Any, tree: DocumentNode, request: Request, context: Context, request_id: str
    ) -> Answer:
        """What was done is done: ordinary execution writes the payload, with what may be null where it failed."""

        def made(resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            return payload if info.parent_type is self._core.mutation_type else resolve(source, info, **arguments)

        result = await self._execute(tree, request, context, middleware=[made])
        await context.commit()
        self.counts["payload"] += 1
        answer = _answered(result, context, request_id)
        answer.fallback = "payload"
        return answer

    async def _introspected(self, tree: DocumentNode, request: Request, context: Context, request_id: str) -> Answer:
        """The schema's own description is written once per text."""
        key = (request.query, request.operation_name)
        known = self._introspections.get(key)
        if known is not None:
            return Answer(known)
        answer = await self._executed(tree, request, context, request_id)
        if not answer.is_refused and context.is_untouched:
            if len(self._introspections) >= KEPT_INTROSPECTIONS:
                self._introspections.clear()
            self._introspections[key] = answer.body
        return answer

    async def _executed(self, tree: DocumentNode, request: Request, context: Context, request_id: str) -> Answer:
        """By graphql-core, Strawberry and the loaders."""
        try:
            result = await self._execute(tree, request, context, executor_class=_Executor)
        except GraphQLError as error:
            return _refused((error,), context, request_id)
        return _answered(result, context, request_id)

    async def _execute(self, tree: DocumentNode, request: Request, context: Context, **options: Any) -> ExecutionResult:
        result = execute(
            self._core,
            tree,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._settings.introspection,
            **options,
        )
        return result if isinstance(result, ExecutionResult) else await result


def _failed(plan: OperationPlan, error: Exception, context: Context, request_id: str) -> Answer:
    """The answer of a plan whose root fields all failed alike."""
    errors = [located_error(error, root.nodes, Path(None, root.key, None).as_list()) for root in plan.roots]
    if not plan.is_nullable:
        errors = errors[:1]
        return _answered(ExecutionResult(None, errors), context, request_id)
    return _answered(ExecutionResult({root.key: None for root in plan.roots}, errors), context, request_id)


def _refused(errors: tuple[GraphQLError, ...], context: Context, request_id: str) -> Answer:
    return Answer(
        msgspec.json.encode({"errors": _formatted(errors, context, request_id)}), is_refused=True, has_errors=True
    )


def _answered(result: ExecutionResult, context: Context, request_id: str) -> Answer:
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        return _refused(tuple(result.errors), context, request_id)
    body: dict[str, Any] = {"data": result.data}
    retry_after = None
    if result.errors:
        body["errors"] = _formatted(result.errors, context, request_id)
        waits = [e["extensions"]["retryAfter"] for e in body["errors"] if "retryAfter" in e["extensions"]]
        retry_after = max(waits, default=None)
    return Answer(msgspec.json.encode(body), has_errors=bool(result.errors), retry_after=retry_after)


def _formatted(errors: Sequence[GraphQLError], context: Context, request_id: str) -> list[dict[str, Any]]:
    """Errors as the answer shows them; those of ours are noted for administrators, by type alone."""
    shown = [formatted(error, request_id) for error in errors]
    for error, answer in zip(errors, shown, strict=True):
        if answer["extensions"]["code"] == "INTERNAL_SERVER_ERROR":
            exception = type(error.original_error or error).__name__
            context.services.system_log.note(
                "error", "graphql", "internal error", request_id=request_id, exception=exception
            )
    return shown
