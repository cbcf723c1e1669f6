"""Runs a request: one snapshot for a query, one transaction for each root field of a mutation."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLObjectType, GraphQLSchema, OperationType, execute
from graphql.execution import ExecutionResult
from graphql.execution.incremental import IncrementalExecutor

from schema.context import Context
from schema.cost import count_objects
from schema.documents import Documents
from schema.errors import formatted
from schema.schema import build
from settings import Settings


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
            failure = context.session.failure
            if failure is not None:  # a nullable part of the payload hid it, but nothing was stored
                await context.end(failed=True)
                raise failure
            await context.end()
        except Exception as error:
            raise GraphQLError(str(error), original_error=error) from error
        return value


@dataclass(frozen=True, slots=True)
class Request:
    """A GraphQL request, whatever it came in."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is what is sent. `is_refused`: the document never ran."""

    body: dict[str, Any]
    is_refused: bool = False
    retry_after: int | None = None


class Engine:
    """The schema, ready to answer."""

    def __init__(self, settings: Settings) -> None:
        self.schema: strawberry.Schema = build()
        self._core: GraphQLSchema = self.schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._documents = Documents(self._core, settings)
        self._settings = settings

    def writes(self, request: Request) -> bool:
        """Whether the request would run a mutation."""
        document = self._documents.get(request.query)
        operation = document.operation(request.operation_name) if document.tree else None
        return operation is not None and operation.operation is OperationType.MUTATION

    async def answer(self, request: Request, context: Context, request_id: str) -> Answer:
        """Runs the request. Never raises for what a caller sends."""
        document = self._documents.get(request.query)
        if document.errors or document.tree is None:
            return _refused(document.errors, context, request_id)
        operation = document.operation(request.operation_name)
        if operation is None:
            problem = "Say which operation to run: operationName fits none of the document, or several."
            return _refused((GraphQLError(problem, extensions={"code": "BAD_USER_INPUT"}),), context, request_id)
        objects = count_objects(self._core, document.tree, operation, request.variables or {})
        if objects > self._settings.max_result_objects:
            problem = (
                f"The answer may hold {objects} objects, more than {self._settings.max_result_objects}: ask for less."
            )
            return _refused((GraphQLError(problem, extensions={"code": "COST_LIMIT_EXCEEDED"}),), context, request_id)
        try:
            result = execute(
                self._core,
                document.tree,
                context_value=context,
                variable_values=request.variables,
                operation_name=request.operation_name,
                executor_class=_Executor,
            )
            if not isinstance(result, ExecutionResult):
                result = await result
        except GraphQLError as error:
            return _refused((error,), context, request_id)
        finally:
            await context.finish()
        return _answered(result, context, request_id)


def _refused(errors: tuple[GraphQLError, ...], context: Context, request_id: str) -> Answer:
    return Answer({"errors": _formatted(errors, context, request_id)}, is_refused=True)


def _answered(result: ExecutionResult, context: Context, request_id: str) -> Answer:
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        return _refused(tuple(result.errors), context, request_id)
    body: dict[str, Any] = {"data": result.data}
    retry_after = None
    if result.errors:
        body["errors"] = _formatted(result.errors, context, request_id)
        waits = [e["extensions"]["retryAfter"] for e in body["errors"] if "retryAfter" in e["extensions"]]
        retry_after = max(waits, default=None)
    return Answer(body, retry_after=retry_after)


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
