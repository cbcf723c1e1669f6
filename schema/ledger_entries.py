"""Postings, and the balances that are their sums."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast
from uuid import UUID

import strawberry

from db.claims import Claims
from db.rows import Order
from db.sources import Reference
from resolvers import ledger_entries
from resolvers.ledger_entries import MAX_BALANCES, Filter
from schema.bounds import at_most
from schema.connection import Connection, connect
from schema.context import Info
from schema.conversions import Conversion
from schema.finance import key_of, money
from schema.node import RowNode, column, load, row, to_one
from schema.payments import Payment
from schema.products import Money
from schema.retailers import Retailer


@strawberry.enum(description="An account of the ledger.")
class LedgerAccount(Enum):
    EXPECTED = strawberry.enum_value("expected", description="What clicks should earn.")
    EXPECTATION = strawberry.enum_value("expectation", description="The other side of EXPECTED.")
    TRACKED = strawberry.enum_value("tracked", description="Reported, not decided.")
    DEFERRED = strawberry.enum_value("deferred", description="The other side of TRACKED: income not yet earned.")
    APPROVED = strawberry.enum_value("approved", description="Approved, not paid.")
    INCOME = strawberry.enum_value("income", description="Commission earned; below zero, as a credit.")
    DECLINED = strawberry.enum_value("declined", description="Declined or voided.")
    REVERSED = strawberry.enum_value("reversed", description="Taken back after approval, before payment.")
    RECEIVABLE = strawberry.enum_value("receivable", description="Paid by the network's word, less payments.")
    RECEIVED = strawberry.enum_value("received", description="Really paid.")
    CLAWED_BACK = strawberry.enum_value("clawed_back", description="Taken back after payment.")
    DIFFERENCE = strawberry.enum_value("difference", description="What accepted payments paid less than was due.")
    ROUNDING = strawberry.enum_value("rounding", description="What is left in the reporting currency.")


NEWEST = Order.by("NEWEST", "r.event_at", "timestamptz", descending=True)


@row("public.ledger_entries", orders={"NEWEST": NEWEST})
@strawberry.type(description="A posting. Those of a transaction add up to zero. Nobody can change it.")
class LedgerEntry(RowNode):
    transaction_id: strawberry.ID = column(
        "Postings of one transaction have the same.", read=lambda id: strawberry.ID(str(id))
    )
    account: LedgerAccount = column("The account.", read=LedgerAccount)
    amount: Money = money("A debit is above zero, a credit below.", "amount_minor")
    event_at: datetime = column("When it happened, by the network's account.")
    recorded_at: datetime = column("When we knew.")
    conversion: Conversion | None = to_one("The conversion that it is about.", "conversion_id")
    payment: Payment | None = to_one("The payment that it is about.", "payment_id")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_keep_books


@strawberry.input(description="Which postings; all conditions must hold.")
class LedgerFilter:
    account: LedgerAccount | None = strawberry.field(default=None, description="On this account.")
    currency_code: str | None = strawberry.field(default=None, description="ISO 4217.")
    conversion_id: strawberry.ID | None = strawberry.field(default=None, description="About this conversion.")
    payment_id: strawberry.ID | None = strawberry.field(default=None, description="About this payment.")
    since: datetime | None = strawberry.field(default=None, description="Of events then or later.")
    until: datetime | None = strawberry.field(default=None, description="Of events before then.")

    def plain(self) -> Filter:
        return Filter(
            account=None if self.account is None else cast(str, self.account.value),
            currency=self.currency_code,
            conversion_id=key_of("Conversion", self.conversion_id, "conversionId"),
            payment_id=key_of("Payment", self.payment_id, "paymentId"),
            since=self.since,
            until=self.until,
        )


@strawberry.enum(description="What balances are told apart by, besides account and currency.")
class LedgerDimension(Enum):
    NETWORK = strawberry.enum_value("network", description="The network.")
    RETAILER = strawberry.enum_value("retailer", description="The shop that sales are known to be of now.")
    MONTH = strawberry.enum_value("month", description="The month of the order, or of the payment, in UTC.")


@strawberry.type(description="What stands on an account, in one currency.")
class LedgerBalance:
    retailer_key: strawberry.Private[UUID | None]
    account: LedgerAccount = strawberry.field(description="The account.")
    network: str | None = strawberry.field(description="The network; null if balances are not by network.")
    month: str | None = strawberry.field(description="Such as 2026-07; null if balances are not by month.")
    amount: Money = strawberry.field(description="Debits less credits.")
    reporting: Money | None = strawberry.field(
        description="The same in the reporting currency; null where an exchange rate is missing, or was not known."
    )

    @strawberry.field(
        description="The shop; null if it is unknown, or balances are not by retailer.", graphql_type=Retailer | None
    )
    def retailer(self, info: Info) -> Reference[Retailer]:
        return load(info, Retailer, self.retailer_key)


@strawberry.type
class LedgerEntryQuery:
    @strawberry.field(description="Postings, newest first. For finance and administrators.")
    def ledger(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: LedgerFilter | None = None,
    ) -> Connection[LedgerEntry]:
        where = ledger_entries.conditions(info.context.session, filter.plain() if filter else Filter())
        return connect(
            info, LedgerEntry.ROW, NEWEST, first=first, after=after, last=last, before=before, where=where
        )  # fmt: skip

    @strawberry.field(
        description="The balances that are not zero, by account and currency and by what `by` names: of what had "
        "happened at `asOf`, as it was known at `knownAt` (both default to now). For analysts, finance and "
        "administrators.",
        metadata=at_most(MAX_BALANCES),
    )
    async def ledger_balances(
        self,
        info: Info,
        by: list[LedgerDimension] | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> list[LedgerBalance]:
        reporting = info.context.services.settings.default_currency
        names = [cast(str, each.value) for each in by or ()]
        found = await ledger_entries.balances(info.context.session, names, as_of, known_at, reporting)
        return [
            LedgerBalance(
                retailer_key=row["retailer_id"],
                account=LedgerAccount(row["account"]),
                network=row["network"],
                month=row["month"],
                amount=cast(Money, Money.of(row["amount_minor"], row["currency"])),
                reporting=Money.of(row["reporting_minor"], reporting),
            )
            for row in found
        ]
