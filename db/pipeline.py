"""Claims in front of a query, in the query's own round trip: CLAIMS_MODE=pipelined. See docs/claims.md.

Postgres runs all messages up to a Sync in one transaction, and asyncpg ends each query with one. So messages written
right before a query of asyncpg's belong to the query's transaction: the statement that sets the claims, after a `begin`
if more statements are to follow. Everything goes out in one write, so that Postgres wakes up once.

All use of asyncpg's internals is confined to this module. tests/integration/test_pipeline.py names the assumption that
a new version of asyncpg breaks.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import asyncpg

from db.claims import APPLY, APPLY_READ_ONLY, REQUEST_ID, Claims, int32, text_parameters

MAX_STATEMENTS = 512  # prepared per connection
MAX_SQL_LENGTH = 400_000  # characters of all of them; Postgres needs about a hundred times as much memory
MAX_CACHED_SQL_LENGTH = 20_000

BEGIN = {  # by whether the transaction only reads
    True: "begin isolation level repeatable read read only",
    False: "begin isolation level read committed",
}

Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"
Messages: TypeAlias = bytes

_PREPARED = {
    "aclue_begin_reading": BEGIN[True],
    "aclue_begin_writing": BEGIN[False],
    "aclue_apply": APPLY,
    "aclue_apply_read_only": APPLY_READ_ONLY,
    "aclue_commit": "commit",
}
_APPLY_PARAMETERS = 5


_EXECUTE = b"\0\0E" + int32(9) + b"\0" + bytes(4)  # after the parameters: all results as text, all rows


def _binds(name: str, count: int) -> Callable[[bytes], Messages]:
    """A function that builds Bind and Execute messages for a prepared statement with text parameters."""
    head = b"\0" + name.encode() + struct.pack("!chh", b"\0", 0, count)
    length = 4 + len(head) + 2

    def bind(parameters: bytes) -> Messages:
        return b"".join((b"B", int32(length + len(parameters)), head, parameters, _EXECUTE))

    return bind


_BEGIN = {
    True: _binds("aclue_begin_reading", 0)(b""),
    False: _binds("aclue_begin_writing", 0)(b""),
}
END = _binds("aclue_commit", 0)(b"")
"""Messages that commit, after the last statement of a transaction."""
_SYNC = b"S" + int32(4)
_apply = _binds("aclue_apply", _APPLY_PARAMETERS)
_apply_read_only = _binds("aclue_apply_read_only", _APPLY_PARAMETERS)


def single_statement_prefix(claims: Claims, statement_timeout_ms: int) -> Messages:
    """Messages that make the following statement a read-only transaction of its own under these claims."""
    return _apply_read_only(_parameters(claims, statement_timeout_ms))


def begin_prefix(claims: Claims, statement_timeout_ms: int, *, read_only: bool) -> Messages:
    """Messages that begin a transaction under these claims."""
    return _BEGIN[read_only] + _apply(_parameters(claims, statement_timeout_ms))


def applied(claims: Claims, statement_timeout_ms: int) -> Messages:
    """Messages that run the rest of an open transaction under these claims."""
    return _apply(_parameters(claims, statement_timeout_ms))


def _parameters(claims: Claims, statement_timeout_ms: int) -> bytes:
    return claims.parameters + text_parameters(str(statement_timeout_ms), REQUEST_ID.get())


class _Wire:
    """Wraps a connection's transport. The messages in `ahead` are sent in front of what asyncpg writes next, those in
    `behind` after it, before the final Sync. `plain` is the wrapped transport."""

    __slots__ = ("_write", "ahead", "behind", "plain")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.plain = transport
        self._write = transport.write
        self.ahead = self.behind = b""

    def write(self, data: Any) -> None:
        if self.behind:
            if data[-len(_SYNC) :] != _SYNC:
                raise RuntimeError("asyncpg no longer ends queries with a Sync")
            data = b"".join((self.ahead, data[: -len(_SYNC)], self.behind, _SYNC))
        elif self.ahead:
            data = b"".join((self.ahead, data))
        self.ahead = self.behind = b""
        self._write(data)

    def writelines(self, parts: Iterable[Any]) -> None:
        self.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class WiredLoop:
    """Proxies the running loop for asyncpg.connect, so that its connections can be pipelined."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Callable[[], Any], *arguments: Any, **options: Any) -> Any:
        transport, protocol = await self._loop.create_connection(lambda: _wired(factory()), *arguments, **options)
        # The protocol that negotiates TLS passes its transport on to asyncpg's, or starts TLS on it.
        return (transport if hasattr(protocol, "wire") else _Wire(transport)), protocol

    async def start_tls(self, transport: Any, *arguments: Any, **options: Any) -> Any:
        plain = transport.plain if isinstance(transport, _Wire) else transport
        begun = await self._loop.start_tls(plain, *arguments, **options)
        return None if begun is None else _Wire(begun)

    async def create_unix_connection(self, factory: Callable[[], Any], *arguments: Any, **options: Any) -> Any:
        return await self._loop.create_unix_connection(lambda: _wired(factory()), *arguments, **options)


def _wired(protocol: Any) -> Any:
    if isinstance(protocol, asyncpg.protocol.Protocol):  # not the ones that negotiate TLS or cancel
        of_ours: Any = protocol
        made = of_ours.connection_made

        def connection_made(transport: asyncio.Transport) -> None:
            of_ours.wire = _Wire(transport)
            made(of_ours.wire)

        of_ours.connection_made = connection_made
    return protocol


async def cancellation_ended(connection: Any, seconds: float) -> None:
    """Waits until the cancel request that asyncpg sends when a statement's task is cancelled was delivered, and the
    statement has ended. Returns at once if there is none. Raises TimeoutError, after closing the connection, and
    ConnectionDoesNotExistError if it was closed meanwhile.

    Postgres drops a cancel request that arrives while no statement runs, and it has arrived when its own connection is
    closed, which asyncpg waits for: it never meets a later statement."""
    protocol = connection._protocol  # noqa: SLF001
    if protocol is None:
        raise asyncpg.ConnectionDoesNotExistError("the connection was closed")
    await protocol._wait_for_cancellation(seconds)  # noqa: SLF001


class Pipeline:
    """The prepared statements of a connection opened by a WiredLoop, and the messages sent with them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._protocol = connection._protocol  # noqa: SLF001
        self._wire: _Wire = getattr(self._protocol, "wire", None) or connection._transport  # noqa: SLF001
        self._statements: dict[tuple[str, str], Statement] = {}  # by role and text, the most recently used last
        self._length = 0
        self._kept: list[Statement] = []  # asyncpg closes statements that are not referenced

    async def open(self) -> None:
        """Prepares the statements of all prefixes. Must be called first."""
        self._kept = [await self._connection.prepare(sql, name=name) for name, sql in _PREPARED.items()]
        await self._connection.execute("select")  # asyncpg prepares without a Sync; this ends that transaction

    def known(self, role: str, sql: str) -> Statement | None:
        """The statement, if it has been prepared under this role. Plans include row level security, and so depend on
        the role."""
        statement = self._statements.pop((role, sql), None)
        if statement is not None:
            self._statements[role, sql] = statement
        return statement

    async def prepare(self, role: str, sql: str) -> Statement:
        """Prepares a statement. The caller must be in a transaction under this role, with whose privileges names are
        resolved. Raises what asyncpg raises."""
        statement: Statement = await self._connection.prepare(sql)
        if len(sql) <= MAX_CACHED_SQL_LENGTH:
            self._statements[role, sql] = statement
            self._length += len(sql)
            while len(self._statements) > MAX_STATEMENTS or self._length > MAX_SQL_LENGTH:
                forgotten = next(iter(self._statements))
                del self._statements[forgotten]
                self._length -= len(forgotten[1])
        return statement

    async def fetch(
        self, statement: Statement, arguments: Sequence[Any], before: Messages = b"", after: Messages = b""
    ) -> list[Any]:
        """Rows of the statement, run after the messages `before` in the same transaction; `after` runs unless it fails.
        Raises what asyncpg raises. If the query is not sent, because its arguments are invalid, nothing is."""
        wire = self._wire
        wire.ahead, wire.behind = before, after
        self._connection.operations += 1
        try:
            state: Any = statement._state  # type: ignore[attr-defined]  # noqa: SLF001
            rows: list[Any] = await self._protocol.bind_execute(state, arguments, "", 0, False, None)
            return rows
        finally:
            self._connection.operations -= 1
            wire.ahead = wire.behind = b""
