"""Renders errors for responses: each gets a code, and none exposes internals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from domain import errors
from schema.context import Context

log = structlog.get_logger("aclue.engine")

INTERNAL = "INTERNAL_SERVER_ERROR"
MAX_MESSAGE = 500  # characters: validation messages quote the offending value
MAX_LOCATIONS = 10


def shortened(message: str) -> str:
    """The message, truncated to MAX_MESSAGE characters."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"


def rendered(found: Sequence[GraphQLError], context: Context, request_id: str) -> list[dict[str, Any]]:
    """Errors as JSON objects. An internal error is replaced by a generic message; the log has it under the request id,
    and the system log, for administrators, only its type."""
    return [_rendered(error, context, request_id) for error in found]


def _rendered(error: GraphQLError, context: Context, request_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": shortened(error.message)}
    if error.locations:
        answer["locations"] = [location.formatted for location in error.locations[:MAX_LOCATIONS]]
    if error.path:
        answer["path"] = list(error.path)
    cause = error.original_error
    extensions: dict[str, Any] = {"code": code_of(error)}
    if isinstance(cause, errors.TryAgain):
        extensions["retryAfter"] = cause.retry_after
    if extensions["code"] == INTERNAL:
        log.error("internal error", request_id=request_id, path=error.path, exc_info=cause or error)
        exception = type(cause or error).__name__
        context.services.system_log.note(
            "error", "graphql", "internal error", request_id=request_id, exception=exception
        )
        answer["message"] = errors.INTERNAL_MESSAGE
        extensions["requestId"] = request_id
    answer["extensions"] = extensions
    return answer


def code_of(error: GraphQLError) -> str:
    """`extensions.code` of an error."""
    cause = error.original_error
    if isinstance(cause, errors.Invalid):
        return "BAD_USER_INPUT"  # in a query, which has no payload with the code INVALID
    if isinstance(cause, errors.AclueError):
        return cause.code
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED"
    if error.extensions and "code" in error.extensions:
        return str(error.extensions["code"])
    # Raised before any field ran: variables or an operationName that do not fit the document.
    if error.path is None or error.message.startswith(("Argument ", "Variable ")):
        return "BAD_USER_INPUT"
    return INTERNAL
