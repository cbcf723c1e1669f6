"""Keeps an eye on a request that takes long: ends it when its client has gone away or its time is up.

A fast request pays for one timer that never fires.
"""

from __future__ import annotations

import asyncio
from enum import Enum

from starlette.types import Receive

PATIENCE = 0.02  # seconds before anybody looks


class Ended(Enum):
    """Why a request was ended before its answer."""

    GONE = "the client has gone away"
    LATE = "the time is up"
    SLOW = "the time is up, and the body is not there"


class Watch:
    """Over the task that makes it. When `ended` says why, the task has been cancelled for that reason, once."""

    __slots__ = (
        "_has_body",
        "_is_over",
        "_is_slow",
        "_listener",
        "_loop",
        "_receive",
        "_seconds",
        "_task",
        "_timer",
        "ended",
    )

    def __init__(self, receive: Receive, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = loop = task.get_loop()
        self._receive = receive
        self._seconds = seconds
        self._has_body = self._is_slow = self._is_over = False
        self._listener: asyncio.Task[None] | None = None
        self.ended: Ended | None = None
        self._timer = loop.call_later(min(PATIENCE, seconds), self._look)

    def body_is_read(self) -> None:
        """From here on nobody else receives: what comes next is that the client goes away."""
        self._has_body = True
        if self._is_slow:
            self._listen()

    def over(self) -> None:
        """The answer is there: nothing is to be ended any more."""
        self._is_over = True
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def _look(self) -> None:
        self._is_slow = True
        self._timer = self._loop.call_later(max(0.0, self._seconds - PATIENCE), self._end, Ended.LATE)
        if self._has_body:
            self._listen()

    def _listen(self) -> None:
        self._listener = self._loop.create_task(self._wait_for_the_end())

    async def _wait_for_the_end(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(Ended.GONE)

    def _end(self, why: Ended) -> None:
        if not self._is_over and self.ended is None:
            self.ended = Ended.SLOW if why is Ended.LATE and not self._has_body else why
            self._task.cancel()
