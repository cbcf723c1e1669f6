"""Offers of products, and price histories."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from db.session import Session

Rows = list[list[asyncpg.Record]]


async def of_products(session: Session, product_ids: Sequence[UUID], size: int) -> Rows:
    """The offers of each product, cheapest first; other currencies than its own last."""
    found = await session.fetch("product_offers.of_products", product_ids=list(product_ids), size=size)
    return _by("product_id", product_ids, found)


async def price_history(session: Session, product_ids: Sequence[UUID], size: int) -> Rows:
    """The latest prices of each product over all retailers, newest first."""
    found = await session.fetch("product_prices.newest", product_ids=list(product_ids), size=size)
    return _by("of_product", product_ids, found)


async def price_history_of_offers(session: Session, offer_ids: Sequence[UUID], size: int) -> Rows:
    """The latest prices of each offer, newest first."""
    found = await session.fetch("product_prices.newest_of_offers", offer_ids=list(offer_ids), size=size)
    return _by("product_id", offer_ids, found)


def _by(column: str, keys: Sequence[UUID], rows: Sequence[asyncpg.Record]) -> Rows:
    found: dict[UUID, list[asyncpg.Record]] = {key: [] for key in keys}
    for row in rows:
        found[row[column]].append(row)
    return [found[key] for key in keys]
