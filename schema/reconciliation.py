"""What was expected, reported and paid, for analysts, finance and administrators."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self, cast

import strawberry

from db.sources import Reference
from domain.pages import length_of
from resolvers import reconciliation
from resolvers.reconciliation import SUMS
from schema.bounds import at_most
from schema.context import Info
from schema.finance import figure
from schema.node import load
from schema.retailers import Retailer

MAX_CURRENCIES, MAX_ROWS, MAX_OVERDUE = 200, 500, 200


@strawberry.type
class _Sums:
    expected: Decimal = figure("expected")
    tracked: Decimal = figure("tracked")
    pending: Decimal = figure("pending")
    approved: Decimal = figure("approved")
    declined: Decimal = figure("declined")
    reversed: Decimal = figure("reversed")
    paid: Decimal = figure("paid")
    clawback: Decimal = figure("clawback")
    variance: Decimal = strawberry.field(description="What payments should have paid and do not meet, below zero.")

    currency_code: str = strawberry.field(description="Of the amounts, ISO 4217.")

    @classmethod
    def sums(cls, figures: Mapping[str, str], currency: str, **others: Any) -> Self:
        return cls(currency_code=currency, **{name: Decimal(figures[name]) for name in SUMS}, **others)


@strawberry.type(description="The sums of a currency.")
class CurrencySums(_Sums):
    pass


@strawberry.type(description="The sums of a network, shop, month and currency.")
class ReconciliationRow(_Sums):
    slug: strawberry.Private[str | None]
    network: str = strawberry.field(description="The code of the network.")
    month: str = strawberry.field(description="Of the orders, such as 2026-07, in UTC.")

    @strawberry.field(description="The shop; null if it is unknown.", graphql_type=Retailer | None)
    def retailer(self, info: Info) -> Reference[Retailer]:
        return load(info, Retailer, self.slug, "slug")


@strawberry.type(description="Commission that is pending for longer than its network usually takes.")
class OverdueCommission:
    slug: strawberry.Private[str | None]
    network: str = strawberry.field(description="The code of the network.")
    advertiser_id: str = strawberry.field(description="Whose sales they are, to the network.")
    month: str = strawberry.field(description="Of the orders, such as 2026-07, in UTC.")
    currency_code: str = strawberry.field(description="Of the amount, ISO 4217.")
    amount: Decimal = strawberry.field(description="What is pending.")
    conversions: int = strawberry.field(description="Of how many conversions.")
    days: int = strawberry.field(description="The age of the oldest order.")

    @strawberry.field(description="The shop; null if it is unknown.", graphql_type=Retailer | None)
    def retailer(self, info: Info) -> Reference[Retailer]:
        return load(info, Retailer, self.slug, "slug")


@strawberry.type(description="Figures in the reporting currency, null where an exchange rate is missing.")
class ReportingSums:
    currency_code: str = strawberry.field(description="Of the amounts, ISO 4217.")
    expected: Decimal | None = figure("expected")
    pending: Decimal | None = figure("pending")
    approved: Decimal | None = figure("approved")
    declined: Decimal | None = figure("declined")
    reversed: Decimal | None = figure("reversed")
    paid: Decimal | None = figure("paid")
    clawback: Decimal | None = figure("clawback")
    rounding: Decimal | None = strawberry.field(description="What rounding leaves.")


@strawberry.type(description="What was expected, reported and paid. Amounts are never added across currencies.")
class Reconciliation:
    currencies: list[CurrencySums] = strawberry.field(
        description="By currency.", metadata=at_most(MAX_CURRENCIES)
    )  # fmt: skip
    rows: strawberry.Private[list[dict[str, Any]]]
    row_count: int = strawberry.field(description="How many rows `by` has in all.")
    exceptions: int = strawberry.field(description="How many exceptions are open.")
    unmatched: int = strawberry.field(description="How many conversions came from no click, placement or shop of ours.")
    overdue: list[OverdueCommission] = strawberry.field(
        description=f"What is overdue, by network, advertiser, shop, month and currency; the first {MAX_OVERDUE}.",
        metadata=at_most(MAX_OVERDUE),
    )
    reporting: ReportingSums = strawberry.field(description="All of it in the reporting currency.")

    @strawberry.field(
        description="By network, shop, month of the order and currency, in this order: `first` rows, at most "
        f"{MAX_ROWS}, after `skip`.",
        metadata=at_most(MAX_ROWS),
    )
    def by(self, first: int = 100, skip: int = 0) -> list[ReconciliationRow]:
        size = length_of(first, maximum=MAX_ROWS)
        return [
            ReconciliationRow.sums(
                row, row["currency"], slug=row["retailer"], network=row["network"], month=row["month"]
            )
            for row in self.rows[max(skip, 0) :][:size]
        ]


@strawberry.type
class ReconciliationQuery:
    @strawberry.field(
        description="What was expected, reported and paid, of orders of a month such as 2026-07, or of all. For "
        "analysts, finance and administrators."
    )
    async def reconciliation(self, info: Info, month: str | None = None) -> Reconciliation:
        currency = info.context.services.settings.default_currency
        found = await reconciliation.of_month(info.context.session, month, currency)
        reporting = {
            name: None if text is None else Decimal(text)
            for name, text in cast("dict[str, str | None]", found["reporting"]).items()
            if name != "currency"
        }
        return Reconciliation(
            currencies=[CurrencySums.sums(figures, code) for code, figures in found["currencies"].items()],
            rows=found["by"],
            row_count=len(found["by"]),
            exceptions=found["exceptions"],
            overdue=[
                OverdueCommission(
                    slug=row["retailer"],
                    network=row["network"],
                    advertiser_id=row["advertiser"],
                    month=row["month"],
                    currency_code=row["currency"],
                    amount=Decimal(row["amount"]),
                    conversions=row["conversions"],
                    days=row["days"],
                )
                for row in found["overdue"][:MAX_OVERDUE]
            ],
            unmatched=found["unmatched"],
            reporting=ReportingSums(currency_code=currency, **reporting),
        )
