"""Signs of fraud in conversions, for finance and administrators."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.claims import Claims
from db.rows import Order
from domain import ids
from resolvers import conversion_flags
from resolvers.conversion_flags import Filter
from schema.connection import Connection, connect
from schema.context import Info
from schema.conversions import Conversion, ConversionPayload
from schema.errors import outcome
from schema.finance import reason_field
from schema.node import RowNode, column, load, row, to_one


@strawberry.enum(description="What is suspicious of a conversion.")
class ConversionFlagKind(Enum):
    DUPLICATE_ORDER = strawberry.enum_value(
        "duplicate_order", description="Its order was reported before, under another reference or by another network."
    )
    EARLY_SALE = strawberry.enum_value("early_sale", description="It came within seconds after its click.")
    VISITOR_CLICKS = strawberry.enum_value(
        "visitor_clicks", description="Its visitor followed too many links in an hour."
    )
    NETWORK_CLICKS = strawberry.enum_value(
        "network_clicks", description="Too many links were followed from its visitor's network in an hour."
    )
    VISITOR_SALES = strawberry.enum_value(
        "visitor_sales", description="Too many sales by one visitor's clicks of a day."
    )
    NETWORK_SALES = strawberry.enum_value(
        "network_sales", description="Too many sales by one network's clicks of a day."
    )
    OWN_GIFT_LINK = strawberry.enum_value("own_gift_link", description="The maker of the gift link followed it.")
    CLICK_SPIKE = strawberry.enum_value(
        "click_spike",
        description="It was clicked when its product, campaign or network had many more visitors than usual.",
    )
    MANUAL = strawberry.enum_value("manual", description="A person holds it.")


NEWEST = Order.by("NEWEST", "r.flagged_at", "timestamptz", descending=True)


@row("public.conversion_flags", orders={"NEWEST": NEWEST})
@strawberry.type(description="Why a conversion is suspicious. It stays, also once it was released or cleared.")
class ConversionFlag(RowNode):
    kind: ConversionFlagKind = column("What is suspicious.", read=ConversionFlagKind)
    detail: str = column("In words; of a hold by hand, its reason.")
    flagged_at: datetime = column("When it was found.")
    is_held: bool = column("Whether it holds the conversion.")
    cleared_at: datetime | None = column("When the facts had changed, so that it no longer held.")
    released_at: datetime | None = column("When a person released it; who, is in `auditLog`.")
    release_reason: str | None = column("Why it was released.")
    conversion: Conversion | None = to_one("The conversion that it is about.", "conversion_id")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


@strawberry.input(description="Which flags; all conditions must hold.")
class ConversionFlagFilter:
    is_held: bool | None = strawberry.field(default=None, description="Whether it holds its conversion.")
    kind: ConversionFlagKind | None = strawberry.field(default=None, description="Of this kind.")
    network: str | None = strawberry.field(default=None, description="Of a conversion of this network.")
    since: datetime | None = strawberry.field(default=None, description="Found then or later.")
    until: datetime | None = strawberry.field(default=None, description="Found before then.")

    def plain(self) -> Filter:
        kind = None if self.kind is None else cast(str, self.kind.value)
        return Filter(self.is_held, kind, self.network, self.since, self.until)


@strawberry.input(description="A conversion to hold.")
class HoldConversionInput:
    conversion_id: strawberry.ID = strawberry.field(description="The conversion.")
    reason: str = reason_field()


@strawberry.input(description="A conversion to release.")
class ReleaseConversionInput(HoldConversionInput):
    pass


@strawberry.type(description="The outcome of holding a conversion.")
class HoldConversionPayload(ConversionPayload):
    pass


@strawberry.type(description="The outcome of releasing a conversion.")
class ReleaseConversionPayload(ConversionPayload):
    pass


@strawberry.type
class ConversionFlagQuery:
    @strawberry.field(
        description="Why conversions are, or were, suspicious, newest first. For finance and administrators."
    )
    def conversion_flags(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: ConversionFlagFilter | None = None,
    ) -> Connection[ConversionFlag]:
        where = conversion_flags.conditions(info.context.session, filter.plain() if filter else Filter())
        return connect(
            info, ConversionFlag.ROW, NEWEST, first=first, after=after, last=last, before=before, where=where
        )  # fmt: skip


@strawberry.type
class ConversionFlagMutation:
    @strawberry.mutation(
        description="Holds a conversion: it counts for nobody as bought, and is left out of payouts. Its figures stay. "
        "For finance and administrators."
    )
    @outcome(HoldConversionPayload)
    async def hold_conversion(self, info: Info, input: HoldConversionInput) -> HoldConversionPayload:
        key = ids.decode_as("Conversion", input.conversion_id)
        held = await conversion_flags.decide(info.context.session, key, input.reason, holds=True)
        return HoldConversionPayload(conversion=load(info, Conversion, held))

    @strawberry.mutation(
        description="Releases a conversion from all that holds it. It is not held again for the same facts. For "
        "finance and administrators."
    )
    @outcome(ReleaseConversionPayload)
    async def release_conversion(self, info: Info, input: ReleaseConversionInput) -> ReleaseConversionPayload:
        key = ids.decode_as("Conversion", input.conversion_id)
        released = await conversion_flags.decide(info.context.session, key, input.reason, holds=False)
        return ReleaseConversionPayload(conversion=load(info, Conversion, released))
