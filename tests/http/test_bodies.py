"""Bodies of requests that are still being received share a budget of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.conftest import Shop
from tests.streams import HANGS, app_of
from transports.bodies import SHARES, Bodies

LIMIT, SIZE = 4_000_000, 100_000
OF_A_NETWORK = LIMIT // SHARES // SIZE
BODY = msgspec.json.encode({"query": "{ __typename }", "extensions": {"x": ""}})
BODY = BODY.replace(b'""', b'"' + b"x" * (SIZE - len(BODY)) + b'"')


class Upload:
    """One POST, spoken to the app as a server does."""

    def __init__(self, shop: Shop, address: str, *, is_declared: bool = True) -> None:
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        headers = [(b"content-type", b"application/json")]
        if is_declared:
            headers.append((b"content-length", b"%d" % SIZE))
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "query_string": b"",
            "headers": headers,
            "client": (address, 1),
        }
        self.task = asyncio.create_task(app_of(shop)(scope, self._in.get, self._out.put))

    async def send(self, part: bytes, *, is_last: bool = False) -> None:
        self._in.put_nowait({"type": "http.request", "body": part, "more_body": not is_last})
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        self._in.put_nowait({"type": "http.disconnect"})

    async def taken(self) -> bool:
        """All that was sent has been looked at; whether there is no answer yet."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self._out.empty()

    async def answer(self) -> tuple[int, dict[bytes, bytes], Any]:
        async with asyncio.timeout(HANGS):
            start, body = await self._out.get(), await self._out.get()
            await self.task
        return start["status"], dict(start["headers"]), msgspec.json.decode(body["body"])


@pytest.fixture
async def bodies(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bodies]:
    settings = shop.services.settings
    found = Bodies(LIMIT, settings.max_body_bytes)
    monkeypatch.setattr(app_of(shop).graphql, "_bodies", found)
    yield found
    assert found.total == 0, "all is given back"


async def begun(shop: Shop, address: str, count: int, **options: Any) -> list[Upload]:
    """So many clients that have sent most of a body and wait."""
    uploads = [Upload(shop, address, **options) for _ in range(count)]
    for upload in uploads:
        await upload.send(BODY[: SIZE * 9 // 10])
        await upload.taken()
    return uploads


async def ended(uploads: list[Upload]) -> None:
    for upload in uploads:
        upload.hang_up()
    async with asyncio.timeout(HANGS):
        await asyncio.gather(*(upload.task for upload in uploads))


@pytest.mark.parametrize("is_declared", [True, False], ids=["Content-Length", "chunked"])
async def test_bodies_that_are_not_finished_take_no_more_than_the_budget(
    shop: Shop, bodies: Bodies, is_declared: bool
) -> None:
    uploads = [
        upload
        for network in range(2 * SHARES)
        for upload in await begun(shop, f"192.0.2.{network}", OF_A_NETWORK, is_declared=is_declared)
    ]
    assert LIMIT - SIZE < bodies.total <= LIMIT
    waiting = [upload for upload in uploads if await upload.taken()]
    refused = [upload for upload in uploads if upload not in waiting]
    assert len(refused) >= len(uploads) // 3
    for upload in refused:
        status, headers, body = await upload.answer()
        assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"1", b"close")
        assert body["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 1}
    await ended(waiting)


async def test_one_network_leaves_room_for_others(shop: Shop, bodies: Bodies) -> None:
    uploads = await begun(shop, "2001:db8:1::1", OF_A_NETWORK)
    (too_many,) = await begun(shop, "2001:db8:1:ffff::1", 1)  # the same /48
    assert (await too_many.answer())[0] == 503
    (other,) = await begun(shop, "2001:db8:2::1", 1)
    await other.send(BODY[SIZE * 9 // 10 :], is_last=True)
    assert (await other.answer())[0] == 200
    await ended(uploads)


async def test_a_body_that_comes_in_one_piece_is_never_refused(shop: Shop, bodies: Bodies) -> None:
    uploads = [u for network in range(SHARES) for u in await begun(shop, f"192.0.2.{network}", OF_A_NETWORK)]
    assert bodies.total == LIMIT
    whole = Upload(shop, "192.0.2.0")
    await whole.send(BODY, is_last=True)
    assert (await whole.answer())[0] == 200
    await ended(uploads)


async def test_a_body_that_was_received_makes_room_for_the_next(shop: Shop, bodies: Bodies) -> None:
    uploads = await begun(shop, "192.0.2.1", OF_A_NETWORK)
    await uploads[0].send(BODY[SIZE * 9 // 10 :], is_last=True)
    assert (await uploads[0].answer())[0] == 200
    (later,) = await begun(shop, "192.0.2.1", 1)
    assert await later.taken()
    await ended([*uploads[1:], later])


def test_a_network_may_always_send_one_body() -> None:
    bodies = Bodies(100, 1_000_000)
    bodies.add("192.0.2.1", 1_000_000)
    bodies.remove("192.0.2.1", 1_000_000)
    assert bodies.total == 0
