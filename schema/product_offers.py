"""Offers of products, and what they cost before."""

from __future__ import annotations

from datetime import datetime

import strawberry

from schema.context import Info
from schema.node import Row, column, load, row
from schema.products import Money
from schema.retailers import Retailer


async def _retailer(offer: Row, info: Info) -> Retailer:
    found = await load(info, Retailer, offer.record["retailer_id"])
    assert found is not None  # a foreign key that is not null
    return found


@row("public.product_offers", keys=("product_id", "retailer_id", "currency"))
@strawberry.type(description="What a retailer asks for a product now.")
class ProductOffer(Row):
    price: Money = column("What it costs there.", "price_minor", "currency", read=Money.of)
    in_stock: bool = column("Whether it can be bought there now.")
    last_seen_at: datetime = column("When the offer changed or, to the day, when a feed last named it.")

    @strawberry.field(description="Who offers it.")
    async def retailer(self, info: Info) -> Retailer:
        return await _retailer(self, info)


@row("public.product_prices", keys=("retailer_id",))
@strawberry.type(description="What a retailer asked for a product from some moment on.")
class PricePoint(Row):
    price: Money = column("What it cost.", "price_minor", "currency", read=Money.of)
    valid_from: datetime = column("Since when; until its retailer's next price.")

    @strawberry.field(description="Who asked it.")
    async def retailer(self, info: Info) -> Retailer:
        return await _retailer(self, info)
