"""Errors of a single operation on a stream, which itself stays open: rendered as `errors` without `data`."""

from __future__ import annotations

from typing import Any

from db import metrics
from domain.errors import INTERNAL_MESSAGE, AclueError, RequestError, TryAgain
from engine.answers import Answer, Errors
from transports.requests import BadRequest


class Refused(Exception):
    """A subscription was refused; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("refused")
        self.answer = answer


class Broken(RequestError):
    """An internal error, logged under this id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(INTERNAL_MESSAGE)
        self.request_id = request_id


PROBLEMS = (BadRequest, AclueError, Refused)


def problems(error: BadRequest | AclueError | Refused) -> Errors:
    """The `errors` of a response without `data`, which it counts."""
    codes = error.answer.codes if isinstance(error, Refused) else (error.code,)
    metrics.count_answer("stream", codes)
    if isinstance(error, Refused):
        return error.answer.errors or []
    extensions: dict[str, Any] = {"code": error.code}
    if isinstance(error, TryAgain):
        extensions["retryAfter"] = error.retry_after
    if isinstance(error, Broken):
        extensions["requestId"] = error.request_id
    return [{"message": str(error), "extensions": extensions}]
