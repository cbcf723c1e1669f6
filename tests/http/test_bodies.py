"""Bodies of requests that are still being received share a budget of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from domain.errors import RateLimited
from services.rate_limits import RateLimits
from tests.conftest import Shop
from tests.streams import HANGS, app_of
from transports.bodies import SHARES, STEP_BYTES, Bodies
from transports.requests import charge_for_bytes
from transports.watching import Watches

SIZE = 6 * STEP_BYTES
OF_A_NETWORK = 10
LIMIT = SHARES * OF_A_NETWORK * SIZE
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


async def refused(upload: Upload) -> bool:
    """Whether its body got no place, or lost it."""
    if await upload.taken():
        return False
    status, headers, body = await upload.answer()
    assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"1", b"close")
    assert body["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 1}
    return True


async def completed(upload: Upload) -> bool:
    """Whether the rest of its body is still taken."""
    await upload.send(BODY[SIZE * 9 // 10 :], is_last=True)
    return (await upload.answer())[0] == 200


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
    waiting = [upload for upload in uploads if not await refused(upload)]
    assert len(waiting) == SHARES * OF_A_NETWORK
    await ended(waiting)


async def test_a_body_counts_by_what_has_come_of_it(shop: Shop, bodies: Bodies) -> None:
    declared = [Upload(shop, "192.0.2.1") for _ in range(2 * OF_A_NETWORK)]
    for upload in declared:
        await upload.send(b"{")
        assert await upload.taken()
    assert bodies.total == len(declared) * STEP_BYTES
    await ended(declared)


async def test_one_network_leaves_room_for_others(shop: Shop, bodies: Bodies) -> None:
    uploads = await begun(shop, "2001:db8:1::1", OF_A_NETWORK)
    (same_site,) = await begun(shop, "2001:db8:1:ffff::1", 1)
    (other,) = await begun(shop, "2001:db8:2::1", 1)
    assert bodies.total == (OF_A_NETWORK + 1) * SIZE
    assert await refused(uploads[0]), "the one that has waited longest gives way to its neighbour"
    assert await completed(other)
    await ended([*uploads[1:], same_site])


async def test_where_all_is_taken_the_network_that_holds_the_most_gives_way(shop: Shop, bodies: Bodies) -> None:
    small = await begun(shop, "192.0.2.100", 1)
    large = [await begun(shop, f"192.0.2.{network}", OF_A_NETWORK) for network in range(SHARES)]
    assert await refused(large[0][0]), "there was no room for the last of them"
    assert bodies.total == LIMIT
    (newcomer,) = await begun(shop, "192.0.2.200", 1)
    assert await refused(large[1][0])
    assert await completed(newcomer)
    assert await completed(small[0])
    await ended([*large[0][1:], *large[1][1:], *large[2], *large[3]])


async def test_a_body_that_is_alone_in_holding_the_most_gives_way_itself(shop: Shop, bodies: Bodies) -> None:
    others = [Upload(shop, f"192.0.2.{number}") for number in range(LIMIT // STEP_BYTES - 1)]
    for upload in others:
        await upload.send(b"{")
        await upload.taken()
    (large,) = await begun(shop, "198.51.100.1", 1)
    assert await refused(large)
    assert all([await upload.taken() for upload in others])
    await ended(others)


async def test_a_body_that_comes_in_one_piece_is_never_refused(shop: Shop, bodies: Bodies) -> None:
    uploads = [u for network in range(SHARES) for u in await begun(shop, f"192.0.2.{network}", OF_A_NETWORK)]
    assert bodies.total == LIMIT
    whole = Upload(shop, "192.0.2.0")
    await whole.send(BODY, is_last=True)
    assert (await whole.answer())[0] == 200
    await ended(uploads)


async def test_a_body_that_was_received_makes_room_for_the_next(shop: Shop, bodies: Bodies) -> None:
    uploads = await begun(shop, "192.0.2.1", OF_A_NETWORK)
    assert await completed(uploads[0])
    (later,) = await begun(shop, "192.0.2.1", 1)
    assert all([await upload.taken() for upload in [*uploads[1:], later]])
    await ended([*uploads[1:], later])


async def test_a_network_may_always_send_one_body() -> None:
    bodies = Bodies(100, 1_000_000)
    with bodies.receiving("192.0.2.1") as reservation:
        reservation.grow(1_000_000)
    assert bodies.total == 0


@pytest.fixture
def charged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What addresses were charged."""
    found: list[tuple[str, int]] = []

    async def take_address(self: RateLimits, address: str, cost: int) -> None:
        found.append((address, cost))

    monkeypatch.setattr(RateLimits, "take_address", take_address)
    return found


async def test_what_came_of_a_body_that_gave_way_is_charged(
    shop: Shop, bodies: Bodies, charged: list[tuple[str, int]]
) -> None:
    uploads = await begun(shop, "192.0.2.1", OF_A_NETWORK + 1)
    assert await refused(uploads[0])
    assert charged == [("192.0.2.1", charge_for_bytes(SIZE * 9 // 10))]
    await ended(uploads[1:])


async def test_what_came_of_a_body_that_took_too_long_is_charged(
    shop: Shop, bodies: Bodies, charged: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_of(shop).graphql, "_watches", Watches(0.2))
    (late,) = await begun(shop, "192.0.2.1", 1)
    assert (await late.answer())[0] == 408
    assert charged == [("192.0.2.1", charge_for_bytes(SIZE * 9 // 10))]


async def test_who_has_nothing_left_is_told_so_instead(
    shop: Shop, bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take_address(self: RateLimits, address: str, cost: int) -> None:
        raise RateLimited("Too much.", 7)

    monkeypatch.setattr(RateLimits, "take_address", take_address)
    monkeypatch.setattr(app_of(shop).graphql, "_watches", Watches(0.2))
    (late,) = await begun(shop, "192.0.2.1", 1)
    status, headers, _ = await late.answer()
    assert (status, headers[b"retry-after"], headers[b"connection"]) == (429, b"7", b"close")
