"""The exceptions queue of the ledger, for finance and administrators."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from db.claims import Claims
from db.rows import Order
from resolvers import exceptions
from resolvers.exceptions import Filter
from schema.connection import Connection, connect
from schema.context import Info
from schema.conversions import Conversion
from schema.node import RowNode, column, row, to_one
from schema.payments import Payment

if TYPE_CHECKING:
    from schema.ledger_decisions import LedgerDecision


@strawberry.enum(description="What is the matter.")
class ExceptionKind(Enum):
    TRANSITION = strawberry.enum_value("transition", description="A report fits no state.")
    SHORT_PAYMENT = strawberry.enum_value("short_payment", description="A payment is less than was due.")
    OVER_PAYMENT = strawberry.enum_value("over_payment", description="A payment is more than was due.")
    PAYMENT_WITHOUT_ROWS = strawberry.enum_value(
        "payment_without_rows", description="A payment is for nothing that was approved."
    )


NEWEST = Order.by("NEWEST", "r.opened_at", "timestamptz", descending=True)


@row("public.exceptions", orders={"NEWEST": NEWEST})
@strawberry.type(description="What needs a person. It closes by itself once it no longer holds.")
class LedgerException(RowNode):
    kind: ExceptionKind = column("What is the matter.", read=ExceptionKind)
    detail: str = column("In words.")
    concerns_on: date = column("The day of the order, or the last day of the payment's period.")
    opened_at: datetime = column("When it was found.")
    closed_at: datetime | None = column("When it closed; null while it is open.")
    conversion: Conversion | None = to_one("The conversion that it is about.", "conversion_id")
    payment: Payment | None = to_one("The payment that it is about.", "payment_id")
    decision: Annotated[LedgerDecision, strawberry.lazy("schema.ledger_decisions")] | None = to_one(
        "What was last decided about it.", "decision_id"
    )

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


@strawberry.input(description="Which exceptions; all conditions must hold.")
class ExceptionFilter:
    is_open: bool | None = strawberry.field(default=None, description="Whether it is open.")
    kind: ExceptionKind | None = strawberry.field(default=None, description="Of this kind.")
    network: str | None = strawberry.field(default=None, description="Of a conversion or payment of this network.")

    def plain(self) -> Filter:
        return Filter(self.is_open, None if self.kind is None else cast(str, self.kind.value), self.network)


@strawberry.type
class ExceptionQuery:
    @strawberry.field(description="What needs a person, newest first. For finance and administrators.")
    def exceptions(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: ExceptionFilter | None = None,
    ) -> Connection[LedgerException]:
        where = exceptions.conditions(info.context.session, filter.plain() if filter else Filter())
        return connect(
            info, LedgerException.ROW, NEWEST, first=first, after=after, last=last, before=before, where=where
        )  # fmt: skip
