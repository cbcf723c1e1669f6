"""Tracked links."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.rows import Order
from db.sources import Reference
from domain import affiliate, ids
from domain.errors import Invalid, NotFound
from resolvers import affiliate_clicks
from schema.context import Context, Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, load, row, to_one
from schema.products import Product


def _redirect_url(context: Context, id: UUID | str) -> str:
    return f"{context.services.settings.base_url}/r/{affiliate.encode_token(UUID(str(id)))}"


@row(
    "public.affiliate_clicks",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.click_timestamp", "timestamptz", descending=True)},
)
@strawberry.type(description="A tracked link that a person requested.")
class AffiliateClick(RowNode):
    network: str | None = column("The affiliate network that tracks it.", "affiliate_network")
    created_at: datetime = column("When it was requested.", "click_timestamp")

    redirect_url: str = column(
        "Send the browser here; it redirects to the shop.", "id", read=_redirect_url, with_context=True
    )
    product: Product = to_one("The product that it leads to.", "product_id")


@strawberry.input(description="A request for a tracked link.")
class AffiliateClickInput:
    product_id: strawberry.ID = strawberry.field(description="The product that it leads to.")
    offer_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="One of the product's `offers`; without it the leading one, whose price the product has.",
    )
    source_page: str | None = strawberry.field(
        default=None, description="The page with the link, at most 200 characters."
    )
    recommendation_id: strawberry.ID | None = strawberry.field(
        default=None, description="The recommendation that showed the product."
    )
    gift_link_token: str | None = strawberry.field(
        default=None,
        description="The last part of the URL of the gift link that led here; the click counts as one use of it.",
    )
    campaign: str | None = strawberry.field(default=None, description="At most 200 characters.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="A repeat with the same key returns the first click."
    )


@strawberry.type(description="The outcome of requesting a link.")
class AffiliateClickPayload:
    click: Reference[AffiliateClick] | None = strawberry.field(
        graphql_type=AffiliateClick | None, default=None, description="With the URL to send the browser to."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class AffiliateClickMutation:
    @strawberry.mutation(description="Stores the intent to buy and returns a tracked link.")
    @outcome(AffiliateClickPayload)
    async def create_affiliate_click(self, info: Info, input: AffiliateClickInput) -> AffiliateClickPayload:
        offer = None
        if input.offer_id is not None:
            if input.gift_link_token is not None:
                raise Invalid("A gift link leads to the leading offer.", ("offerId",))
            offer = ids.decode_as("ProductOffer", input.offer_id)
            if offer is None:
                raise NotFound("There is no such offer now.", ("offerId",))
        click = await affiliate_clicks.create(
            info.context.session,
            info.context.services,
            product_id=ids.decode_as("Product", input.product_id),
            offer_id=offer,
            source_page=input.source_page,
            recommendation=input.recommendation_id,
            gift_link_token=input.gift_link_token,
            campaign=input.campaign,
            idempotency_key=input.idempotency_key,
            caller=info.context.caller,
        )
        return AffiliateClickPayload(click=load(info, AffiliateClick, click))
