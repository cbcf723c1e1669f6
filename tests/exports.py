"""Exports as their clients ask for them, download and read them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec

from tests.client import Client
from tests.conftest import Shop
from tests.streams import HANGS, app_of
from transports.exports import Exports

EXPORT = """
mutation ($input: ExportMyDataInput) {
  exportMyData(input: $input) { url expiresAt userErrors { code message field } }
}
"""


async def asked(client: Client) -> dict[str, Any]:
    """The payload of an export that is asked for with whatever proof the client has."""
    return await client.do(EXPORT, input={"refreshToken": client.refresh_token})


async def downloaded(client: Client) -> str:
    response = await client.http.get((await asked(client))["url"])
    assert response.status_code == 200, response.text
    return response.text


class Export:
    """What stands in a complete file."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.text = text
        self.header, *rows, self.end = map(msgspec.json.decode, text[:-1].split("\n"))
        assert (self.header["kind"], self.end["kind"], self.end["complete"]) == ("header", "end", True)
        assert {row["kind"] for row in rows} == {"row"}
        self.data: dict[str, list[Any]] = {name: [] for name in self.header["tables"]}
        for row in rows:
            self.data[row["table"]].append(row["row"])
        assert self.end["tables"] == {name: len(found) for name, found in self.data.items()}
        assert self.end["rows"] == len(rows)


def another_process(shop: Shop) -> Exports:
    """What another server process has: the same secret and database, and no knowledge of this one's downloads."""
    return Exports(app_of(shop).exports._streams)


async def exported(client: Client) -> Export:
    return Export(await downloaded(client))


class Connection(asyncio.Queue[Any]):
    """Holds one message that the client has not taken. The server may end it: `transport` as uvicorn has it."""

    def __init__(self) -> None:
        super().__init__(maxsize=1)
        self.transport = self
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


class Download:
    """One GET, spoken to the app as a server does: the client takes one message after the other, and may go away.
    `process`: the Exports of another process than the shop's."""

    def __init__(self, shop: Shop, url: str, process: Exports | None = None, address: str = "192.0.2.1") -> None:
        self._gone = asyncio.Event()
        self._out = Connection()
        self.sizes: list[int] = []
        scope = {"type": "http", "method": "GET", "path": httpx.URL(url).path, "query_string": b"", "headers": []}
        app: Any = process or app_of(shop)
        self._task = asyncio.create_task(app({**scope, "client": (address, 1)}, self._receive, self._out.put))

    @property
    def is_cut_off(self) -> bool:
        return self._out.is_aborted

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def status(self) -> int:
        async with asyncio.timeout(HANGS):
            return int((await self._out.get())["status"])

    async def part(self) -> bytes | None:
        """The next piece of the body; None after the last."""
        async with asyncio.timeout(HANGS):
            message = await self._out.get()
        body: bytes = message["body"]
        self.sizes.append(len(body))
        return body if message.get("more_body") else None

    async def rest(self) -> bytes:
        parts = []
        while (part := await self.part()) is not None:
            parts.append(part)
        async with asyncio.timeout(HANGS):
            await self._task
        return b"".join(parts)

    async def ended(self) -> None:
        """The server has ended it, whatever was not taken by then."""
        async with asyncio.timeout(HANGS):
            await self._task

    async def go_away(self) -> None:
        self._gone.set()
        await self.ended()
