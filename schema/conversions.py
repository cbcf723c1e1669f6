"""Conversions: sales that a network reports, for analysts, finance and administrators."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import strawberry

from db.claims import Claims
from db.rows import Order
from db.sources import Reference
from domain import ids
from domain.affiliate import encode_token
from resolvers import conversions
from resolvers.conversions import Filter
from schema.connection import Connection, connect, paged
from schema.context import Info
from schema.errors import UserError, user_errors
from schema.finance import key_of, money
from schema.node import Row, RowNode, column, row, to_one
from schema.products import Money, Product
from schema.retailers import Retailer
from schema.scalars import JSON, from_jsonb

if TYPE_CHECKING:
    from schema.conversion_explanations import ConversionExplanation
    from schema.conversion_flags import ConversionFlag
    from schema.exceptions import LedgerException
    from schema.ledger_decisions import LedgerDecision
    from schema.ledger_entries import LedgerEntry

MAX_CLICK_REFS = 20


@strawberry.enum(description="How a conversion stands.")
class ConversionStatus(Enum):
    PENDING = strawberry.enum_value("pending", description="Reported, not decided.")
    AMENDED = strawberry.enum_value("amended", description="Pending, and its amount was changed.")
    APPROVED = strawberry.enum_value("approved", description="Approved, not paid.")
    DECLINED = strawberry.enum_value("declined", description="Not approved.")
    VOID = strawberry.enum_value("void", description="Deleted by the network before it was approved.")
    REVERSED = strawberry.enum_value("reversed", description="Taken back after approval, before payment.")
    PAID = strawberry.enum_value("paid", description="Paid by the network.")
    CLAWBACK = strawberry.enum_value("clawback", description="Taken back after payment.")
    UNKNOWN = strawberry.enum_value("unknown", description="What was reported fits no state; see its exceptions.")


@strawberry.enum(description="How the click of a conversion is known.")
class MatchedBy(Enum):
    CLICK_ID = strawberry.enum_value("click_id", description="The network returned its token.")
    CLICK_TIME = strawberry.enum_value("click_time", description="It is the only one at the shop at that time.")
    MANUAL = strawberry.enum_value("manual", description="A person said so; perhaps only which shop it came from.")


@strawberry.enum(description="How a report came in.")
class ReportSource(Enum):
    IMPORT = strawberry.enum_value("import", description="A file.")
    PULL = strawberry.enum_value("pull", description="A request to the network.")
    POSTBACK = strawberry.enum_value("postback", description="A request of the network.")
    MANUAL = strawberry.enum_value("manual", description="An adjustment, by a person.")


def _matched_by(text: str | None) -> MatchedBy | None:
    return None if text is None else MatchedBy(text)


def _token(id: UUID | str) -> str:
    return encode_token(UUID(str(id)))


def _optional_token(id: UUID | str | None) -> str | None:
    return None if id is None else _token(id)


def _person(id: UUID | str | None) -> strawberry.ID | None:
    return None if id is None else strawberry.ID(ids.encode("Profile", id))


def _optional_json(jsonb: str | None) -> object:
    return None if jsonb is None else from_jsonb(jsonb)


@row("public.conversion_origins", keys=("id",))
@strawberry.type(
    description="The click that a conversion came from, as it was then. It stays when the person is erased."
)
class ConversionClick(Row):
    token: str = column("The last part of the link, which the network returns.", "click_id", read=_token)
    first_token: str | None = column(
        "The person's first click at the shop within its window before this one.",
        "first_click_id",
        read=_optional_token,
    )
    clicked_at: datetime = column("When.")
    person_id: strawberry.ID | None = column(
        "The profile of the person, for telling whether sales are one person's; null once they are erased.",
        "user_id",
        read=_person,
    )
    matched_by: MatchedBy = column("How it is known.", read=MatchedBy)
    rule_id: strawberry.ID | None = column(
        "The commission rule that counted; null for the shop's own rate.",
        "commission_rule_id",
        read=lambda id: None if id is None else strawberry.ID(str(id)),
    )
    rate: Decimal | None = column("The share of the sale that was agreed.", "commission_rate")
    flat: Money | None = money("The amount that was agreed in place of a rate.", "commission_flat_minor")
    cap: Money | None = money("The most that a sale earns.", "commission_cap_minor")
    campaign: str | None = column("The campaign.")
    source_page: str | None = column("The page with the link.")
    device_class: str | None = column("Of the first visitor who followed the link.")
    recommendation_context: str | None = column("Where the product was recommended.")
    model_version: int | None = column("The model that recommended it.")
    arm: int | None = column("The arm of the experiment that recommended it.")
    has_gift_link: bool = column("Whether a gift link led to it.")
    product: Product | None = to_one("The product.", "product_id", keeps_old_ids=True)


CHRONOLOGICAL = Order.by("CHRONOLOGICAL", "coalesce(r.stated_at, r.ordered_at)", "timestamptz", descending=False)


@row("public.conversion_reports", orders={"CHRONOLOGICAL": CHRONOLOGICAL})
@strawberry.type(description="What a source said about a conversion, as it said it. Nobody can change it.")
class ConversionReport(RowNode):
    network: str = column("The code of the network.", "affiliate_network")
    reference: str = column("The conversion's, within the network.")
    kind: str = column("What it is to the network, such as transaction, or adjustment for a person's.")
    state: str = column("In the network's words.")
    advertiser_id: str = column("Whose sale it is, to the network.")
    amount: Money = money("The commission: what stands, or a change, as this kind says.", "amount_minor")
    sale: Money = money("The sale.", "sale_minor")
    stated_at: datetime | None = column("When the state began, by the network's own time.")
    ordered_at: datetime = column("When the order was made.")
    clicked_at: datetime | None = column("When the link was followed, by the network's account.")
    tracking_id: str | None = column("Of the placement.")
    facts: JSON = column("Further values that the state follows from.", read=from_jsonb, is_jsonb=True)
    raw: JSON | None = column(
        "The row as it came; null for an adjustment, and once the person of the click is erased.",
        read=_optional_json,
        is_jsonb=True,
    )
    click_refs: list[str] = column(
        "What the network passed on of our link.", read=lambda refs: list(refs or ())[:MAX_CLICK_REFS],
        limit=MAX_CLICK_REFS,
    )  # fmt: skip
    source: ReportSource = column("How it came in.", read=ReportSource)
    origin: str | None = column("The name of the file, or of the account that was pulled.")
    recorded_at: datetime = column("When we knew.")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


NEWEST = Order.by("NEWEST", "r.ordered_at", "timestamptz", descending=True)
OLDEST = Order.by("OLDEST", "r.ordered_at", "timestamptz", descending=False)


@row("public.conversions", orders={"NEWEST": NEWEST, "OLDEST": OLDEST})
@strawberry.type(
    description="A sale that a network reports. Each amount that it reported is in one of six figures: pending, "
    "approved, declined, reversed, paid, clawback."
)
class Conversion(RowNode):
    network: str = column("The code of the network.", "affiliate_network")
    reference: str = column("Identifies it within the network.")
    advertiser_id: str = column("Whose sale it is, to the network.")
    tracking_id: str | None = column("Of the placement that it came from.")
    status: ConversionStatus = column("How it stands.", read=ConversionStatus)
    matched_by: MatchedBy | None = column("How its click is known; null without one.", read=_matched_by)
    sale: Money = money("The sale as it was first reported.", "sale_minor")
    expected: Money | None = money("What the click's terms give for the sale; null without a click.", "expected_minor")
    tracked: Money = money("The commission as it was first reported.", "tracked_minor")
    pending: Money = money("Reported, not decided.", "pending_minor")
    approved: Money = money("Approved, not paid.", "approved_minor")
    declined: Money = money("What was pending when it was declined or voided.", "declined_minor")
    reversed: Money = money("Taken back after approval, before payment.", "reversed_minor")
    paid: Money = money("Paid, and not taken back.", "paid_minor")
    clawback: Money = money("Taken back after payment.", "clawback_minor")
    variance: Money = money("What payments should have paid of it and do not meet, below zero.", "variance_minor")
    is_held: bool = column(
        "Whether a sign of fraud holds it back from what is learnt of it, and from payouts. Its figures stay."
    )
    ordered_at: datetime = column("When the order was made.")
    clicked_at: datetime | None = column("When the link was followed.")
    approved_at: datetime | None = column("When it was approved.")
    updated_at: datetime = column("When its row last changed.")
    retailer: Retailer | None = to_one("The shop of its click, or that the advertiser is known to be.", "retailer_id")
    product: Product | None = to_one("The product that its click led to.", "product_id", keeps_old_ids=True)
    click: ConversionClick | None = to_one(
        "Its click. For finance and administrators, who show it to the network when a sale is disputed; null for "
        "others.",
        "id",
    )

    @strawberry.field(
        description="How its figures follow from what was reported. For finance and administrators; null for others."
    )
    async def explanation(
        self, info: Info
    ) -> Annotated[ConversionExplanation, strawberry.lazy("schema.conversion_explanations")] | None:
        from schema.conversion_explanations import ConversionExplanation

        session = info.context.session

        async def batch(keys: list[UUID]) -> list[Any]:
            return await conversions.explain(session, keys)

        found = await session.loaders.custom("explanations", batch).load(self.record["id"])
        return None if found is None else ConversionExplanation.of(found)

    @paged("What was reported of it, in the order of the network's own times. Empty for analysts.")
    @staticmethod
    def reports(info: Info, first: int | None = None, after: str | None = None) -> Connection[ConversionReport]:
        parent = (
            "r.affiliate_network = (select c.affiliate_network from public.conversions c where c.id = parent.key)"
            " and r.reference = (select c.reference from public.conversions c where c.id = parent.key)"
        )
        return connect(info, ConversionReport.ROW, CHRONOLOGICAL, first=first, after=after, parent=parent)

    @paged("Its postings, newest first. Empty for analysts.")
    @staticmethod
    def entries(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[LedgerEntry, strawberry.lazy("schema.ledger_entries")]]:
        from schema.ledger_entries import NEWEST, LedgerEntry

        return connect(info, LedgerEntry.ROW, NEWEST, first=first, after=after, parent="r.conversion_id = parent.key")

    @paged("Its exceptions, newest first. Empty for analysts.")
    @staticmethod
    def exceptions(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[LedgerException, strawberry.lazy("schema.exceptions")]]:
        from schema.exceptions import NEWEST, LedgerException

        parent = "r.conversion_id = parent.key"
        return connect(info, LedgerException.ROW, NEWEST, first=first, after=after, parent=parent)

    @paged("Why it is, or was, suspicious, newest first. Empty for analysts.")
    @staticmethod
    def flags(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[ConversionFlag, strawberry.lazy("schema.conversion_flags")]]:
        from schema.conversion_flags import NEWEST, ConversionFlag

        parent = "r.conversion_id = parent.key"
        return connect(info, ConversionFlag.ROW, NEWEST, first=first, after=after, parent=parent)

    @paged("What people decided about it, newest first. Empty for analysts.")
    @staticmethod
    def decisions(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[LedgerDecision, strawberry.lazy("schema.ledger_decisions")]]:
        from schema.ledger_decisions import NEWEST, LedgerDecision

        parent = "r.conversion_id = parent.key"
        return connect(info, LedgerDecision.ROW, NEWEST, first=first, after=after, parent=parent)

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_read_money


@strawberry.enum(description="The order of conversions.")
class ConversionOrder(Enum):
    NEWEST = strawberry.enum_value("NEWEST", description="The latest order first.")
    OLDEST = strawberry.enum_value("OLDEST", description="The earliest order first.")


@strawberry.input(description="Which conversions; all conditions must hold.")
class ConversionFilter:
    networks: list[str] | None = strawberry.field(default=None, description="The codes of networks, at most 50.")
    retailer_id: strawberry.ID | None = strawberry.field(default=None, description="Of this shop.")
    status: list[ConversionStatus] | None = strawberry.field(default=None, description="In one of these states.")
    currency_code: str | None = strawberry.field(default=None, description="ISO 4217.")
    reference: str | None = strawberry.field(default=None, description="With this reference.")
    month: str | None = strawberry.field(default=None, description="Of the order, such as 2026-07, in UTC.")
    since: datetime | None = strawberry.field(default=None, description="Ordered then or later.")
    until: datetime | None = strawberry.field(default=None, description="Ordered before then.")
    is_matched: bool | None = strawberry.field(
        default=None, description="Whether a click, a placement of ours, or a person says where it came from."
    )

    is_held: bool | None = strawberry.field(default=None, description="Whether a sign of fraud holds it.")

    def plain(self) -> Filter:
        return Filter(
            networks=self.networks,
            retailer_id=key_of("Retailer", self.retailer_id, "retailerId"),
            states=None if self.status is None else [cast(str, each.value) for each in self.status],
            currency=self.currency_code,
            reference=self.reference,
            month=self.month,
            since=self.since,
            until=self.until,
            is_matched=self.is_matched,
            is_held=self.is_held,
        )


@strawberry.type
class ConversionPayload:
    """What payloads of mutations of a conversion have."""

    conversion: Reference[Conversion] | None = strawberry.field(
        graphql_type=Conversion | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ConversionQuery:
    @strawberry.field(
        description="Sales that networks reported. For analysts, who do not see the click and the reports, finance and "
        "administrators."
    )
    def conversions(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: ConversionFilter | None = None,
        order_by: ConversionOrder = ConversionOrder.NEWEST,
    ) -> Connection[Conversion]:
        where = conversions.conditions(info.context.session, filter.plain() if filter else Filter())
        order = Conversion.ROW.orders[cast(str, order_by.value)]
        return connect(
            info, Conversion.ROW, order, first=first, after=after, last=last, before=before, where=where
        )  # fmt: skip
