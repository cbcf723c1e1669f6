"""Merging and splitting products by hand: docs/decisions/0013-offers.md."""

from __future__ import annotations

import strawberry

from db.sources import Reference
from domain import ids
from domain.errors import NotFound
from resolvers import merged_products
from schema.bounds import at_most
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import load
from schema.products import Product

MAX_SPLIT_OFF = 50


@strawberry.input(description="Two products that are one.")
class MergeProductsInput:
    product_id: strawberry.ID = strawberry.field(description="The product that goes; its id leads to the other one.")
    into_id: strawberry.ID = strawberry.field(
        description="The product that stays, with its name, text and pictures, whichever is older."
    )


@strawberry.type(description="The outcome of merging products.")
class MergeProductsPayload:
    product: Reference[Product] | None = strawberry.field(
        graphql_type=Product | None, default=None, description="The product that stays, with the offers of both."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="What to split off a product.")
class SplitProductInput:
    product_id: strawberry.ID = strawberry.field(
        description="A product: all that was merged into it; or the id of one that was merged: that one."
    )
    offer_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only the product of this offer, with what was merged into that."
    )


@strawberry.type(description="The outcome of splitting a product.")
class SplitProductPayload:
    product: Reference[Product] | None = strawberry.field(
        graphql_type=Product | None, default=None, description="What it is without the others."
    )
    split_off: list[Reference[Product]] = strawberry.field(
        graphql_type=list[Product],
        default_factory=list,
        description="Products of their own again, the last that was merged first; none if nothing was merged. Of many "
        f"only {MAX_SPLIT_OFF} are listed.",
        metadata=at_most(MAX_SPLIT_OFF),
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class MergedProductMutation:
    @strawberry.mutation(
        description="Makes one product of two: offers, and what people did with both, are of the one that stays. Does "
        "nothing if they are one already. For administrators."
    )
    @outcome(MergeProductsPayload)
    async def merge_products(self, info: Info, input: MergeProductsInput) -> MergeProductsPayload:
        one, other = [ids.decode_as("Product", text) for text in (input.product_id, input.into_id)]
        done = await merged_products.merge(info.context.session, one, other, into=True)
        return MergeProductsPayload(product=load(info, Product, done.product))

    @strawberry.mutation(
        description="Takes merges back, also those of imports: offers, and what people did before the merge, are as "
        "they were. Imports do not merge these products again. For administrators."
    )
    @outcome(SplitProductPayload)
    async def split_product(self, info: Info, input: SplitProductInput) -> SplitProductPayload:
        offer = None
        if input.offer_id is not None and (offer := ids.decode_as("ProductOffer", input.offer_id)) is None:
            raise NotFound("The product has no such offer.", ("offerId",))
        done = await merged_products.split(info.context.session, ids.decode_as("Product", input.product_id), offer)
        return SplitProductPayload(
            product=load(info, Product, done.product),
            split_off=[load(info, Product, listing) for listing in done.listings[:MAX_SPLIT_OFF]],
        )
