"""Checks once a week whether the links of offers still lead somewhere. docs/imports.md

An offer whose link answers 404 or 410 three times in a row is deactivated. A tracking link is never requested, as that
would be a false click; the shop's page that it names is.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db.changes import EVERYBODY
from db.claims import SERVICE
from db.shop_links import shop_of
from domain import links
from services.feed_downloads import DownloadFailed, Limits, status_of
from services.services import Services
from settings import Settings

MAX_OF_SHOP = 200
MAX_OFFERS = 2000
RUN_SECONDS = 300.0
REQUEST_SECONDS = 10.0
PAUSE_SECONDS = 1.0
"""Between two requests to a shop."""
LEASE_SECONDS = 400
"""More than a run with its last requests takes."""
MAX_CHECKS_AT_ONCE = 4
"""Requests, to different shops; each takes one of the threads that the server has for everything that blocks."""
MAX_SILENT = 3
"""So many failures in a row end the checks of a shop for this run."""
RECORD_TIMEOUT_MS = 10 * 60 * 1000
MAX_NOTED = 20

_GONE = (404, 410)
_OVERLOADED = (429, 503)


@dataclass(frozen=True, slots=True)
class _Offer:
    id: UUID
    url: str
    checked_before: datetime | None
    shop: links.Shop
    page: str | None


@dataclass(slots=True)
class _Run:
    """What became of the claimed offers. `found`: whether the link leads somewhere, of those that say so."""

    unchecked: dict[UUID, _Offer]
    found: dict[UUID, bool] = field(default_factory=dict)


async def run(services: Services) -> int:
    """Checks some of the links that are due, of shops that no other server is checking. Returns how many offers it
    claimed."""
    if not services.settings.check_links:
        return 0
    offers = await _claim(services)
    checks = _Run({offer.id: offer for offer in offers if offer.page})
    try:
        await _check(services.settings, offers, checks)
        await _record(services, offers, checks.found)
    except BaseException:
        checks.unchecked |= {offer.id: offer for offer in offers if offer.id in checks.found}
        raise
    finally:
        await _release(services, list(checks.unchecked.values()))
    return len(offers)


async def _claim(services: Services) -> list[_Offer]:
    async with services.database.session(SERVICE, read_only=False) as session:
        if not await session.fetchval("link_checks.try_lock"):
            return []
        rows = await session.fetch(
            "link_checks.claim", of_shop=MAX_OF_SHOP, size=MAX_OFFERS, lease_seconds=LEASE_SECONDS
        )
        found = await session.fetch("link_checks.shops", ids=list({row["retailer_id"] for row in rows}))
    shops = {row["id"]: shop_of(row) for row in found}
    return [
        _Offer(
            row["id"],
            row["affiliate_url"],
            row["checked_before"],
            shops[row["retailer_id"]],
            links.page_of(row["affiliate_url"], shops[row["retailer_id"]]),
        )
        for row in rows
    ]


def _domain(offer: _Offer) -> str:
    return offer.shop.domain or ""


async def _check(settings: Settings, offers: Sequence[_Offer], checks: _Run) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    at_once = asyncio.Semaphore(MAX_CHECKS_AT_ONCE)
    by_domain = sorted((offer for offer in offers if offer.page), key=_domain)
    async with asyncio.TaskGroup() as group:
        for _, of_shop in itertools.groupby(by_domain, key=_domain):
            group.create_task(_check_shop(settings, list(of_shop), checks, at_once, deadline))


async def _check_shop(
    settings: Settings, offers: Sequence[_Offer], checks: _Run, at_once: asyncio.Semaphore, deadline: float
) -> None:
    silent = 0
    for offer in offers:
        status = None
        # HEAD is not for every server: a page counts as missing if GET says so, too.
        for method in ("HEAD", "GET"):
            if time.monotonic() > deadline:
                return
            async with at_once:
                status = await asyncio.to_thread(_status, settings, offer, method)
            await asyncio.sleep(PAUSE_SECONDS)
            if status is None or status < 400 or status in _OVERLOADED:
                break
        del checks.unchecked[offer.id]
        if status is not None and status < 500 and status not in _OVERLOADED:
            checks.found[offer.id] = status not in _GONE
            silent = 0
        else:
            silent += 1
        if status in _OVERLOADED or silent == MAX_SILENT:
            return


def _status(settings: Settings, offer: _Offer, method: str) -> int | None:
    """None: no answer."""
    assert offer.page is not None
    try:
        return status_of(
            offer.page,
            method,
            Limits(0, REQUEST_SECONDS, settings.allow_private_sources),
            user_agent=f"aclue-link-check (+{settings.base_url})",
            may_follow=lambda host: links.is_of_shop(host, offer.shop),
        )
    except DownloadFailed:
        return None


async def _record(services: Services, offers: Sequence[_Offer], found: dict[UUID, bool]) -> None:
    answered = [offer for offer in offers if offer.id in found]
    if not answered:
        return
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=RECORD_TIMEOUT_MS) as session:
        # Imports write offers and products in another order.
        await session.fetchval("product_imports.lock")
        changed = await session.fetch(
            "link_checks.record",
            ids=[offer.id for offer in answered],
            urls=[offer.url for offer in answered],
            found=[found[offer.id] for offer in answered],
        )
        if changed:
            session.note_change("feeds", EVERYBODY)
    for is_active, message in (
        (False, "links lead nowhere: offers deactivated"),
        (True, "links work again: offers active"),
    ):
        ids = [str(row["id"]) for row in changed if row["is_active"] is is_active]
        if ids:
            level = "info" if is_active else "warning"
            services.system_log.note(level, "link_checks", message, count=len(ids), offers=", ".join(ids[:MAX_NOTED]))


async def _release(services: Services, offers: Sequence[_Offer]) -> None:
    if not offers:
        return
    async with services.database.session(SERVICE, read_only=False) as session:
        await session.fetch(
            "link_checks.release", ids=[offer.id for offer in offers], times=[offer.checked_before for offer in offers]
        )
