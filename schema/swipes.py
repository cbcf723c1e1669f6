"""Swipes."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.rows import Order
from db.sources import Reference
from domain import ids
from resolvers import swipes
from resolvers.swipes import NewSwipe
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import RowNode, column, load, load_own, row, to_one
from schema.preferences import Preferences
from schema.products import Product
from schema.scalars import JSON


@strawberry.enum(description="The direction of a swipe.")
class SwipeDirection(Enum):
    LEFT = strawberry.enum_value("left", description="Dislike, strength 0.2.")
    RIGHT = strawberry.enum_value("right", description="Like, strength 0.8.")
    UP = strawberry.enum_value("up", description="Super-like, strength 0.95.")
    DOWN = strawberry.enum_value("down", description="Skip: neither liked nor disliked.")


@row(
    "public.swipes",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)},
)
@strawberry.type(description="A person's swipe of a product.")
class Swipe(RowNode):
    direction: SwipeDirection = column("The direction.", read=SwipeDirection)
    strength: float | None = column(
        "The strength of the preference, 0 to 1; null for a skip.",
        "preference_strength",
        read=lambda real: None if real is None else round(real, 4),
    )
    created_at: datetime = column("When.")
    is_for_somebody_else: bool = column(
        "Whether it answers a recommendation of the gift finder: then it says nothing of the person's own taste."
    )

    product: Product = to_one("The product.", "product_id")


@strawberry.input(description="A swipe.")
class SwipeInput:
    product_id: strawberry.ID = strawberry.field(description="The product.")
    direction: SwipeDirection = strawberry.field(description="The direction.")
    client_swipe_id: str = strawberry.field(
        description="Chosen by the client, once per swipe: a repeat returns the first swipe."
    )
    recommendation_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The recommendation that showed the product. With one of the gift finder, the swipe is for somebody"
        " else.",
    )
    context: JSON | None = strawberry.field(default=None, description="Any JSON about the situation, at most 4 KiB.")

    def plain(self) -> NewSwipe:
        return NewSwipe(
            product_id=ids.decode_as("Product", self.product_id),
            direction=cast(str, self.direction.value),
            client_swipe_id=self.client_swipe_id,
            recommendation=self.recommendation_id,
            context=self.context,
        )


@strawberry.type(description="The outcome of a swipe.")
class RecordSwipePayload:
    swipe: Reference[Swipe] | None = strawberry.field(graphql_type=Swipe | None, default=None, description="As stored.")
    preferences: Reference[Preferences] | None = strawberry.field(
        graphql_type=Preferences | None, default=None, description="Preferences that include this swipe."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="Several swipes.")
class RecordSwipesInput:
    swipes: list[SwipeInput] = strawberry.field(description="At most 100, oldest first.")


@strawberry.type(description="The outcome of one of several swipes.")
class SwipeResult:
    swipe: Reference[Swipe] | None = strawberry.field(graphql_type=Swipe | None, default=None, description="As stored.")
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="The outcome of several swipes; those that can be stored are.")
class RecordSwipesPayload:
    results: list[SwipeResult] = strawberry.field(
        default_factory=list, description="One per swipe, in the order given."
    )
    preferences: Reference[Preferences] | None = strawberry.field(
        graphql_type=Preferences | None, default=None, description="Preferences that include these swipes."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.input(description="A swipe to undo.")
class UndoSwipeInput:
    swipe_id: strawberry.ID = strawberry.field(description="One of the caller's own.")


@strawberry.type(description="The outcome of undoing a swipe.")
class UndoSwipePayload:
    undone_swipe_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the undone swipe.")
    preferences: Reference[Preferences] | None = strawberry.field(
        graphql_type=Preferences | None, default=None, description="Preferences without this swipe."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class SwipeMutation:
    @strawberry.mutation(description="Records a swipe.")
    @outcome(RecordSwipePayload, stores=Stores(row=700))
    async def record_swipe(self, info: Info, input: SwipeInput) -> RecordSwipePayload:
        (result,) = await swipes.record(info.context.session, info.context.services, [input.plain()])
        if result.error is not None:
            raise result.error
        return RecordSwipePayload(swipe=load(info, Swipe, result.swipe_id), preferences=load_own(info, Preferences))

    @strawberry.mutation(description="Records up to 100 swipes at once.")
    @outcome(RecordSwipesPayload, stores=Stores(row=700, each="swipes"))
    async def record_swipes(self, info: Info, input: RecordSwipesInput) -> RecordSwipesPayload:
        context = info.context
        outcomes = await swipes.record(context.session, context.services, [swipe.plain() for swipe in input.swipes])
        results = []
        for position, result in enumerate(outcomes):
            if result.error is None:
                results.append(SwipeResult(swipe=load(info, Swipe, result.swipe_id)))
            else:
                error = UserError.of(result.error)
                error.field = ["swipes", str(position), *(error.field or [])]
                results.append(SwipeResult(user_errors=[error]))
        return RecordSwipesPayload(results=results, preferences=load_own(info, Preferences))

    @strawberry.mutation(description="Undoes a swipe; the previous one of the same product counts again.")
    @outcome(UndoSwipePayload, stores=Stores(row=300))
    async def undo_swipe(self, info: Info, input: UndoSwipeInput) -> UndoSwipePayload:
        await swipes.undo(info.context.session, ids.decode_as("Swipe", input.swipe_id))
        return UndoSwipePayload(undone_swipe_id=input.swipe_id, preferences=load_own(info, Preferences))
