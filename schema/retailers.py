"""Retailers."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME_SQL
from db.sources import Listing, Reference
from domain import ids
from domain.pages import MAX_SIZE, length_of
from resolvers import retailers
from resolvers.retailers import NewRetailer, RetailerChanges
from schema.bounds import at_most
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, listed, load, row

MAX_RETAILERS = 1000
_WINDOW = "How long after a click it pays for an order, 1 to 8784; without it, as is usual in its network."


@row("public.retailers")
@strawberry.type(description="Who sells products.")
class Retailer(RowNode):
    name: str = column("Name as shown to people.")
    slug: str = column("Unique; for addresses.")
    is_active: bool = column("Whether it is listed; its products do not depend on it.")
    network: str | None = column("The affiliate network that tracks its sales.", "affiliate_network")


@strawberry.type
class RetailerQuery:
    @strawberry.field(
        description=f"All retailers, by name; `first` may be up to {MAX_RETAILERS}.",
        metadata=at_most(MAX_RETAILERS),
        graphql_type=list[Retailer],
    )
    def retailers(self, info: Info, first: int = MAX_SIZE) -> Listing[Retailer]:
        size = length_of(first, maximum=MAX_RETAILERS)
        return listed(info, Retailer, where=QUERIES["retailers.is_active"].text, order_by=BY_NAME_SQL, size=size)


@strawberry.input(description="A new retailer.")
class RetailerInput:
    name: str = strawberry.field(
        description="1 to 255 characters; no other retailer has it, whatever case and accents."
    )
    slug: str | None = strawberry.field(
        default=None, description="Lower-case words with hyphens, for good; made of the name if it is not given."
    )
    domain: str | None = strawberry.field(default=None, description="Its host name, such as `shop.example`.")
    network: str | None = strawberry.field(
        default=None, description="The code of the affiliate network that tracks its sales."
    )
    commission_rate: Decimal | None = strawberry.field(
        default=None,
        description="What it pays where no agreement says otherwise, as a share of the price, 0 to 1.",
    )
    click_window_hours: int | None = strawberry.field(default=None, description=_WINDOW)
    idempotency_key: str | None = strawberry.field(
        default=None, description="Repeating the request with the same key creates nothing new."
    )


@strawberry.input(description="Changes to a retailer; omitted fields stay unchanged, and null clears one.")
class UpdateRetailerInput:
    id: strawberry.ID = strawberry.field(description="The retailer's id.")
    name: str | None = strawberry.field(
        default=None, description="1 to 255 characters. Feeds that use the earlier name still mean this retailer."
    )
    domain: str | None = strawberry.field(
        default=strawberry.UNSET, description="Its host name, such as `shop.example`."
    )
    network: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The code of the affiliate network that tracks its sales. A mapping that names another changes it.",
    )
    commission_rate: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="What it pays where no agreement says otherwise, as a share of the price, 0 to 1.",
    )
    click_window_hours: int | None = strawberry.field(default=strawberry.UNSET, description=_WINDOW)
    is_active: bool | None = strawberry.field(default=None, description="Whether it is listed.")


@strawberry.type(description="The outcome of creating or changing a retailer.")
class RetailerPayload:
    retailer: Reference[Retailer] | None = strawberry.field(
        graphql_type=Retailer | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class RetailerMutation:
    @strawberry.mutation(description="Adds a retailer. For administrators.")
    @outcome(RetailerPayload)
    async def create_retailer(self, info: Info, input: RetailerInput) -> RetailerPayload:
        new = NewRetailer(
            input.name, input.slug, input.domain, input.network, input.commission_rate, input.click_window_hours
        )
        key = await retailers.create(info.context.session, new, input.idempotency_key)
        return RetailerPayload(retailer=load(info, Retailer, key))

    @strawberry.mutation(description="Changes a retailer. For administrators.")
    @outcome(RetailerPayload)
    async def update_retailer(self, info: Info, input: UpdateRetailerInput) -> RetailerPayload:
        changes = RetailerChanges(
            name=input.name,
            domain=input.domain or None,
            set_domain=input.domain is not strawberry.UNSET,
            network=input.network or None,
            set_network=input.network is not strawberry.UNSET,
            commission_rate=input.commission_rate if input.commission_rate is not strawberry.UNSET else None,
            set_commission_rate=input.commission_rate is not strawberry.UNSET,
            click_window_hours=input.click_window_hours if input.click_window_hours is not strawberry.UNSET else None,
            set_click_window_hours=input.click_window_hours is not strawberry.UNSET,
            is_active=input.is_active,
        )
        key = await retailers.update(info.context.session, ids.decode_as("Retailer", input.id), changes)
        return RetailerPayload(retailer=load(info, Retailer, key))
