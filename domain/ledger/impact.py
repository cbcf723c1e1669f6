"""impact: actions, as they stand when the file is made, and action updates, each a change (JSON).

An action is pending until a snapshot says APPROVED (as of its LockingDate) or REVERSED; a pending action has a
LockingDate too, which is a plan. Its amount is the sum of the updates. That the first update carries the whole first
amount is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from domain.ledger.reports import (
    BadFile,
    BadRow,
    Reading,
    Report,
    Row,
    currency_of,
    identity,
    minor_of,
    order_of,
    parse_json,
    read_rows,
    refs_of,
    require_time,
    text_of,
    time_of,
)
from domain.ledger.timelines import Source, Step, Timeline

_STATES = {"PENDING", "APPROVED", "REVERSED"}
_ACTION, _UPDATE = "action", "update"


def read(text: str) -> Reading:
    """Reports of a page of `Actions` or of `ActionUpdates`."""
    document = parse_json(text)
    if isinstance(document, dict):
        for name, report in (("Actions", _action), ("ActionUpdates", _update)):
            if isinstance(rows := document.get(name), list):
                return read_rows(rows, report)
    raise BadFile("there is neither Actions nor ActionUpdates")


def _state(row: Row) -> str:
    state = text_of(row, "State").upper()
    if state not in _STATES:
        raise BadRow(f"State: {state!r} is unknown")
    return state


def _action(row: Row) -> Report:
    currency = currency_of(row, "Currency")
    state = _state(row)
    locked_at = time_of(row, "LockingDate", required=state == "APPROVED")
    cleared_at = time_of(row, "ClearedDate", required=False)
    amount, sold = minor_of(row, "Payout", currency), minor_of(row, "Amount", currency)
    intended = minor_of(row, "IntendedPayout", currency, default=amount)
    intended_sale = minor_of(row, "IntendedAmount", currency, default=sold)
    facts = {
        "paid": cleared_at is not None,
        "cleared_at": cleared_at.isoformat() if cleared_at else None,
        "intended_minor": intended,
        "intended_sale_minor": intended_sale,
    }
    return Report(
        network="impact",
        reference=text_of(row, "Id"),
        identity=identity(_ACTION, state, locked_at, amount, sold, currency, *facts.values()),
        kind=_ACTION,
        state=state,
        advertiser_id=text_of(row, "CampaignId"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=locked_at,
        ordered_at=require_time(row, "EventDate"),
        clicked_at=time_of(row, "ReferringDate", required=False),
        click_refs=refs_of(row, "SubId1", "SubId2", "SubId3"),
        order_id=order_of(row, "Oid"),
        facts=facts,
        raw=row,
    )


def _update(row: Row) -> Report:
    currency = currency_of(row, "Currency")
    state = _state(row)
    updated_at = require_time(row, "UpdateDate")
    change, sold = minor_of(row, "DeltaPayout", currency), minor_of(row, "DeltaAmount", currency, default=0)
    number = text_of(row, "Id")
    return Report(
        network="impact",
        reference=text_of(row, "ActionId"),
        identity=identity(_UPDATE, number, state, updated_at, change, sold, currency),
        kind=_UPDATE,
        state=state,
        advertiser_id=text_of(row, "CampaignId"),
        currency=currency,
        amount_minor=change,
        sale_minor=sold,
        stated_at=updated_at,
        ordered_at=require_time(row, "EventDate"),
        facts={"number": number},
        raw=row,
    )


def timeline(reports: Sequence[Report]) -> Timeline:
    """The states of an action. Nothing changes once it is approved; what still does is a fault."""
    updates = sorted(
        {str(r.facts["number"]): r for r in sorted(reports, key=_when) if r.kind == _UPDATE}.values(), key=_when
    )
    actions = [report for report in reports if report.kind == _ACTION]
    approvals = sorted((r for r in actions if r.state == "APPROVED"), key=lambda r: (r.facts["paid"], _when(r)))
    approved = approvals[-1] if approvals else None
    locked_at = _time(approved) if approved else None
    steps: list[Step] = []
    faults: list[str] = []
    standing, is_reversed = 0, False
    for update in updates:
        at = _time(update)
        if is_reversed or (locked_at is not None and at > locked_at):
            faults.append(f"the update {update.facts['number']} is later than the action's end")
        elif update.state == "REVERSED":
            is_reversed = True
            steps.append(Step(at, "declined", max(0, standing), reports=(update.identity,)))
        else:
            standing += update.amount_minor
            if standing >= 0:
                steps.append(Step(at, "pending", standing, reports=(update.identity,)))
    if standing < 0:
        faults.append("the updates take back more than was reported")
        standing = 0
    if not updates:
        for action in sorted((r for r in actions if r.state == "PENDING"), key=_unchanged_first):
            standing = action.amount_minor
            steps.append(Step(action.ordered_at, "pending", standing, reports=(action.identity,)))
    if approved is not None and is_reversed:
        faults.append("the action was reversed and approved")
    elif approved is not None:
        amount = standing if updates else approved.amount_minor
        is_paid = bool(approved.facts["paid"])
        steps.append(Step(_time(approved), "approved", amount, is_paid, (approved.identity,)))
    elif not is_reversed:
        for action in sorted((r for r in actions if r.state == "REVERSED"), key=_when):
            amount = standing if steps else int(action.facts["intended_minor"])
            steps.append(Step(_time(action), "declined", amount, reports=(action.identity,)))
            break
    first_sale, first_amount = _first(updates, actions)
    return Timeline(tuple(steps), first_sale, first_amount, tuple(faults))


def _time(report: Report) -> datetime:
    return report.stated_at or report.ordered_at


def _when(report: Report) -> tuple[datetime, str]:
    return _time(report), report.identity


def _unchanged_first(action: Report) -> tuple[bool, str]:
    return action.amount_minor != action.facts["intended_minor"], action.identity


def _first(updates: Sequence[Report], actions: Sequence[Report]) -> tuple[int, int]:
    if updates:
        return updates[0].sale_minor, updates[0].amount_minor
    first = min(actions, key=_unchanged_first)
    return int(first.facts["intended_sale_minor"]), int(first.facts["intended_minor"])


SOURCE = Source("impact", read, timeline)
