"""What goes wrong with one operation of a stream, which goes on: as the `errors` of an answer without data."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.errors import AclueError, RequestError, TryAgain
from engine.execution import Answer
from transports.requests import BadRequest


class Refused(Exception):
    """A subscription that is not to run; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("refused")
        self.answer = answer


class Broken(RequestError):
    """Something went wrong on our side; it stands in the log under this id."""

    def __init__(self, request_id: str) -> None:
        super().__init__("Something went wrong on our side.")
        self.request_id = request_id


PROBLEMS = (BadRequest, AclueError, Refused)


def problems(error: BadRequest | AclueError | Refused) -> bytes:
    """The `errors` of an answer without data, as JSON."""
    if isinstance(error, Refused):
        return errors_of(error.answer)
    extensions: dict[str, Any] = {"code": error.code}
    if isinstance(error, TryAgain):
        extensions["retryAfter"] = error.retry_after
    if isinstance(error, Broken):
        extensions["requestId"] = error.request_id
    return msgspec.json.encode([{"message": str(error), "extensions": extensions}])


class _Body(msgspec.Struct):
    errors: msgspec.Raw


def errors_of(answer: Answer) -> bytes:
    """The `errors` of an answer that has some, as JSON."""
    return bytes(msgspec.json.decode(answer.body, type=_Body).errors)
