"""Claims in front of a query, in the query's own round trip: CLAIMS_MODE=pipelined. See docs/claims.md.

Postgres runs all messages up to a Sync as one transaction, and asyncpg ends each query with one. So what is written to
the connection right before asyncpg writes its query belongs to the query's transaction: the statement that sets the
claims, and a `begin` before it where more statements are to follow.

Whatever asyncpg does not promise is used in `Pipeline` and nowhere else. tests/integration/test_pipeline.py says which
assumption fails when a new asyncpg breaks one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from db.claims import APPLY, APPLY_READ_ONLY, REQUEST_ID, Claims, text_parameters

MOST_STATEMENTS = 512  # prepared on a connection at once
MOST_SQL = 400_000  # characters of their texts together; what Postgres keeps of one takes some hundred times its text
LONGEST_KEPT = 20_000

BEGIN_READING = "begin isolation level repeatable read read only"
BEGIN_WRITING = "begin isolation level read committed"

Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"
Messages: TypeAlias = bytes

_PREPARED = {
    "aclue_begin_reading": BEGIN_READING,
    "aclue_begin_writing": BEGIN_WRITING,
    "aclue_apply": APPLY,
    "aclue_apply_read_only": APPLY_READ_ONLY,
}
_APPLY_PARAMETERS = 5


def _bind(name: str, count: int, parameters: bytes) -> Messages:
    """Bind and Execute of a prepared statement, with parameters as text."""
    body = b"\0" + name.encode() + struct.pack("!chh", b"\0", 0, count) + parameters + b"\0\0"
    return b"B" + struct.pack("!i", 4 + len(body)) + body + b"E" + struct.pack("!i", 9) + b"\0" + bytes(4)


_BEGIN = {
    True: _bind("aclue_begin_reading", 0, b""),
    False: _bind("aclue_begin_writing", 0, b""),
}


def alone(claims: Claims, statement_timeout_ms: int) -> Messages:
    """What makes the statement after it a read-only transaction of its own under these claims."""
    return _apply("aclue_apply_read_only", claims, statement_timeout_ms)


def begun(claims: Claims, statement_timeout_ms: int, *, read_only: bool) -> Messages:
    """What begins a transaction under these claims."""
    return _BEGIN[read_only] + _apply("aclue_apply", claims, statement_timeout_ms)


def _apply(name: str, claims: Claims, statement_timeout_ms: int) -> Messages:
    of_this_request = text_parameters(str(statement_timeout_ms), REQUEST_ID.get())
    return _bind(name, _APPLY_PARAMETERS, claims.parameters + of_this_request)


class Pipeline:
    """The statements of one connection, and the messages in front of them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._protocol = connection._protocol  # noqa: SLF001
        self._write = connection._transport.write  # noqa: SLF001
        self._statements: dict[tuple[str, str], Statement] = {}  # by role and text, the one used last at the end
        self._length = 0
        self._kept: list[Statement] = []  # asyncpg closes a statement that nothing refers to

    async def open(self) -> None:
        """Prepares what is written in front of queries; before anything else."""
        self._kept = [await self._connection.prepare(sql, name=name) for name, sql in _PREPARED.items()]
        await self._connection.execute("select")  # asyncpg prepares without a Sync: that transaction ends here

    def known(self, role: str, sql: str) -> Statement | None:
        """The statement, where it has been prepared under this role. Plans depend on the role: row level security is
        part of them."""
        statement = self._statements.pop((role, sql), None)
        if statement is not None:
            self._statements[role, sql] = statement
        return statement

    async def prepare(self, role: str, sql: str) -> Statement:
        """Prepares a statement. Whoever asks must be in a transaction under this role: names are looked up in its
        name. Raises what asyncpg raises."""
        statement: Statement = await self._connection.prepare(sql)
        if len(sql) <= LONGEST_KEPT:
            self._statements[role, sql] = statement
            self._length += len(sql)
            while len(self._statements) > MOST_STATEMENTS or self._length > MOST_SQL:
                forgotten = next(iter(self._statements))
                del self._statements[forgotten]
                self._length -= len(forgotten[1])
        return statement

    async def fetch(self, statement: Statement, arguments: Sequence[Any], before: Messages = b"") -> list[Any]:
        """Rows of the statement, run after the messages `before` and in one transaction with them. Raises what asyncpg
        raises. A failure before the query itself was written terminates the connection: nothing would end what stands
        before it, and the next one to use the connection would go on under these claims."""
        protocol = self._protocol
        sent = protocol.queries_count
        try:
            if before:
                self._write(before)  # nothing is awaited between this and asyncpg's own write
            state: Any = statement._state  # type: ignore[attr-defined]  # noqa: SLF001
            rows: list[Any] = await protocol.bind_execute(state, arguments, "", 0, False, None)
            return rows
        except BaseException:
            if before and protocol.queries_count == sent:
                self._connection.terminate()
            raise
