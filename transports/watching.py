"""Keeps an eye on requests that take long: ends one when its client has gone away or its time is up.

A fast request pays for an entry in a dictionary: nobody looks before it is over.
"""

from __future__ import annotations

import asyncio
from enum import Enum

from starlette.types import Receive

LOOK_SECONDS = 0.02  # between two looks; what has begun since the last one is left alone


class Abort(Enum):
    """Why a request was ended before its answer."""

    DISCONNECTED = "the client has disconnected"
    TIMED_OUT = "the time is up"
    BODY_TIMED_OUT = "the time is up, and the body is incomplete"


class Watch:
    """Over the task that makes it. When `aborted` says why, the task has been cancelled for that reason, once."""

    __slots__ = ("_has_body", "_is_slow", "_listener", "_receive", "_task", "_watches", "aborted", "deadline")

    def __init__(self, watches: Watches, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._receive = receive
        self._watches = watches
        self._has_body = self._is_slow = False
        self._listener: asyncio.Task[None] | None = None
        self.aborted: Abort | None = None
        self.deadline = watches.begin(self)

    @property
    def has_body(self) -> bool:
        return self._has_body

    def body_is_read(self) -> None:
        """From here on nobody else receives: what comes next is that the client goes away."""
        self._has_body = True
        if self._is_slow:
            self._listen()

    def over(self) -> None:
        """The answer is there: nothing is to be ended any more."""
        self._watches.end(self)
        if self._listener is not None:
            self._listener.cancel()

    def look(self, now: float) -> None:
        """The request has taken a while, and this is the time."""
        if now >= self.deadline:
            self._end(Abort.TIMED_OUT if self._has_body else Abort.BODY_TIMED_OUT)
        elif not self._is_slow:
            self._is_slow = True
            if self._has_body:
                self._listen()

    def _listen(self) -> None:
        self._listener = asyncio.get_running_loop().create_task(self._wait_for_the_end())

    async def _wait_for_the_end(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(Abort.DISCONNECTED)

    def _end(self, why: Abort) -> None:
        if self in self._watches and self.aborted is None:
            self.aborted = why
            self._task.cancel()


class Watches:
    """Those of all requests that are being answered; each may take so many seconds. One timer looks after all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._interval = min(LOOK_SECONDS, seconds)
        self._running: dict[Watch, bool] = {}  # whether it was there at the last look
        self._looks_in: asyncio.AbstractEventLoop | None = None

    def __contains__(self, watch: Watch) -> bool:
        return watch in self._running

    def begin(self, watch: Watch) -> float:
        """Looks after it from now on; the moment, in the loop's time, at which it is too late."""
        loop = asyncio.get_running_loop()
        if self._looks_in is not loop:
            self._looks_in = loop
            loop.call_later(self._interval, self._look, loop)
        self._running[watch] = False
        return loop.time() + self._seconds

    def end(self, watch: Watch) -> None:
        """Looks after it no longer. Ending it twice is harmless."""
        self._running.pop(watch, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._running:
            self._looks_in = None
            return
        loop.call_later(self._interval, self._look, loop)
        now = loop.time()
        for watch, is_known in list(self._running.items()):
            if is_known:
                watch.look(now)
            else:
                self._running[watch] = True
