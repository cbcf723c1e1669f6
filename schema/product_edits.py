"""What administrators do with products."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import strawberry

from db.sources import Reference
from domain import ids
from resolvers import products
from resolvers.products import NewProduct, ProductChanges
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import load
from schema.products import EditedField, Product


@strawberry.input(description="A new product.")
class ProductInput:
    name: str = strawberry.field(description="1 to 500 characters.")
    price: Decimal = strawberry.field(description="Above zero, with no more decimals than the currency has.")
    category_slug: str = strawberry.field(description="The category's slug.")
    retailer_slug: str = strawberry.field(description="The retailer.")
    external_id: str = strawberry.field(description="The retailer's own id; unique per retailer.")
    url: str = strawberry.field(description="The retailer's page, https.")
    description: str | None = strawberry.field(default=None, description="What it is.")
    currency_code: str = strawberry.field(default="GBP", description="ISO 4217.")
    brand_slug: str | None = strawberry.field(default=None, description="The brand.")
    image_url: str | None = strawberry.field(default=None, description="A picture, https.")
    tags: list[str] | None = strawberry.field(default=None, description="In lower case with hyphens.")
    in_stock: bool = strawberry.field(default=True, description="Whether it can be bought now.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="Repeating the request with the same key creates nothing new."
    )


@strawberry.input(
    description="Changes to a product; omitted fields stay unchanged. Imports leave what is set here, except price "
    "and stock."
)
class UpdateProductInput:
    id: strawberry.ID = strawberry.field(description="The product's id.")
    name: str | None = strawberry.field(default=None, description="1 to 500 characters.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="Null clears it.")
    price: Decimal | None = strawberry.field(default=None, description="In the product's own currency.")
    category_slug: str | None = strawberry.field(default=None, description="The category's slug.")
    brand_slug: str | None = strawberry.field(
        default=strawberry.UNSET, description="The brand's slug; null: it has no brand."
    )
    tags: list[str] | None = strawberry.field(default=None, description="Replaces all tags.")
    image_url: str | None = strawberry.field(default=strawberry.UNSET, description="Null clears it.")
    in_stock: bool | None = strawberry.field(default=None, description="Whether it can be bought now.")
    is_active: bool | None = strawberry.field(
        default=None,
        description="False unpublishes it: it leaves the catalogue, and imports do not bring it back. True publishes "
        "it.",
    )
    follow_feed: list[EditedField] | None = strawberry.field(
        default=None, description="What the next import that names the product sets again."
    )


@strawberry.type(description="The outcome of creating or changing a product.")
class ProductPayload:
    product: Reference[Product] | None = strawberry.field(
        graphql_type=Product | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ProductMutation:
    @strawberry.mutation(description="Adds a product. For administrators.")
    @outcome(ProductPayload)
    async def create_product(self, info: Info, input: ProductInput) -> ProductPayload:
        session = info.context.session
        new = NewProduct(
            name=input.name,
            description=input.description,
            price=input.price,
            currency=input.currency_code,
            category_slug=input.category_slug,
            brand_slug=input.brand_slug,
            retailer_slug=input.retailer_slug,
            external_id=input.external_id,
            url=input.url,
            image_url=input.image_url,
            tags=input.tags or [],
            in_stock=input.in_stock,
        )
        return ProductPayload(product=load(info, Product, await products.create(session, new, input.idempotency_key)))

    @strawberry.mutation(description="Changes a product. For administrators.")
    @outcome(ProductPayload)
    async def update_product(self, info: Info, input: UpdateProductInput) -> ProductPayload:
        changes = ProductChanges(
            name=input.name,
            description=input.description or None,
            set_description=input.description is not strawberry.UNSET,
            price=input.price,
            category_slug=input.category_slug,
            tags=input.tags,
            image_url=input.image_url or None,
            set_image_url=input.image_url is not strawberry.UNSET,
            in_stock=input.in_stock,
            is_active=input.is_active,
            brand_slug=input.brand_slug or None,
            set_brand=input.brand_slug is not strawberry.UNSET,
            follow_feed=[cast(str, each.value) for each in input.follow_feed or []],
        )
        key = await products.update(info.context.session, ids.decode_as("Product", input.id), changes)
        return ProductPayload(product=load(info, Product, key))
