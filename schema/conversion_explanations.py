"""How the figures of a conversion follow from what was reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from db.sources import Reference
from domain import ids
from domain.ledger.booking import Account, Movement
from domain.ledger.timelines import Step
from resolvers.conversions import Explanation
from schema.bounds import at_most
from schema.context import Info
from schema.conversions import ConversionStatus
from schema.ledger_entries import LedgerAccount
from schema.node import load
from schema.payments import Payment
from schema.products import Money

MAX_STEPS = 50
MAX_MOVEMENTS = 100
MAX_REPORTS = 5
MAX_FAULTS = 50


def _report_ids() -> Any:
    return strawberry.field(
        description=f"The reports that say so, the first {MAX_REPORTS}.", metadata=at_most(MAX_REPORTS)
    )


def _ids(keys: list[UUID]) -> list[strawberry.ID]:
    return [strawberry.ID(ids.encode("ConversionReport", key)) for key in keys[:MAX_REPORTS]]


@strawberry.type(description="A state of a conversion, in the network's own order.")
class ConversionStep:
    at: datetime = strawberry.field(description="When it began.")
    status: ConversionStatus | None = strawberry.field(description="The state; null for an adjustment, in any state.")
    amount: Money = strawberry.field(
        description="The commission that stands; of a declined one what was pending, or zero if it is not told."
    )
    is_paid: bool = strawberry.field(description="Whether the network says that it has paid.")
    report_ids: list[strawberry.ID] = _report_ids()

    @classmethod
    def of(cls, step: Step, reports: list[UUID], currency: str) -> ConversionStep:
        return cls(
            report_ids=_ids(reports),
            at=step.at,
            status=None if step.state == "adjusted" else ConversionStatus(step.state),
            amount=_money(step.amount_minor, currency),
            is_paid=step.paid,
        )


@strawberry.type(description="An amount that moves from one account to another, as it was posted.")
class LedgerMovement:
    payment_key: strawberry.Private[UUID | None]
    at: datetime = strawberry.field(description="When, by the network's account.")
    debit: LedgerAccount = strawberry.field(description="The account that it moves to.")
    credit: LedgerAccount = strawberry.field(description="The account that it moves from.")
    amount: Money = strawberry.field(description="How much.")
    report_ids: list[strawberry.ID] = _report_ids()

    @strawberry.field(description="The payment that did it, if one did.", graphql_type=Payment | None)
    def payment(self, info: Info) -> Reference[Payment]:
        return load(info, Payment, self.payment_key)

    @classmethod
    def of(cls, move: Movement, reports: list[UUID], payment: UUID | None, currency: str) -> LedgerMovement:
        return cls(
            report_ids=_ids(reports),
            payment_key=payment,
            at=move.at,
            debit=_account(move.debit),
            credit=_account(move.credit),
            amount=_money(move.amount_minor, currency),
        )


def _account(name: Account) -> LedgerAccount:
    return LedgerAccount(name)


def _money(minor: int, currency: str) -> Money:
    money = Money.of(minor, currency)
    assert money is not None
    return money


@strawberry.type(description="How the figures of a conversion follow from what was reported.")
class ConversionExplanation:
    steps: list[ConversionStep] = strawberry.field(
        description=f"Its states, the first {MAX_STEPS}.", metadata=at_most(MAX_STEPS)
    )
    movements: list[LedgerMovement] = strawberry.field(
        description="What these steps and the payments move, in order; the figures are the sums. At most "
        f"{MAX_MOVEMENTS}.",
        metadata=at_most(MAX_MOVEMENTS),
    )
    faults: list[str] = strawberry.field(
        description=f"What fits no transition and moves nothing; at most {MAX_FAULTS}.", metadata=at_most(MAX_FAULTS)
    )

    @classmethod
    def of(cls, found: Explanation) -> ConversionExplanation:
        return cls(
            steps=[ConversionStep.of(step, keys, found.currency) for step, keys in found.steps[:MAX_STEPS]],
            movements=[
                LedgerMovement.of(move, keys, payment, found.currency)
                for move, keys, payment in found.movements[:MAX_MOVEMENTS]
            ],
            faults=found.faults[:MAX_FAULTS],
        )
