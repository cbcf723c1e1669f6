"""Reasons that a person takes out of their own recommendations: "not because of this"."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.rows import Order
from db.sources import Reference
from domain import ids
from resolvers import dismissed_reasons
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import RowNode, column, load, row, to_one
from schema.products import Product


@strawberry.enum(description="What a reason comes from.")
class ReasonSourceKind(Enum):
    PRODUCT = strawberry.enum_value("product", description="A product that the person swiped or gave feedback on.")
    TRAIT = strawberry.enum_value("trait", description="A trait of their personality.")
    CATEGORY = strawberry.enum_value("category", description="A category.")
    BRAND = strawberry.enum_value("brand", description="A brand.")
    TAG = strawberry.enum_value("tag", description="A tag of products.")


@row(
    "public.dismissed_reasons",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.dismissed_at", "timestamptz", descending=True)},
)
@strawberry.type(description="Something that the caller's own recommendations are not to follow from.")
class DismissedReason(RowNode):
    kind: ReasonSourceKind = column("What it is.", read=ReasonSourceKind)
    label: str = column("For people: the name of the product, category or brand, the tag, or the trait.")
    product: Product | None = to_one("The product, if it is one.", "product_id", keeps_old_ids=True)
    dismissed_at: datetime = column("When it was dismissed.")
    restored_at: datetime | None = column("When it was restored; null while it is dismissed.")


@strawberry.input(description="What a reason comes from.")
class ReasonSourceInput:
    kind: ReasonSourceKind = strawberry.field(description="What it is.")
    key: str = strawberry.field(
        description="The product's id, the slug of the category or brand, the tag, or the trait, such as creative."
    )


@strawberry.input(description="A reason to dismiss.")
class DismissReasonInput:
    source: ReasonSourceInput = strawberry.field(description="What the reason comes from.")


@strawberry.input(description="A dismissed reason to restore.")
class RestoreReasonInput:
    id: strawberry.ID = strawberry.field(description="The id of the DismissedReason.")


@strawberry.type(description="The outcome of dismissing or restoring a reason.")
class DismissedReasonPayload:
    dismissed_reason: Reference[DismissedReason] | None = strawberry.field(
        graphql_type=DismissedReason | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class DismissedReasonMutation:
    @strawberry.mutation(
        description="“Not because of this”: the caller's next feed is ranked without what follows from it. Idempotent; "
        f"at most {dismissed_reasons.MAX_CURRENT} at a time."
    )
    @outcome(DismissedReasonPayload)
    async def dismiss_reason(self, info: Info, input: DismissReasonInput) -> DismissedReasonPayload:
        reason = await dismissed_reasons.dismiss(
            info.context.session, kind=cast(str, input.source.kind.value), key=input.source.key
        )
        return DismissedReasonPayload(dismissed_reason=load(info, DismissedReason, reason))

    @strawberry.mutation(
        description="Brings a dismissed reason back; the next feed is as if it had never left. Idempotent."
    )
    @outcome(DismissedReasonPayload, stores=Stores(row=300))
    async def restore_reason(self, info: Info, input: RestoreReasonInput) -> DismissedReasonPayload:
        reason = await dismissed_reasons.restore(info.context.session, ids.decode_as("DismissedReason", input.id))
        return DismissedReasonPayload(dismissed_reason=load(info, DismissedReason, reason))
