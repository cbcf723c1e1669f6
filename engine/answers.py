"""What a request is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import GraphQLError
from graphql.execution import ExecutionResult

from engine.errors import rendered
from plan.leaves import NULL
from plan.operations import OperationPlan
from schema.context import Context

Errors = list[dict[str, Any]]


@dataclass(slots=True)
class Answer:
    """`data` is JSON already where a plan wrote it. `is_refused`: the document never ran, and there is no `data`.
    `is_null`: each root field is null. `server_timing`: a header of that name. `fallback`: why no plan answered.
    `subscribes_to`: it was refused because it is a subscription to this field, with nothing wrong about it."""

    data: dict[str, Any] | msgspec.Raw | None = None
    errors: Errors | None = None
    extensions: dict[str, Any] | None = None
    is_refused: bool = False
    is_null: bool = False
    server_timing: str | None = None
    fallback: str | None = None
    subscribes_to: str | None = None

    @property
    def members(self) -> dict[str, Any]:
        """Of the JSON object that is sent."""
        members: dict[str, Any] = {} if self.is_refused else {"data": self.data}
        if self.errors:
            members["errors"] = self.errors
        if self.extensions:
            members["extensions"] = self.extensions
        return members

    @property
    def retry_after(self) -> int | None:
        """In how many seconds the caller may try again, where an error says so."""
        if not self.errors:
            return None
        return max(error["extensions"].get("retryAfter", 0) for error in self.errors) or None

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self.members)

    def encoded_data(self) -> msgspec.Raw:
        """`data` alone, as JSON."""
        return msgspec.Raw(msgspec.json.encode(self.data))


def planned(plan: OperationPlan, texts: Sequence[str]) -> Answer:
    """Of what a plan wrote: a text per root field."""
    return Answer(msgspec.Raw(plan.render(texts).encode()), is_null=texts.count(NULL) == len(texts) > 0)


def refused(errors: Sequence[GraphQLError], context: Context, request_id: str) -> Answer:
    """To a document that did not run."""
    return Answer(errors=rendered(errors, context, request_id), is_refused=True)


def answered(result: ExecutionResult, context: Context, request_id: str) -> Answer:
    """Of what ordinary execution gave."""
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        return refused(result.errors, context, request_id)
    return Answer(
        result.data,
        rendered(result.errors, context, request_id) if result.errors else None,
        is_null=result.data is not None and all(value is None for value in result.data.values()),
    )
