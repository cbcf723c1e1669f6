"""Wake-ups that come late: between the moment a future has its result and the moment the task that awaits it runs, the
rest of the program may run, and cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

# Without the limit, a task that never ends would hang the test.
TIMEOUT_SECONDS = 20


@dataclass
class LateWakeUp:
    """Runs a request whose n-th await, counted over all its tasks, wakes up some turns of the loop late; the request is
    cancelled as soon as what was awaited is there."""

    n: int
    turns: int
    is_reached: bool = False
    waits: int = 0
    request: asyncio.Task[Any] | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def run(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """What the request returned, or the exception with which it or one of its tasks ended."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_late_tasks)
        token = _PROBE.set(self)
        try:
            self.request = loop.create_task(_awaiting(request))
        finally:
            _PROBE.reset(token)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                (outcome,) = await asyncio.gather(self.request, return_exceptions=True)
                while unfinished := [task for task in self.tasks if not task.done()]:
                    await asyncio.wait(unfinished)
            return outcome
        finally:
            loop.set_task_factory(None)


_PROBE: ContextVar[LateWakeUp | None] = ContextVar("probe", default=None)


async def _awaiting(request: Callable[[], Awaitable[Any]]) -> Any:
    return await request()


def _late_tasks(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    probe = _PROBE.get()
    if probe is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    task = asyncio.Task(_driven(coroutine, probe), loop=loop, **options)
    task.add_done_callback(lambda _: coroutine.close())  # cancelled before its first step, it was never awaited
    probe.tasks.append(task)
    return task


async def _driven(coroutine: Coroutine[Any, Any, Any], probe: LateWakeUp) -> Any:
    return await _Steps(coroutine, probe)


class _Steps:
    def __init__(self, coroutine: Coroutine[Any, Any, Any], probe: LateWakeUp) -> None:
        self._coroutine = coroutine
        self._probe = probe

    def __await__(self) -> Generator[Any, None, Any]:
        probe, steps = self._probe, self._coroutine.__await__()
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                future = steps.throw(error) if error else steps.send(sent)
            except StopIteration as end:
                return end.value
            is_late, probe.waits = probe.waits == probe.n, probe.waits + 1
            sent = error = None
            try:
                sent = yield future
            except BaseException as thrown:
                error = thrown
            if not is_late:
                continue
            probe.is_reached = True
            assert probe.request
            probe.request.cancel()
            try:
                for _ in range(probe.turns):
                    yield
            except BaseException as thrown:
                error = thrown
