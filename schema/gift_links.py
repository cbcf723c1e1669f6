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
@strawberry.type(description="A link by which somebody shows a product to somebody else. Only its maker sees it here.")
class GiftLink(RowNode):
    message: str | None = column("A word to the recipient.")
    recipient_name: str | None = column("Whom it is for.")
    occasion: str | None = column("What it is for.")
    max_uses: int | None = column("How often it may be used; null for any number.")
    clicks: int = column("How often it was used.")
    expires_at: datetime | None = column("Until when it may be used; null for ever.")
    revoked_at: datetime | None = column("Since when it leads nowhere.")
    created_at: datetime = column("When it was made.")

    url: str = column(
        "What to send: a page that shows the product and needs no session. Going on to the shop from there is a use.",
        "id",
        read=_url,
        with_context=True,
    )
    product: Product = to_one("What it leads to.", "product_id")


@strawberry.input(description="A gift link to make.")
class GiftLinkInput:
    product_id: strawberry.ID = strawberry.field(description="What it leads to.")
    message: str | None = strawberry.field(default=None, description="At most 1000 characters.")
    recipient_name: str | None = strawberry.field(default=None, description="At most 100 characters.")
    occasion: str | None = strawberry.field(default=None, description="At most 100 characters.")
    expires_at: datetime | None = strawberry.field(default=None, description="In the future; null for ever.")
    max_uses: int | None = strawberry.field(default=None, description="At least 1; null for any number.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="A repeat with the same key gives the first link again."
    )


@strawberry.input(description="A gift link to revoke.")
class RevokeGiftLinkInput:
    gift_link_id: strawberry.ID = strawberry.field(description="Which link.")


@strawberry.type(description="The outcome of making or revoking a gift link.")
class GiftLinkPayload:
    gift_link: Reference[GiftLink] | None = strawberry.field(
        graphql_type=GiftLink | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class GiftLinkMutation:
    @strawberry.mutation(description="Makes a link to show a product to somebody, who needs no session to follow it.")
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

    @strawberry.mutation(description="Closes a gift link for good. Harmless to repeat.")
    @outcome(GiftLinkPayload, stores=Stores(row=300, is_essential=True))
    async def revoke_gift_link(self, info: Info, input: RevokeGiftLinkInput) -> GiftLinkPayload:
        link = await gift_links.revoke(info.context.session, ids.decode_as("GiftLink", input.gift_link_id))
        return GiftLinkPayload(gift_link=load(info, GiftLink, link))
