"""What each line of the log says beside its event: the request, and whom it was for, without saying who that is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import asyncpg

from db.claims import REQUEST_ID, SUBJECT
from domain.pseudonyms import Pseudonyms


class CallerProcessor:
    """Adds `request_id` and `subject`, a keyed hash of the caller's id: lines of a person can be found together for 30
    days, and only with the secret can a person's lines be found."""

    def __init__(self, secret: str) -> None:
        self._pseudonyms = Pseudonyms(secret.encode(), "log")

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if request_id := REQUEST_ID.get():
            event.setdefault("request_id", request_id)
        if subject := SUBJECT.get():
            event["subject"] = self._pseudonyms.of(subject, time.time()).hex()
        return event


def without_details(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Removes the DETAIL of errors of Postgres, which quotes whole rows: "Failing row contains (…)"."""
    given = event.get("exc_info")
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    for each in _chain(error):
        if isinstance(each, asyncpg.PostgresError):
            each.detail = None
    return event


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those behind it."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
