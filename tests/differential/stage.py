"""A filled database with both services on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import httpx

from server import create_app
from settings import Settings
from tests.bases import TEMPLATE, Base
from tests.catalogue import fill_catalogue
from tests.conftest import SECRET, Shop, cloned
from tests.differential.apps import Pair, serving
from tests.differential.data import fill
from tests.differential.world import World, explore


@dataclass(frozen=True)
class Stage:
    """`since` is when the database had been filled."""

    pair: Pair
    world: World
    since: datetime


@contextlib.asynccontextmanager
async def staged(base: Base, settings: Settings, *, copies: bool = False) -> AsyncIterator[Stage]:
    """Both services on one filled database; with `copies`, on two copies of it, for documents that write."""
    async with cloned(base, TEMPLATE) as dsns:
        assert dsns.owner
        owner = await asyncpg.connect(dsns.owner)
        app = create_app(settings, dsns.api, SECRET, background=())
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
        ):
            await fill_catalogue(owner)
            shop = Shop(app.state.services, owner, dsns, http, base, app.state.engine)
            world = await explore(shop, await fill(shop))
        await owner.close()
        await asyncio.sleep(0.002)  # ids tell milliseconds: all that follow are younger
        since = datetime.now(UTC)
        if not copies:
            async with serving(settings, dsns.api, dsns.api) as pair:
                yield Stage(pair, world, since)
            return
        name = dsns.api.partition("?")[0].rpartition("/")[2]
        async with (
            cloned(base, name) as ours,
            cloned(base, name) as theirs,
            serving(settings, ours.api, theirs.api) as pair,
        ):
            yield Stage(pair, world, since)
