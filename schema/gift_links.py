"""Gift links."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.rows import Order
from db.sources import Reference
from domain import gift_links as tokens
from domain import ids
from resolvers import gift_links
from schema.context import Context, Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import RowNode, column, load, row, to_one
from schema.products import Product


def _url(context: Context, id: UUID | str) -> str:
    services = context.services
    return f"{services.settings.base_url}/g/{tokens.encode_token(UUID(str(id)), services.gift_links)}"


@row(
    "public.gift_links",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)},
)
@strawberry.type(description="A link that shows a product to another person. Only its maker sees it here.")
class GiftLink(RowNode):
    message: str | None = column("A message to the recipient.")
    recipient_name: str | None = column("The recipient.")
    occasion: str | None = column("The occasion.")
    max_uses: int | None = column("How often it may be used; null for no limit.")
    clicks: int = column("How often it was used.")
    expires_at: datetime | None = column("When it expires; null for never.")
    revoked_at: datetime | None = column("When it was revoked.")
    created_at: datetime = column("When it was created.")

    url: str = column(
        "The URL to send: a page that shows the product and needs no session. Continuing to the shop from "
        "there is a use.",
        "id",
        read=_url,
        with_context=True,
    )
    product: Product = to_one("The product.", "product_id")


@strawberry.input(description="A new gift link.")
class GiftLinkInput:
    product_id: strawberry.ID = strawberry.field(description="The product.")
    message: str | None = strawberry.field(default=None, description="At most 1000 characters.")
    recipient_name: str | None = strawberry.field(default=None, description="At most 100 characters.")
    occasion: str | None = strawberry.field(default=None, description="At most 100 characters.")
    expires_at: datetime | None = strawberry.field(default=None, description="In the future; null for never.")
    max_uses: int | None = strawberry.field(default=None, description="At least 1; null for no limit.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="A repeat with the same key returns the first link."
    )


@strawberry.input(description="A gift link to revoke.")
class RevokeGiftLinkInput:
    gift_link_id: strawberry.ID = strawberry.field(description="Which link.")


@strawberry.type(description="The outcome of creating or revoking a gift link.")
class GiftLinkPayload:
    gift_link: Reference[GiftLink] | None = strawberry.field(
        graphql_type=GiftLink | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class GiftLinkMutation:
    @strawberry.mutation(
        description="Creates a link that shows a product to another person, who needs no session to follow it."
    )
    @outcome(GiftLinkPayload)
    async def create_gift_link(self, info: Info, input: GiftLinkInput) -> GiftLinkPayload:
        link = await gift_links.create(
            info.context.session,
            product_id=ids.decode_as("Product", input.product_id),
            message=input.message,
            recipient_name=input.recipient_name,
            occasion=input.occasion,
            expires_at=input.expires_at,
            max_uses=input.max_uses,
            idempotency_key=input.idempotency_key,
        )
        return GiftLinkPayload(gift_link=load(info, GiftLink, link))

    @strawberry.mutation(description="Revokes a gift link permanently. Idempotent.")
    @outcome(GiftLinkPayload, stores=Stores(row=300, is_essential=True))
    async def revoke_gift_link(self, info: Info, input: RevokeGiftLinkInput) -> GiftLinkPayload:
        link = await gift_links.revoke(info.context.session, ids.decode_as("GiftLink", input.gift_link_id))
        return GiftLinkPayload(gift_link=load(info, GiftLink, link))
