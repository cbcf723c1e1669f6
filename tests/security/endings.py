"""Ways in which a request can end, and what a connection must look like after each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import msgspec

from db.database import Database
from settings import Settings

BARE = {
    "user": "aclue_api",
    "role": "none",
    "claims": "",
    "claim": "",
    "sub": "",
    "claim_role": "",
    "request": "",
    "timeout": "0",
    "read_only": "off",
}
STATE = """
select current_user::text as user,
       current_setting('role') as role,
       coalesce(current_setting('request.jwt.claims', true), '') as claims,
       coalesce(current_setting('request.jwt.claim', true), '') as claim,
       coalesce(current_setting('request.jwt.claim.sub', true), '') as sub,
       coalesce(current_setting('request.jwt.claim.role', true), '') as claim_role,
       coalesce(current_setting('aclue.request_id', true), '') as request,
       current_setting('statement_timeout') as timeout,
       current_setting('transaction_read_only') as read_only
"""


async def state_of_next(database: Database) -> dict[str, str]:
    """The state of the connection that the next caller gets."""
    connection = await database.pool.acquire()
    try:
        row = await connection.fetchrow(STATE)
        assert row
        return dict(row)
    finally:
        database.pool.release(connection)


def with_one_connection(settings: Settings, *, statement_timeout: int) -> Settings:
    """A pool of a single connection, which the next session gets as well."""
    return msgspec.structs.replace(
        settings,
        database_pool_size=1,
        database_max_overflow=0,
        database_pool_timeout=5,
        database_statement_timeout=statement_timeout,
    )


class CancelledAt:
    """Awaits a coroutine and cancels it where it waits for the n-th time; `is_reached` says whether it got there."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], n: int) -> None:
        self._coroutine = coroutine
        self._n = n
        self.is_reached = False

    def __await__(self) -> Generator[Any, None, Any]:
        steps = self._coroutine.__await__()
        waits = 0
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                future = steps.throw(error) if error else steps.send(sent)
            except StopIteration as end:
                return end.value
            if waits == self._n:
                self.is_reached = True
                task = asyncio.current_task()
                assert task
                task.cancel()
            waits += 1
            sent = error = None
            try:
                sent = yield future
            except BaseException as thrown:
                error = thrown


async def cancelled_at(coroutine: Coroutine[Any, Any, Any], n: int) -> bool:
    """Whether the coroutine waited an n-th time; it was cancelled there."""
    cancelled = CancelledAt(coroutine, n)

    async def run() -> Any:
        return await cancelled

    (outcome,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if cancelled.is_reached:
        assert isinstance(outcome, asyncio.CancelledError), outcome
    elif isinstance(outcome, BaseException):
        raise outcome
    return cancelled.is_reached
