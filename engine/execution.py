"""Runs an operation: a query in one snapshot, each root field of a mutation in a transaction of its own."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    execute,
)
from graphql.error import located_error
from graphql.execution import ExecutionResult
from graphql.execution.incremental import IncrementalExecutor
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Path

from db import metrics
from db.claims import SERVICE
from db.usage import METER
from domain.errors import AclueError, TryAgain
from engine.answers import Answer, answered, planned, refused
from engine.documents import Operation
from engine.errors import INTERNAL
from engine.fields import PlannedInfo
from engine.requests import Request
from plan.errors import NotPlanned, Reason
from plan.operations import OperationPlan
from plan.values import Run, await_if_awaitable
from schema.context import Context
from settings import Settings

log = structlog.get_logger("aclue.engine")

MAX_VARIABLE_ERRORS = 50
CACHE_INTROSPECTIONS = 8


class _Executor(IncrementalExecutor):
    """graphql-core runs the root fields of a mutation serially; here each runs in a transaction around its resolver
    *and* the selections of its payload."""

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


@dataclass(frozen=True, slots=True)
class Fallback:
    """No plan has answered, and nothing was written: the operation has no plan, or its plan failed in a query."""

    reason: Reason
    error: Exception | None = None  # what the plan raised, unless a resolver refused the request


class Runtime:
    """What all executions share. `counts`: executions by plan (`planned`), and the reasons of all others."""

    def __init__(self, core: GraphQLSchema, settings: Settings) -> None:
        self.core = core
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.introspections: OrderedDict[tuple[str, str | None], Answer] = OrderedDict()

    def count_plan(self) -> None:
        """Counts an execution by plan."""
        self.counts["planned"] += 1
        metrics.PLANNED.inc()

    def count_fallback(self, reason: str) -> None:
        """Counts an execution that no plan answered, or not alone."""
        self.counts[reason] += 1
        metrics.EXECUTIONS.labels("fallback", reason).inc()


class Execution:
    """A single run of an operation, for one caller."""

    __slots__ = ("_context", "_operation", "_request", "_request_id", "_runtime", "_tree")

    def __init__(
        self,
        runtime: Runtime,
        request: Request,
        tree: DocumentNode,
        operation: Operation,
        context: Context,
        request_id: str,
    ) -> None:
        self._runtime = runtime
        self._request = request
        self._tree = tree
        self._operation = operation
        self._context = context
        self._request_id = request_id

    async def run(self) -> Answer:
        """Runs it. Never raises for invalid input. Raises RateLimited if it waited for a turn, and the caller's other
        requests turned out to have cost more than the limit."""
        context = self._context
        payer = context.payer or context.claims
        turns = None if context.has_turn or payer.role == SERVICE.role else context.services.turns
        address, person = context.caller.address, payer.subject_text or None
        has_waited = False
        if turns is not None and (turn := turns.take(address, person)) is not None:
            with metrics.TURN_WAIT_SECONDS.time():
                await turn
            has_waited = True
        metering = METER.set(context.meter)
        try:
            if has_waited:
                await context.services.rate_limits.take(payer, address, 1)
            answer = await self._by_plan()
            if isinstance(answer, Answer):
                return answer
            self._runtime.count_fallback(answer.reason)
            await context.end(failed=True)
            completed = await self._without_plan(answer)
            if answer.error is not None:
                self._report(answer.error, completed)
            return completed
        except asyncio.CancelledError:
            context.cancel()
            raise
        finally:
            try:
                await context.finish()
            finally:
                METER.reset(metering)
                if turns is not None:
                    turns.leave(address, person)

    async def _by_plan(self) -> Answer | Fallback:
        if not self._runtime.settings.plans:
            return Fallback(Reason.OFF)
        variables = self._variables()
        if variables is None:
            return Fallback(Reason.VARIABLES)
        try:
            plan = self._operation.plans.get(variables.coerced)
        except NotPlanned as error:
            return Fallback(error.reason)
        run = Run(self._context, PlannedInfo(self._context), variables)
        if plan.is_mutation:
            return await self._mutate(plan, run)
        try:
            rendered_roots = await plan.run(run)
        except TryAgain as error:  # falling back would add to the load
            return self._failed(plan, error)
        except NotPlanned as error:  # of an object whose plan is made once its source is known
            return Fallback(error.reason)
        except (AclueError, GraphQLError):  # what a resolver refuses
            return Fallback(Reason.ERROR)
        except Exception as error:
            return Fallback(Reason.ERROR, error)
        self._runtime.count_plan()
        return planned(plan, rendered_roots)

    def _report(self, error: Exception, answer: Answer) -> None:
        """Logs, once per operation, that a plan failed where graphql-core's execution did not: the plan is at fault."""
        codes = {each["extensions"]["code"] for each in answer.errors or ()}
        if INTERNAL not in codes and not self._operation.has_failed_plan:
            self._operation.has_failed_plan = True
            log.warning("a plan failed", request_id=self._request_id, exc_info=error)

    def _variables(self) -> VariableValues | None:
        """The coerced variables; None if they are invalid, which graphql-core's execution then reports."""
        given = self._request.variables or {}
        variables = self._operation.variables.values(given)
        if variables is not None:
            return variables
        runtime = self._runtime
        definitions = self._operation.node.variable_definitions or ()
        # As in execute(). Without a limit, a hundred thousand invalid values would give as many errors.
        coerced = get_variable_values(
            runtime.core, definitions, given, MAX_VARIABLE_ERRORS, not runtime.settings.introspection
        )
        return coerced if isinstance(coerced, VariableValues) else None

    async def _mutate(self, plan: OperationPlan, run: Run) -> Answer | Fallback:
        """Runs a plan with one root field. Its resolver runs exactly once, even if rendering its payload fails."""
        (root,) = plan.roots
        context = self._context
        context.begin_write()
        try:
            waiting = root.get(run, None)
        except GraphQLError:  # invalid arguments: nothing has run
            return Fallback(Reason.ARGUMENTS)
        try:
            payload = [await await_if_awaitable(waiting)]
            try:
                answer = planned(plan, await root.value.render(run, payload))
            except Exception:
                if context.session.failure is not None:
                    raise
                return await self._complete(payload[0])
            await context.commit()
        except Exception as error:
            await context.end(failed=True)
            return self._failed(plan, error)
        self._runtime.count_plan()
        return answer

    async def _complete(self, payload: Any) -> Answer:
        """The write itself succeeded: graphql-core renders the payload, with null for the fields that failed."""
        mutation_type = self._runtime.core.mutation_type

        def resolved(resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            return payload if info.parent_type is mutation_type else resolve(source, info, **arguments)

        result = await self._execute(middleware=[resolved])
        await self._context.commit()
        self._runtime.count_fallback(Reason.PAYLOAD)
        answer = answered(result, self._context, self._request_id)
        answer.fallback = Reason.PAYLOAD
        return answer

    async def _without_plan(self, fallback: Fallback) -> Answer:
        """Runs on graphql-core, Strawberry and DataLoaders. Introspection results are cached per document."""
        key = (self._request.query, self._request.operation_name)
        is_introspection = self._operation.is_introspection and not self._request.variables
        known = self._runtime.introspections.get(key) if is_introspection else None
        if is_introspection:
            (metrics.INTROSPECTION_MISS if known is None else metrics.INTROSPECTION_HIT).inc()
        if known is not None:
            return Answer(known.data, fallback=fallback.reason)
        try:
            result = await self._execute(executor_class=_Executor)
        except GraphQLError as error:
            answer = refused((error,), self._context, self._request_id)
        else:
            answer = answered(result, self._context, self._request_id)
        answer.fallback = fallback.reason
        if is_introspection and not answer.errors and self._context.is_untouched:
            self._keep_introspection(key, answer)
        return answer

    def _keep_introspection(self, key: tuple[str, str | None], answer: Answer) -> None:
        introspections = self._runtime.introspections
        introspections[key] = Answer(answer.encoded_data())
        if len(introspections) > CACHE_INTROSPECTIONS:
            introspections.popitem(last=False)

    async def _execute(self, **options: Any) -> ExecutionResult:
        result = execute(
            self._runtime.core,
            self._tree,
            context_value=self._context,
            variable_values=self._request.variables,
            operation_name=self._request.operation_name,
            hide_suggestions=not self._runtime.settings.introspection,
            **options,
        )
        return result if isinstance(result, ExecutionResult) else await result

    def _failed(self, plan: OperationPlan, error: Exception) -> Answer:
        """The answer of a plan if all its root fields fail with the same error."""
        errors = [located_error(error, root.nodes, Path(None, root.key, None).as_list()) for root in plan.roots]
        if plan.is_nullable:
            result = ExecutionResult({root.key: None for root in plan.roots}, errors)
        else:
            result = ExecutionResult(None, errors[:1])
        return answered(result, self._context, self._request_id)
