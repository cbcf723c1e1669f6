"""A headless Chromium, driven over its DevTools protocol. It reaches this machine and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets

from tests.e2e.conftest import HANGS

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
    "--window-size=1400,900",
]
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"


class Page:
    """The one tab. `requests` are the addresses that it asked for, `complaints` what it found wrong: errors of scripts,
    and what its Content-Security-Policy or CORS refused."""

    def __init__(self, connection: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listener = asyncio.create_task(self._listen())

    async def start(self) -> Page:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        return self

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        await self._connection.send(
            msgspec.json.encode({"id": number, "method": method, "params": parameters}).decode()
        )
        async with asyncio.timeout(HANGS):
            result: dict[str, Any] = await answer
        return result

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, script: str) -> Any:
        """Of an expression of JavaScript; promises are awaited."""
        given = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in given, given["exceptionDetails"]
        return given["result"].get("value")

    async def until(self, condition: str) -> Any:
        """The value of an expression, once it is true."""
        async with asyncio.timeout(HANGS):
            while not (found := await self.value(condition)):  # noqa: ASYNC110  a page has no event for it
                await asyncio.sleep(0.05)
        return found

    async def picture(self) -> bytes:
        """A PNG of what is to be seen, for people."""
        return b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def _listen(self) -> None:
        async for text in self._connection:
            message = msgspec.json.decode(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message.get("result", {}))
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])

    async def close(self) -> None:
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[int]:
    """A browser that has never been anywhere, its profile in this folder: the port of its DevTools."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    command = [program, *OPTIONS, ALONE, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        said = folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + HANGS
        while not said.exists() or "\n" not in said.read_text():
            if time.monotonic() > deadline or process.poll() is not None:
                pytest.fail(f"the browser did not start: {folder / 'chromium.log'}")
            time.sleep(0.05)
        yield int(said.read_text().split("\n")[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(HANGS)


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """Its one tab."""
    with chromium(folder) as port:
        async with httpx.AsyncClient(timeout=HANGS) as http:
            tabs = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
        (tab,) = [each for each in tabs if each["type"] == "page"]
        async with websockets.connect(tab["webSocketDebuggerUrl"], max_size=None) as connection:
            page = Page(connection)
            try:
                yield await page.start()
            finally:
                await page.close()
