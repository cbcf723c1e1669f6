"""Offers of products, and what they cost before."""

from __future__ import annotations

from datetime import datetime

import strawberry

from schema.node import Row, column, row, to_one
from schema.products import Money
from schema.retailers import Retailer


@row("public.product_offers", keys=("product_id",))
@strawberry.type(description="A retailer's current offer of a product.")
class ProductOffer(Row):
    price: Money = column("The price there.", "price_minor", "currency", read=Money.of)
    in_stock: bool = column("Whether it can be bought there now.")
    last_seen_at: datetime = column("When the offer changed or, to the day, when a feed last named it.")
    retailer: Retailer = to_one("The retailer.", "retailer_id")


@row("public.product_prices")
@strawberry.type(description="A retailer's price of a product, from a time on.")
class PricePoint(Row):
    price: Money = column("The price.", "price_minor", "currency", read=Money.of)
    valid_from: datetime = column("When it started; it applies until the retailer's next price.")
    retailer: Retailer = to_one("The retailer.", "retailer_id")
