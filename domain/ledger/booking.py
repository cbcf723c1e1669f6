"""The movements of a conversion's money, and the figures that they add up to.

Every minor unit that a network has reported is in exactly one of six figures: pending, approved (and not yet paid),
declined, reversed (taken back after approval, before payment), paid (and not taken back), clawback (taken back after
payment).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

from domain.ledger.timelines import Step, Timeline

Account: TypeAlias = Literal[
    "expected", "expectation", "deferred", "tracked", "income", "approved", "receivable", "received", "declined",
    "reversed", "clawed_back", "difference", "rounding",
]  # fmt: skip
FIGURES: dict[str, Account] = {
    "pending": "tracked",
    "approved": "approved",
    "declined": "declined",
    "reversed": "reversed",
    "paid": "receivable",
    "clawback": "clawed_back",
}
_TAKEN_BACK: tuple[Account, ...] = ("reversed", "clawed_back")


@dataclass(frozen=True, slots=True)
class Payment:
    """What a network paid: for what became approved within the period (both days included, UTC), less what of that was
    taken back before `paid_on`."""

    reference: str
    period_start: date
    period_end: date
    paid_on: date
    amount_minor: int

    @property
    def at(self) -> datetime:
        """When it takes effect: at the start of its day, UTC."""
        return datetime(self.paid_on.year, self.paid_on.month, self.paid_on.day, tzinfo=UTC)

    def covers(self, day: date) -> bool:
        """Whether it pays for what was approved on this day."""
        return self.period_start <= day <= self.period_end and day <= self.paid_on


@dataclass(frozen=True, slots=True)
class Movement:
    """An amount in minor units that moves from one account (credit) to another (debit), because of these reports (their
    state identities) or of a payment (its reference)."""

    at: datetime
    debit: Account
    credit: Account
    amount_minor: int
    reports: tuple[str, ...] = field(default=(), compare=False)
    payment: str = field(default="", compare=False)


@dataclass(slots=True)
class _Lot:
    """What became approved on one day, as far as it stands."""

    day: date
    amount_minor: int
    is_paid: bool = False


@dataclass(slots=True)
class Booked:
    """The result: movements, the state, `lots` by day of approval, and what each payment paid. `faults` are steps that
    fit no transition; they moved nothing."""

    movements: list[Movement] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    state: str = ""
    approved_at: datetime | None = None
    days: set[date] = field(default_factory=set)
    paid_by: Counter[str] = field(default_factory=Counter)

    @property
    def balances(self) -> Counter[str]:
        """Debits less credits of each account, in minor units."""
        found: Counter[str] = Counter()
        for movement in self.movements:
            found[movement.debit] += movement.amount_minor
            found[movement.credit] -= movement.amount_minor
        return found

    @property
    def figures(self) -> dict[str, int]:
        """The six figures, in minor units."""
        balances = self.balances
        return {figure: balances[account] for figure, account in FIGURES.items()}


def book(timeline: Timeline, payments: Sequence[Payment] = ()) -> Booked:
    """The movements of a conversion under these payments, which all met what they pay for.

    The date of a payment decides what was taken back before and after it. Without a payment that covers it, the
    network's own word (`Step.paid`) does."""
    walk = _Walk(sorted(payments, key=lambda payment: (payment.paid_on, payment.reference)), timeline.accepted)
    walk.booked.faults.extend(timeline.faults)
    for step in timeline.steps:
        walk.pay_until(step.at)
        walk.take(step)
    walk.pay_until(None)
    return walk.finish()


class _Walk:
    def __init__(self, payments: list[Payment], accepted: frozenset[str]) -> None:
        self.booked = Booked()
        self._accepted = accepted
        self._payments = payments
        self._waiting = list(payments)
        self._lots: list[_Lot] = []
        self._phase: Literal["", "pending", "approved", "declined", "void", "ended"] = ""
        self._pending = 0
        self._declined = 0
        self._is_amended = False
        self._reports: tuple[str, ...] = ()
        self._taken_back: Counter[Account] = Counter()

    def _move(self, at: datetime, debit: Account, credit: Account, amount: int, payment: str = "") -> None:
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        if amount:
            reports = () if payment else self._reports
            self.booked.movements.append(Movement(at, debit, credit, amount, reports, payment))

    def pay_until(self, at: datetime | None) -> None:
        """Applies the payments up to a time."""
        while self._waiting and (at is None or self._waiting[0].at <= at):
            payment = self._waiting.pop(0)
            for lot in self._lots:
                if payment.covers(lot.day) and not lot.is_paid:
                    self._pay_lot(lot, payment, payment.at)

    def _pay_lot(self, lot: _Lot, payment: Payment, at: datetime) -> None:
        self._pay(lot, at, payment.reference)
        self.booked.paid_by[payment.reference] += lot.amount_minor

    def _pay(self, lot: _Lot, at: datetime, payment: str = "") -> None:
        lot.is_paid = True
        self._move(at, "receivable", "approved", lot.amount_minor, payment)

    def _pay_by_word(self, at: datetime) -> None:
        for lot in self._lots:
            if not lot.is_paid and not any(payment.covers(lot.day) for payment in self._payments):
                self._pay(lot, at)

    def take(self, step: Step) -> None:
        """Applies a step, or notes that it fits no transition."""
        self._reports = step.reports
        if step.state == "pending":
            self._take_pending(step)
        elif step.state == "adjusted":
            self._take_adjusted(step)
        elif step.state == "approved":
            self._take_approved(step)
        else:
            self._take_end(step)

    def _is_accepted(self, step: Step) -> bool:
        """Whether a step that fits no transition happens all the same; if not, it is noted."""
        was = self._phase if self._phase != "ended" else "reversed"
        fault = f"{was} cannot become {step.state}, as said of {step.at:%Y-%m-%d %H:%M:%S} UTC"
        if fault not in self._accepted:
            self.booked.faults.append(fault)
        return fault in self._accepted

    def _reopen(self, step: Step, *, approves: bool) -> None:
        """Lets the step's amount stand, although the conversion had ended, or is more than pending."""
        if self._phase in ("declined", "void"):
            self._move(step.at, "tracked", "declined", self._declined)
            self._phase, self._pending, self._declined = "pending", self._declined, 0
            if approves:
                self._approve(step)
            else:
                self._set_pending(step)
        else:
            self._phase = "approved"
            self._change_approved(step)

    def _take_pending(self, step: Step) -> None:
        if self._phase not in ("", "pending"):
            if self._is_accepted(step):
                self._reopen(step, approves=False)
            return
        self._is_amended |= self._phase == "pending" and step.amount_minor != self._pending
        self._phase = "pending"
        self._set_pending(step)

    def _set_pending(self, step: Step) -> None:
        self._move(step.at, "tracked", "deferred", step.amount_minor - self._pending)
        self._pending = step.amount_minor

    def _take_approved(self, step: Step) -> None:
        if self._phase in ("declined", "void", "ended"):
            if not self._is_accepted(step):
                return
            self._reopen(step, approves=True)
        elif self._phase == "approved":
            self._change_approved(step)
        else:
            self._approve(step)
        if step.paid:
            self._pay_by_word(step.at)

    def _take_adjusted(self, step: Step) -> None:
        """What is pending or approved stays so, and what had ended is approved again."""
        if self._phase in ("", "pending"):
            self._take_pending(step)
        else:
            self._reopen(step, approves=True)

    def _approve(self, step: Step) -> None:
        amount = step.amount_minor
        self._phase = "approved"
        self.booked.approved_at = step.at
        if amount < 0:  # taken back without a conversion to take it from
            self._move(step.at, "reversed", "approved", -amount)
        else:
            self._set_pending(step)
            self._move(step.at, "approved", "tracked", amount)
            self._move(step.at, "deferred", "income", amount)
        self._pending = 0
        self._add_lot(step.at, amount)

    def _add_lot(self, at: datetime, amount: int) -> None:
        lot = _Lot(at.date(), amount)
        self._lots.append(lot)
        self.booked.days.add(lot.day)
        for payment in self._payments:  # approved on the very day of the payment
            if payment.at <= at and payment.covers(lot.day):
                self._pay_lot(lot, payment, at)
                break

    def _change_approved(self, step: Step) -> None:
        if step.paid:
            self._pay_by_word(step.at)
        change = step.amount_minor - sum(lot.amount_minor for lot in self._lots)
        if change < 0:
            self._take_back(step.at, -change)
        elif change > 0:
            rest = change
            for account in _TAKEN_BACK:  # what had been taken back is given again
                restored = min(rest, self._taken_back[account])
                self._taken_back[account] -= restored
                rest -= restored
                self._move(step.at, "approved", account, restored)
            self._move(step.at, "approved", "income", rest)
            self._add_lot(step.at, change)

    def _take_back(self, at: datetime, amount: int) -> None:
        """Takes back what is unpaid first, and of that the latest."""
        latest_first = self._lots[::-1]
        for lot in sorted(latest_first, key=lambda lot: lot.is_paid):
            part = min(amount, lot.amount_minor)
            if part <= 0:
                continue
            amount -= part
            lot.amount_minor -= part
            if lot.is_paid:
                self._taken_back["clawed_back"] += part
                self._move(at, "clawed_back", "receivable", part)
            else:
                self._taken_back["reversed"] += part
                self._move(at, "reversed", "approved", part)

    def _take_end(self, step: Step) -> None:
        if self._phase in ("", "pending"):
            if step.amount_minor:  # some networks empty the amount of what they decline
                self._set_pending(step)
            self._move(step.at, "declined", "tracked", self._pending)
            self._declined, self._pending = self._pending, 0
            self._phase = "void" if step.state == "void" else "declined"
        elif self._phase == "approved":
            if step.paid:
                self._pay_by_word(step.at)
            self._take_back(step.at, sum(lot.amount_minor for lot in self._lots))
            self._phase = "ended"

    def finish(self) -> Booked:
        """The result, with its state."""
        self.booked.state = self._state()
        return self.booked

    def _state(self) -> str:
        if self._phase == "pending":
            return "amended" if self._is_amended else "pending"
        if self._phase not in ("approved", "ended"):
            return self._phase
        figures = self.booked.figures
        if any(lot.amount_minor > 0 and not lot.is_paid for lot in self._lots):
            return "approved"
        if figures["paid"] > 0:
            return "paid"
        if figures["clawback"] > 0:
            return "clawback"
        return "reversed" if figures["reversed"] > 0 else "approved"
