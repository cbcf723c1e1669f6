"""Responses to GraphQL requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import GraphQLError
from graphql.execution import ExecutionResult

from engine.errors import rendered
from plan.errors import Reason
from plan.leaves import NULL
from plan.operations import OperationPlan
from schema.context import Context
from services.public_answers import Source

Errors = list[dict[str, Any]]


@dataclass(slots=True)
class Answer:
    """`data` is JSON already if a plan rendered it. `is_refused`: the document never ran, and there is no `data`.
    `is_null`: every root field is null. `fallback`: why no plan answered. `subscribes_to`: the operation is a valid
    subscription to this field, and was refused only because it is one. `source`: where an answer that is the same for
    every caller came from."""

    data: dict[str, Any] | msgspec.Raw | None = None
    errors: Errors | None = None
    extensions: dict[str, Any] | None = None
    is_refused: bool = False
    is_null: bool = False
    fallback: Reason | None = None
    subscribes_to: str | None = None
    source: Source | None = None

    @property
    def members(self) -> dict[str, Any]:
        """Members of the JSON object that is sent."""
        members: dict[str, Any] = {} if self.is_refused else {"data": self.data}
        if self.errors:
            members["errors"] = self.errors
        if self.extensions:
            members["extensions"] = self.extensions
        return members

    @property
    def codes(self) -> Sequence[str]:
        """`extensions.code` of its errors."""
        return [error["extensions"]["code"] for error in self.errors] if self.errors else ()

    @property
    def retry_after(self) -> int | None:
        """The seconds after which the caller may retry, if an error says so."""
        if not self.errors:
            return None
        return max(error["extensions"].get("retryAfter", 0) for error in self.errors) or None

    def encode(self) -> bytes:
        """As JSON."""
        is_plain = not (self.is_refused or self.errors or self.extensions)  # as most answers are
        return msgspec.json.encode({"data": self.data} if is_plain else self.members)

    def encoded_data(self) -> msgspec.Raw:
        """`data` alone, as JSON."""
        return msgspec.Raw(msgspec.json.encode(self.data))


def planned(plan: OperationPlan, rendered_roots: Sequence[str]) -> Answer:
    """The answer of a plan, from the JSON of each of its root fields."""
    is_null = rendered_roots.count(NULL) == len(rendered_roots) > 0
    return Answer(msgspec.Raw(plan.render(rendered_roots).encode()), is_null=is_null)


def refused(errors: Sequence[GraphQLError], context: Context, request_id: str) -> Answer:
    """The answer to a document that did not run."""
    return Answer(errors=rendered(errors, context, request_id), is_refused=True)


def answered(result: ExecutionResult, context: Context, request_id: str) -> Answer:
    """The answer of graphql-core's execution."""
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        return refused(result.errors, context, request_id)
    return Answer(
        result.data,
        rendered(result.errors, context, request_id) if result.errors else None,
        is_null=result.data is not None and all(value is None for value in result.data.values()),
    )
