"""What goes wrong with one operation of a stream, which goes on: as the `errors` of an answer without data."""

from __future__ import annotations

from typing import Any

from domain.errors import INTERNAL_MESSAGE, AclueError, RequestError, TryAgain
from engine.answers import Answer, Errors
from transports.requests import BadRequest


class Refused(Exception):
    """A subscription that is not to run; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("refused")
        self.answer = answer


class Broken(RequestError):
    """A fault of ours; it stands in the log under this id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(INTERNAL_MESSAGE)
        self.request_id = request_id


PROBLEMS = (BadRequest, AclueError, Refused)


def problems(error: BadRequest | AclueError | Refused) -> Errors:
    """The `errors` of an answer without data."""
    if isinstance(error, Refused):
        return error.answer.errors or []
    extensions: dict[str, Any] = {"code": error.code}
    if isinstance(error, TryAgain):
        extensions["retryAfter"] = error.retry_after
    if isinstance(error, Broken):
        extensions["requestId"] = error.request_id
    return [{"message": str(error), "extensions": extensions}]
