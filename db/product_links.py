"""The links of an import: what a mapping says of its shop's, and which rows lead to a host that is not the shop's.

Runs in the transaction of the import, on its staging table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

import asyncpg

from db.feed_rows import FeedRows
from db.queries import QUERIES
from db.shop_links import rules_of, shop_of
from domain.feed_mappings import ImportFailed, Retailer
from domain.feeds import Reject, shown
from domain.hosts import BadAddress
from domain.links import Shop, common_domain, read_link, shop_hosts

_BATCH_ROWS = 5000


def _query(block: str) -> str:
    return QUERIES[f"product_imports.{block}"].sql


async def change_shop(connection: asyncpg.Connection[Any], retailer: Retailer) -> list[str]:
    """Stores what the mapping says of its shop's links; returns what changed, in words. Raises ImportFailed."""
    if retailer.slug is None:
        return []
    changes: list[str] = []
    hosts = list(retailer.tracking_hosts) or None
    values = (retailer.slug, retailer.domain, hosts, retailer.click_parameter, retailer.click_window_hours)
    for row in await connection.fetch(_query("change_shop_links"), *values):
        for name in ("domain", "tracking_hosts", "click_parameter", "click_window_hours"):
            old, new = row[f"old_{name}"], row[f"new_{name}"]
            if old and old != new:
                changes.append(f"{name} of {retailer.slug} was {_words(old)} and is {_words(new)}")
    if retailer.tracking_ids:
        await _put_placements(connection, retailer)
    return changes


def _words(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


async def _put_placements(connection: asyncpg.Connection[Any], retailer: Retailer) -> None:
    rules = await connection.fetchval(_query("placement_rules"), retailer.slug)
    carriers = [rule for rule in rules_of(rules or "[]") if rule.carries == "placement"]
    if not carriers:
        raise ImportFailed("mapping: tracking_ids are for networks whose links carry a placement, such as amazon")
    for placement, tracking_id in retailer.tracking_ids.items():
        if not all(rule.can_carry(tracking_id) for rule in carriers):
            raise ImportFailed(f"mapping: tracking_ids {placement}: no link of this network can carry {tracking_id!r}")
    names, ids = [*retailer.tracking_ids], [*retailer.tracking_ids.values()]
    try:
        await connection.execute(_query("retire_placements"), retailer.slug, names, ids)
        await connection.execute(_query("put_placements"), retailer.slug, names, ids)
    except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError) as error:
        raise ImportFailed(f"mapping: tracking_ids: {error}") from None


async def check_links(connection: asyncpg.Connection[Any], feed: FeedRows) -> tuple[int, list[str]]:
    """Rejects the rows whose link is refused. Returns how many of the others their network does not track, and what
    else is to be said. A shop without a domain first gets that of most of its links."""
    rows = await connection.fetch(_query("shops_of_links"))
    slugs = {row["id"]: row["slug"] for row in rows}
    shops = {row["id"]: shop_of(row) for row in rows}
    changes = [
        f"{row['slug']} has no tracking_ids: its links keep the ones of the feed, and its sales name no placement"
        for row in rows
        if row["lacks_placements"]
    ]
    nameless = {id: shop for id, shop in shops.items() if shop.domain is None}
    for id, domain in (await _common_domains(connection, nameless, _query("links"))).items():
        changed = await connection.fetchrow(_query("set_domain"), id, domain)
        assert changed is not None
        shops[id] = shop_of(changed)
        changes.append(f"the domain of {slugs[id]} is now {domain}, as most of its links lead there")
    untracked = 0
    refused: list[int] = []
    async for row in connection.cursor(_query("links"), prefetch=_BATCH_ROWS):
        shop = shops[row["retailer_id"]]
        try:
            link = read_link(row["affiliate_url"], shop)
        except BadAddress as reason:
            refused.append(row["number"])
            feed.reject(
                row["line"], row["external_id"], [Reject("affiliate_url", str(reason), shown(row["affiliate_url"]))]
            )
            continue
        untracked += link.rule is None and bool(shop.rules)
    if refused:
        await connection.execute(_query("reject_links"), refused)
    return untracked, changes


async def _common_domains(connection: asyncpg.Connection[Any], shops: dict[UUID, Shop], links: str) -> dict[UUID, str]:
    """Of shops without a domain, where their links say one. `links`: SQL for them."""
    if not shops:
        return {}
    hosts = [host for row in await connection.fetch(_query("tracking_hosts")) for host in row["tracking_hosts"]]
    counts: dict[UUID, Counter[str]] = defaultdict(Counter)
    async for row in connection.cursor(links, prefetch=_BATCH_ROWS):
        if (shop := shops.get(row["retailer_id"])) is not None:
            counts[row["retailer_id"]].update(shop_hosts(row["affiliate_url"], shop, hosts))
    found = {id: common_domain(count) for id, count in counts.items()}
    return {id: domain for id, domain in found.items() if domain is not None}


async def fill_domains(owner: asyncpg.Connection[Any]) -> None:
    """Gives shops of earlier releases, which needed no domain, that of most of their links."""
    rows = await owner.fetch(QUERIES["affiliate_networks.nameless_shops"].sql)
    shops = {row["id"]: shop_of(row) for row in rows}
    links = QUERIES["affiliate_networks.links_of_nameless_shops"].sql
    for id, domain in (await _common_domains(owner, shops, links)).items():
        await owner.execute(_query("set_domain"), id, domain)
