"""Offers of products, and what they cost before."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import strawberry
from aiodataloader import DataLoader

from domain.pages import length_of
from resolvers import product_offers
from schema.context import Info
from schema.node import Row, RowNode, column, row, to_one
from schema.products import Money, Product, regular_price, sale_price
from schema.retailers import Retailer


@row("public.product_offers")
@strawberry.type(
    description="A retailer's current offer of a product. For a link to it, give its `id` to `createAffiliateClick`."
)
class ProductOffer(RowNode):
    price: Money = column(
        "What the product costs there now, without shipping.", "price_minor", "currency", read=Money.of
    )
    regular_price: Money = regular_price()
    sale_price: Money | None = sale_price()
    shipping: Money | None = column(
        "What the retailer asks for shipping; null if it does not say.", "shipping_minor", "currency", read=Money.of
    )
    in_stock: bool = column(
        "Whether it can be bought there now.", "in_stock", "is_active", read=lambda stocked, active: stocked and active
    )
    last_seen_at: datetime = column("When the offer changed or, to the day, when a feed last named it.")
    retailer: Retailer = to_one("The retailer.", "retailer_id")
    product: Annotated[Product, strawberry.lazy("schema.products")] = to_one("What it is an offer of.", "product_id")

    @strawberry.field(description="Its current and past prices, newest first, since Aclue first stored one.")
    async def price_history(self, info: Info, first: int = 30) -> list[PricePoint]:
        size, session = length_of(first), info.context.session

        async def batch(keys: list[UUID]) -> list[list[asyncpg.Record]]:
            return await product_offers.price_history_of_offers(session, keys, size)

        loader: DataLoader[UUID, list[asyncpg.Record]] = session.loaders.custom(("offer_prices", size), batch)
        return [PricePoint.ROW.make(price) for price in await loader.load(self.record["id"])]


@row("public.product_prices")
@strawberry.type(description="A retailer's price of a product, from a time on.")
class PricePoint(Row):
    price: Money = column("The price.", "price_minor", "currency", read=Money.of)
    valid_from: datetime = column("When it started; it applies until the retailer's next price.")
    retailer: Retailer = to_one("The retailer.", "retailer_id")
