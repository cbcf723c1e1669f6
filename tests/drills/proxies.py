"""A TCP proxy in front of a Postgres, as a network that fails in the ways that networks do."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from urllib.parse import urlsplit

from tests.bases.clusters import Cluster

CHUNK_BYTES = 16_384


class Proxy:
    """`async with Proxy(cluster) as proxy:` — `proxy.url(dsn)` leads through it."""

    def __init__(self, cluster: Cluster) -> None:
        self._socket = str(cluster.folder / ".s.PGSQL.5432")
        self._server: asyncio.Server | None = None
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._drops = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    def url(self, dsn: str) -> str:
        """The URL through the proxy instead of the socket."""
        assert self._server
        host, port = self._server.sockets[0].getsockname()
        parts = urlsplit(dsn)
        return parts._replace(netloc=f"{parts.netloc.rstrip('@')}@{host}:{port}", query="").geturl()

    def pause(self) -> None:
        """Delivers nothing until `resume`, and then everything."""
        self._is_open.clear()

    def drop(self) -> None:
        """Delivers the first half of the next part of an answer, and from then on nothing of that connection, ever;
        new connections get no answer until `resume`. Nobody is told."""
        self._drops = True

    def resume(self) -> None:
        self._drops = False
        self._is_open.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_unix_connection(self._socket)
            self._writers += [writer, to_server]
            pumps = [
                asyncio.create_task(self._pump(reader, to_server, is_answer=False)),
                asyncio.create_task(self._pump(from_server, writer, is_answer=True)),
            ]
            self._tasks.update(pumps)
            for pump in pumps:
                pump.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        is_dead = False
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._is_open.wait()
                if is_answer and self._drops and not is_dead:
                    writer.write(data[: len(data) // 2])
                    is_dead = True
                elif not is_dead:
                    writer.write(data)
        if not is_dead:
            writer.close()
