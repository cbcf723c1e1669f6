"""Offers of products, and what they cost before."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, cast
from uuid import UUID

import asyncpg
import strawberry
from aiodataloader import DataLoader

from db.sources import Reference
from domain import ids
from domain.pages import length_of
from resolvers import product_offers
from resolvers.product_offers import NewOffer, OfferChanges
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import Row, RowNode, column, load, row, to_one
from schema.products import Money, Product, regular_price, sale_price
from schema.retailers import Retailer


@strawberry.enum(description="What administrators set of an offer, and imports then leave.")
class EditedOfferField(Enum):
    LINK = strawberry.enum_value("link", description="The link.")
    SHIPPING = strawberry.enum_value("shipping", description="What the retailer asks for shipping.")
    INACTIVE = strawberry.enum_value("inactive", description="That it is not active.")


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
    is_active: bool = column(
        "Whether the retailer's feed names it, its link works and no administrator deactivated it."
    )
    edited_fields: list[EditedOfferField] = column(
        "What an administrator set, so that imports leave it.",
        "edited",
        read=lambda edited: [EditedOfferField(name) for name in edited],
        limit=len(product_offers.EDITABLE),
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


@strawberry.input(description="What a retailer asks for a product of the catalogue.")
class ProductOfferInput:
    product_id: strawberry.ID = strawberry.field(description="The product.")
    retailer_slug: str = strawberry.field(description="The retailer.")
    external_id: str = strawberry.field(
        description="The retailer's own id; unique per retailer. Its feed means the offer by it."
    )
    url: str = strawberry.field(description="The retailer's page, or a link of its network, https.")
    price: Decimal = strawberry.field(description="Above zero, with no more decimals than the currency has.")
    currency_code: str = strawberry.field(default="GBP", description="ISO 4217.")
    shipping: Decimal | None = strawberry.field(
        default=None, description="What the retailer asks for shipping, in the same currency; null if unknown."
    )
    in_stock: bool = strawberry.field(default=True, description="Whether it can be bought there now.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="Repeating the request with the same key creates nothing new."
    )


@strawberry.input(
    description="Changes to an offer; omitted fields stay unchanged. Imports leave the link, the shipping and that it "
    "is not active, once they were set here; price and stock are the retailer's to say."
)
class UpdateProductOfferInput:
    id: strawberry.ID = strawberry.field(description="The offer's id.")
    price: Decimal | None = strawberry.field(default=None, description="Ends a sale.")
    currency_code: str | None = strawberry.field(
        default=None, description="ISO 4217. With another one, give the price, too, and the shipping if there is one."
    )
    shipping: Decimal | None = strawberry.field(
        default=strawberry.UNSET, description="What the retailer asks for shipping; null: unknown."
    )
    in_stock: bool | None = strawberry.field(default=None, description="Whether it can be bought there now.")
    url: str | None = strawberry.field(
        default=None, description="The retailer's page, or a link of its network, https. The link check starts over."
    )
    is_active: bool | None = strawberry.field(
        default=None, description="False: nobody is sent there, and imports do not bring it back. True: it is offered."
    )
    follow_feed: list[EditedOfferField] | None = strawberry.field(
        default=None, description="What the next import that names the offer sets again."
    )


@strawberry.type(description="The outcome of creating or changing an offer.")
class ProductOfferPayload:
    offer: Reference[ProductOffer] | None = strawberry.field(
        graphql_type=ProductOffer | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ProductOfferMutation:
    @strawberry.mutation(
        description="Adds an offer of another retailer to a product. The product follows its leading offer. For "
        "administrators."
    )
    @outcome(ProductOfferPayload)
    async def create_offer(self, info: Info, input: ProductOfferInput) -> ProductOfferPayload:
        new = NewOffer(
            product=ids.decode_as("Product", input.product_id),
            retailer_slug=input.retailer_slug,
            external_id=input.external_id,
            url=input.url,
            price=input.price,
            currency=input.currency_code,
            shipping=input.shipping,
            in_stock=input.in_stock,
        )
        key = await product_offers.create(info.context.session, new, input.idempotency_key)
        return ProductOfferPayload(offer=load(info, ProductOffer, key))

    @strawberry.mutation(description="Changes an offer; its product follows its leading offer. For administrators.")
    @outcome(ProductOfferPayload)
    async def update_offer(self, info: Info, input: UpdateProductOfferInput) -> ProductOfferPayload:
        changes = OfferChanges(
            price=input.price,
            currency=input.currency_code,
            shipping=input.shipping if input.shipping is not strawberry.UNSET else None,
            set_shipping=input.shipping is not strawberry.UNSET,
            in_stock=input.in_stock,
            url=input.url,
            is_active=input.is_active,
            follow_feed=[cast(str, each.value) for each in input.follow_feed or []],
        )
        key = await product_offers.update(info.context.session, ids.decode_as("ProductOffer", input.id), changes)
        return ProductOfferPayload(offer=load(info, ProductOffer, key))
