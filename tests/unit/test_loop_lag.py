"""The lag of the event loop is told from time in which it had nothing to do."""

from __future__ import annotations

import asyncio
import time

from db.loop_lag import LoopLag


async def test_only_a_busy_loop_lags() -> None:
    lag = LoopLag()
    assert lag.seconds(time.perf_counter()) == 0
    lag.start()
    try:
        await asyncio.sleep(0.2)
        idle = lag.seconds(time.perf_counter())
        time.sleep(0.5)  # noqa: ASYNC251  the loop is to be busy
        at_once = lag.seconds(time.perf_counter())  # before the timer had a turn
        await asyncio.sleep(0.2)
        assert at_once - idle > 0.4
        assert lag.seconds(time.perf_counter()) >= at_once
    finally:
        lag.stop()


async def test_a_lag_counts_once() -> None:
    lag = LoopLag()
    lag.start()
    time.sleep(0.3)  # noqa: ASYNC251  the loop is to be busy
    await asyncio.sleep(0.1)
    lag.stop()
    assert lag.seconds(time.perf_counter()) > 0.2
