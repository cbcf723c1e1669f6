"""Cancels slow requests when their client has disconnected or their time is up.

A fast request costs one dictionary entry, as it ends before the first check.
"""

from __future__ import annotations

import asyncio
from enum import Enum

from starlette.types import Receive

CHECK_SECONDS = 0.02  # between two checks; requests that started since the last one are skipped


class Abort(Enum):
    """Why a request was cancelled before it was answered."""

    DISCONNECTED = "the client has disconnected"
    TIMED_OUT = "the time is up"
    BODY_TIMED_OUT = "the time is up, and the body is incomplete"


class Watch:
    """Watches the task that creates it. Once `aborted` is set, the task has been cancelled for that reason."""

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
        """Nobody else receives from here on: the next message is a disconnect."""
        self._has_body = True
        if self._is_slow:
            self._listen()

    def stop(self) -> None:
        """The answer is ready: stop watching."""
        self._watches.end(self)
        if self._listener is not None:
            self._listener.cancel()

    def check(self, now: float) -> None:
        """Checks a slow request against its deadline."""
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
    """The watches of all running requests, each with the same timeout. One timer serves all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._interval = min(CHECK_SECONDS, seconds)
        self._running: dict[Watch, bool] = {}  # whether it was there at the last check
        self._scheduled_in: asyncio.AbstractEventLoop | None = None

    def __contains__(self, watch: Watch) -> bool:
        return watch in self._running

    def begin(self, watch: Watch) -> float:
        """Starts watching; returns the deadline, in the loop's time."""
        loop = asyncio.get_running_loop()
        if self._scheduled_in is not loop:
            self._scheduled_in = loop
            loop.call_later(self._interval, self._check_all, loop)
        self._running[watch] = False
        return loop.time() + self._seconds

    def end(self, watch: Watch) -> None:
        """Stops watching. Idempotent."""
        self._running.pop(watch, None)

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._running:
            self._scheduled_in = None
            return
        loop.call_later(self._interval, self._check_all, loop)
        now = loop.time()
        for watch, is_known in list(self._running.items()):
            if is_known:
                watch.check(now)
            else:
                self._running[watch] = True
