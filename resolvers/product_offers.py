"""Price history of products."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from db.session import Session


async def price_history(session: Session, product_ids: Sequence[UUID], size: int) -> list[list[asyncpg.Record]]:
    """The latest prices of each product over all retailers, newest first."""
    found: dict[UUID, list[asyncpg.Record]] = {product: [] for product in product_ids}
    for price in await session.fetch("product_prices.newest", product_ids=list(product_ids), size=size):
        found[price["product_id"]].append(price)
    return [found[product] for product in product_ids]
