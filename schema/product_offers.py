"""Offers of products, and what they cost before."""

from __future__ import annotations

from datetime import datetime

import strawberry

from schema.node import Row, column, row, to_one
from schema.products import Money
from schema.retailers import Retailer


@row("public.product_offers", keys=("product_id",))
@strawberry.type(description="What a retailer asks for a product now.")
class ProductOffer(Row):
    price: Money = column("What it costs there.", "price_minor", "currency", read=Money.of)
    in_stock: bool = column("Whether it can be bought there now.")
    last_seen_at: datetime = column("When the offer changed or, to the day, when a feed last named it.")
    retailer: Retailer = to_one("Who offers it.", "retailer_id")


@row("public.product_prices")
@strawberry.type(description="What a retailer asked for a product from some moment on.")
class PricePoint(Row):
    price: Money = column("What it cost.", "price_minor", "currency", read=Money.of)
    valid_from: datetime = column("Since when; until its retailer's next price.")
    retailer: Retailer = to_one("Who asked it.", "retailer_id")
