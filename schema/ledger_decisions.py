"""What finance and administrators decide about the ledger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry

from db.claims import Claims
from db.rows import Order
from db.sources import Reference
from domain import ids
from domain.errors import NotFound
from resolvers import ledger_decisions
from schema.context import Info
from schema.conversions import Conversion, ConversionPayload, ConversionReport
from schema.errors import UserError, outcome, user_errors
from schema.exceptions import LedgerException
from schema.finance import reason_field
from schema.node import RowNode, column, load, row, to_one
from schema.retailers import Retailer


@strawberry.enum(description="What was decided.")
class DecisionKind(Enum):
    MATCH = strawberry.enum_value("match", description="Where a conversion came from.")
    ADJUST = strawberry.enum_value("adjust", description="What a conversion earns.")
    ACCEPT = strawberry.enum_value("accept", description="That what an exception is about happens.")
    DECLINE = strawberry.enum_value("decline", description="That what an exception is about does not happen.")


NEWEST = Order.by("NEWEST", "r.recorded_at", "timestamptz", descending=True)


@row("public.ledger_decisions", orders={"NEWEST": NEWEST})
@strawberry.type(
    description="What a person decided about the ledger; who, is in `auditLog`. Nobody can change it: of several about "
    "one thing the last one counts."
)
class LedgerDecision(RowNode):
    kind: DecisionKind = column("What was decided.", read=DecisionKind)
    reason: str = column("Why.")
    recorded_at: datetime = column("When.")
    conversion: Conversion | None = to_one("The conversion that it is about.", "conversion_id")
    exception: LedgerException | None = to_one("The exception that it is about.", "exception_id")
    retailer: Retailer | None = to_one("The shop that the conversion was matched to.", "retailer_id")
    tracking_id: str | None = column("Of the placement that the conversion was matched to.")
    report: ConversionReport | None = to_one("The adjustment.", "report_id")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


@strawberry.input(description="Where a conversion came from: give one of `clickToken`, `retailerId` and `trackingId`.")
class MatchConversionInput:
    conversion_id: strawberry.ID = strawberry.field(description="The conversion.")
    reason: str = reason_field()
    click_token: str | None = strawberry.field(
        default=None, description="The last part of the tracked link, or the whole link. It replaces any other click."
    )
    retailer_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop, of a conversion whose click is unknown."
    )
    tracking_id: str | None = strawberry.field(
        default=None, description="The tracking id of a placement of ours at the conversion's network."
    )


@strawberry.input(description="What a conversion earns, where the network does not say it.")
class AdjustConversionInput:
    conversion_id: strawberry.ID = strawberry.field(description="The conversion.")
    amount: Decimal = strawberry.field(
        description="The commission that stands from then on, in the conversion's currency; zero or more. It stays "
        "pending or approved as it is; what was declined or reversed is approved again."
    )
    reason: str = reason_field()
    at: datetime | None = strawberry.field(
        default=None,
        description="From when on; default: now. Not before what the network has said: that of a later time counts "
        "again.",
    )


@strawberry.input(description="An exception, and what to do about it.")
class DecideExceptionInput:
    exception_id: strawberry.ID = strawberry.field(description="The exception.")
    reason: str = reason_field()


@strawberry.type(description="The outcome of matching a conversion.")
class MatchConversionPayload(ConversionPayload):
    pass


@strawberry.type(description="The outcome of adjusting a conversion.")
class AdjustConversionPayload(ConversionPayload):
    pass


@strawberry.type
class _ExceptionPayload:
    exception: Reference[LedgerException] | None = strawberry.field(
        graphql_type=LedgerException | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="The outcome of accepting an exception.")
class AcceptExceptionPayload(_ExceptionPayload):
    pass


@strawberry.type(description="The outcome of declining an exception.")
class DeclineExceptionPayload(_ExceptionPayload):
    pass


@strawberry.type
class LedgerDecisionMutation:
    @strawberry.mutation(
        description="Says where a conversion came from: which click, or only which shop or placement. For finance and "
        "administrators."
    )
    @outcome(MatchConversionPayload)
    async def match_conversion(self, info: Info, input: MatchConversionInput) -> MatchConversionPayload:
        retailer = None
        if input.retailer_id is not None:
            retailer = ids.decode_as("Retailer", input.retailer_id)
            if retailer is None:
                raise NotFound("There is no such retailer.", ("retailerId",))
        key = await ledger_decisions.match(
            info.context.session,
            ids.decode_as("Conversion", input.conversion_id),
            input.reason,
            click_token=input.click_token,
            retailer=retailer,
            tracking_id=input.tracking_id,
        )
        return MatchConversionPayload(conversion=load(info, Conversion, key))

    @strawberry.mutation(
        description="Says what a conversion earns, as a report that is kept like those of the network. A repeat "
        "changes nothing. For finance and administrators."
    )
    @outcome(AdjustConversionPayload)
    async def adjust_conversion(self, info: Info, input: AdjustConversionInput) -> AdjustConversionPayload:
        key = await ledger_decisions.adjust(
            info.context.session,
            ids.decode_as("Conversion", input.conversion_id),
            input.amount,
            input.reason,
            input.at,
        )
        return AdjustConversionPayload(conversion=load(info, Conversion, key))

    @strawberry.mutation(
        description="Lets happen what an exception is about. A payment that is not what was due pays its conversions "
        "all the same, and the difference is posted to an account of its own; a state that fits no transition is "
        "taken. It holds as long as just this is due. For finance and administrators."
    )
    @outcome(AcceptExceptionPayload)
    async def accept_exception(self, info: Info, input: DecideExceptionInput) -> AcceptExceptionPayload:
        key = ids.decode_as("LedgerException", input.exception_id)
        decided = await ledger_decisions.decide(info.context.session, key, input.reason, accepts=True)
        return AcceptExceptionPayload(exception=load(info, LedgerException, decided))

    @strawberry.mutation(
        description="Closes an exception without anything moving; if it had been accepted, that is taken back. For "
        "finance and administrators."
    )
    @outcome(DeclineExceptionPayload)
    async def decline_exception(self, info: Info, input: DecideExceptionInput) -> DeclineExceptionPayload:
        key = ids.decode_as("LedgerException", input.exception_id)
        decided = await ledger_decisions.decide(info.context.session, key, input.reason, accepts=False)
        return DeclineExceptionPayload(exception=load(info, LedgerException, decided))
