"""Products looked at."""

from __future__ import annotations

from datetime import datetime

import strawberry

from domain import ids
from resolvers import product_views
from resolvers.product_views import NewView
from schema.context import Info
from schema.errors import Stores, UserError, outcome


@strawberry.input(description="A product looked at.")
class ProductViewInput:
    id: strawberry.ID = strawberry.field(
        description="A UUID of version 7, made by the client when the product was shown: a repeat changes nothing."
    )
    product_id: strawberry.ID = strawberry.field(description="What was looked at; an unknown product is left out.")
    source_page: str | None = strawberry.field(default=None, description="Where, at most 200 characters.")
    duration_seconds: int | None = strawberry.field(default=None, description="For how long, a day at most.")


@strawberry.input(description="Products looked at.")
class RecordProductViewsInput:
    views: list[ProductViewInput] = strawberry.field(description="At most 100.")
    sent_at: datetime | None = strawberry.field(
        default=None,
        description="The client's clock at sending. When it is wrong by more than five minutes, what happened "
        "is stored at the server's time; a repeat is still known by its ids, whatever `sentAt` it comes with.",
    )


@strawberry.type(description="The outcome of recording views.")
class RecordProductViewsPayload:
    recorded: int = strawberry.field(default=0, description="How many were new; none after analytics were withdrawn.")
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="One per item that cannot be stored, with its place in `field`; the others are stored.",
    )


@strawberry.type
class ProductViewMutation:
    @strawberry.mutation(description="Records products the caller looked at.")
    @outcome(RecordProductViewsPayload, stores=Stores(row=100, each="views"))
    async def record_product_views(self, info: Info, input: RecordProductViewsInput) -> RecordProductViewsPayload:
        views = [
            NewView(
                id=view.id,
                product_id=ids.decode_as("Product", view.product_id),
                source_page=view.source_page,
                duration_seconds=view.duration_seconds,
            )
            for view in input.views
        ]
        recorded, errors = await product_views.record(info.context.session, views, input.sent_at)
        return RecordProductViewsPayload(recorded=recorded, user_errors=[UserError.of(error) for error in errors])
