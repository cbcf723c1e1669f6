"""What networks really paid, for finance and administrators."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.claims import Claims
from db.rows import Order
from resolvers import payments
from resolvers.payments import Filter
from schema.connection import Connection, connect, paged
from schema.context import Info
from schema.finance import money
from schema.node import Row, RowNode, column, row, to_one
from schema.products import Money

if TYPE_CHECKING:
    from schema.exceptions import LedgerException
    from schema.ledger_entries import LedgerEntry


@row("public.settled_payments", keys=("payment_id",))
@strawberry.type(description="What a payment should have been.")
class Settlement(Row):
    due: Money = money("What became approved in its period, less what was taken back before it.", "due_minor")
    difference: Money = money("What was paid, less what was due.", "difference_minor")
    conversions: int = column("How many conversions it pays for.")
    meets: bool = column("Whether it is exactly what was due.")
    is_accepted: bool = column("Whether a person accepted that it is not; its conversions are paid all the same.")
    updated_at: datetime = column("When this last changed.")


NEWEST = Order.by("NEWEST", "r.paid_on", "date", descending=True)


@row("public.payments", orders={"NEWEST": NEWEST})
@strawberry.type(description="What a network really paid, for a period. Nobody can change it.")
class Payment(RowNode):
    network: str = column("The code of the network.", "affiliate_network")
    reference: str = column("Identifies the payment.")
    advertiser_id: str = column("Whose sales it is for, to the network.")
    advertiser: str | None = column("The advertiser's name.")
    period_start: date = column("The first day of approval that it is for.")
    period_end: date = column("The last day of approval that it is for.")
    paid_on: date = column("The day on which it was paid.")
    amount: Money = money("How much.", "amount_minor")
    origin: str | None = column("The name of the file.")
    recorded_at: datetime = column("When we knew.")
    settlement: Settlement | None = to_one("What it should have been.", "id", "payment_id")

    @paged("Its postings, newest first.")
    @staticmethod
    def entries(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[LedgerEntry, strawberry.lazy("schema.ledger_entries")]]:
        from schema.ledger_entries import NEWEST, LedgerEntry

        return connect(info, LedgerEntry.ROW, NEWEST, first=first, after=after, parent="r.payment_id = parent.key")

    @paged("Its exceptions, newest first.")
    @staticmethod
    def exceptions(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[LedgerException, strawberry.lazy("schema.exceptions")]]:
        from schema.exceptions import NEWEST, LedgerException

        return connect(info, LedgerException.ROW, NEWEST, first=first, after=after, parent="r.payment_id = parent.key")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


@strawberry.input(description="Which payments; all conditions must hold.")
class PaymentFilter:
    networks: list[str] | None = strawberry.field(default=None, description="The codes of networks, at most 50.")
    reference: str | None = strawberry.field(default=None, description="With this reference.")
    month: str | None = strawberry.field(default=None, description="Paid in this month, such as 2026-08.")
    is_settled: bool | None = strawberry.field(
        default=None, description="Whether it pays its conversions: it is what was due, or was accepted."
    )

    def plain(self) -> Filter:
        return Filter(self.networks, self.reference, self.month, self.is_settled)


@strawberry.type
class PaymentQuery:
    @strawberry.field(description="What networks paid, newest first. For finance and administrators.")
    def payments(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: PaymentFilter | None = None,
    ) -> Connection[Payment]:
        where = payments.conditions(info.context.session, filter.plain() if filter else Filter())
        return connect(
            info, Payment.ROW, NEWEST, first=first, after=after, last=last, before=before, where=where
        )  # fmt: skip
