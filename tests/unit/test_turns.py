"""Turns: a share of the connections for each network, in the order of asking."""

from __future__ import annotations

import asyncio

from services.turns import Turns

HERE, THERE = "192.0.2.1", "198.51.100.7"


async def taken(turns: Turns, address: str, person: str | None) -> None:
    turn = turns.take(address, person)
    if turn is not None:
        await turn


async def waiting(turns: Turns, address: str, order: list[str], name: str) -> asyncio.Task[None]:
    async def take() -> None:
        await taken(turns, address, None)
        order.append(name)

    task = asyncio.create_task(take())
    await asyncio.sleep(0)
    return task


async def test_a_network_waits_for_itself_and_nobody_for_it() -> None:
    turns, order = Turns(6), list[str]()
    for _ in range(4):
        await taken(turns, HERE, None)
    tasks = [await waiting(turns, HERE, order, name) for name in ("first", "second")]
    for _ in range(4):
        await taken(turns, THERE, None)
    assert order == []
    for _ in range(2):
        turns.leave(HERE, None)
    await asyncio.gather(*tasks)
    assert order == ["first", "second"]


async def test_who_hangs_up_loses_no_turn() -> None:
    turns, order = Turns(3), list[str]()
    for _ in range(2):
        await taken(turns, HERE, None)
    gone, given_and_gone, last = [await waiting(turns, HERE, order, name) for name in ("gone", "given", "last")]
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    turns.leave(HERE, None)  # to the second, who is cancelled before it notices
    given_and_gone.cancel()
    await asyncio.gather(given_and_gone, return_exceptions=True)
    await last
    assert order == ["last"]
    for _ in range(2):
        turns.leave(HERE, None)
    assert not turns._running
    assert not turns._waiting


async def test_a_household_and_its_site_both_have_a_share() -> None:
    turns, order = Turns(3), list[str]()
    await taken(turns, "2001:db8:1:1::1", None)
    await taken(turns, "2001:db8:1:2::1", None)
    task = await waiting(turns, "2001:db8:1:3::1", order, "a third house of the site")
    assert order == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    turns.leave("2001:db8:1:1::1", None)
    turns.leave("2001:db8:1:2::1", None)
    assert not turns._running, "the house that waited has left its own share"


async def test_a_person_waits_for_themselves() -> None:
    """Whatever networks they come from: their writes wait for each other in the database, too."""
    turns, anna, order = Turns(8), "anna", list[str]()
    await taken(turns, HERE, anna)
    await taken(turns, THERE, anna)

    async def third() -> None:
        await taken(turns, "203.0.113.5", anna)
        order.append("third")

    task = asyncio.create_task(third())
    await asyncio.sleep(0)
    await taken(turns, HERE, "ben")
    assert order == []
    turns.leave(HERE, anna)
    await task
    assert order == ["third"]
