"""What people decide about the ledger: whose a sale is, what an exception means, and what a network does not say.

Each decision is a fact with its reason, from which the ledger is derived like from reports: a rebuild gives the same.
The session is a writing one of service_role: who may decide is the caller's to check.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from db.session import Session
from domain.errors import Conflict, Invalid, NotFound
from domain.ledger import adjustments
from domain.money import to_minor
from domain.texts import require_no_nul
from services import ledger
from services.ledger_rows import Group, Key, encode, encoded

MAX_REASON = 1000
_FIELDS = ("conversion", "exception", "due_minor", "click", "retailer", "tracking_id", "report")


async def match_click(session: Session, conversion: UUID, click: UUID, reason: str) -> None:
    """Says which click a conversion came from, in place of any other. Raises NotFound, Invalid for a click that was
    made after the order or led to another shop, or Conflict if the click it had was erased with its person."""
    text, row = await _begin(session, conversion, reason)
    found = await session.fetchrow("ledger_decisions.click", id=click)
    if found is None:
        raise NotFound("There is no such click.", ("clickToken",))
    if row["is_erased"]:
        raise Conflict("Its click was erased with its person, and no other takes its place.", ("conversionId",))
    # Some networks name the day of an order alone.
    if found["click_timestamp"] >= row["ordered_at"] + timedelta(days=1):
        raise Invalid("The click was made after the order.", ("clickToken",))
    shops = await session.fetch(
        "ledger.shops_of",
        networks=[row["affiliate_network"]],
        advertisers=[row["advertiser_id"]],
        currencies=[row["currency"]],
    )
    if shops and found["retailer_id"] not in (None, shops[0]["retailer_id"]):
        raise Invalid("The click led to another shop than the one that this advertiser is.", ("clickToken",))
    key = _key(row)
    await session.fetch("ledger_decisions.match", network=key.network, reference=key.reference, click=click)
    await _add(session, "match", text, conversion=conversion, click=click)
    await ledger.derive(session, {key})


async def match_shop(
    session: Session,
    conversion: UUID,
    reason: str,
    *,
    retailer: UUID | None = None,
    slug: str | None = None,
    tracking_id: str | None = None,
) -> None:
    """Says which shop (by its id or slug), or which placement of ours, a conversion without a click came from. Raises
    NotFound, or Conflict if it has a click."""
    text, row = await _begin(session, conversion, reason)
    if row["click_id"] is not None:
        raise Conflict("Its click is known, and the shop is that of the click.", ("conversionId",))
    if tracking_id is not None:
        require_no_nul(tracking_id, ("trackingId",))
        retailer = await session.fetchval(
            "ledger_decisions.placement", network=row["affiliate_network"], tracking_id=tracking_id
        )
        if retailer is None:
            raise NotFound(f"{row['affiliate_network']} has no placement with this tracking id.", ("trackingId",))
    else:
        retailer = await session.fetchval("ledger_decisions.shop", id=retailer, slug=slug)
        if retailer is None:
            raise NotFound("There is no such retailer.", ("retailerId",))
    await _add(session, "match", text, conversion=conversion, retailer=retailer, tracking_id=tracking_id)
    await ledger.derive(session, {_key(row)})


async def adjust(session: Session, conversion: UUID, amount: Decimal, reason: str, at: datetime | None = None) -> None:
    """Says what a conversion earns from a time on (by default: now), until the network says something of a later time.
    Raises NotFound, or Invalid for a time in the future, or before what the network has said."""
    text, row = await _begin(session, conversion, reason)
    key, now = _key(row), datetime.now(UTC)
    found = await ledger.load_conversion(session, key)
    if found is None:
        raise NotFound("Nothing was reported of this conversion.", ("conversionId",))
    at = at or now
    if at > now:
        raise Invalid("An adjustment cannot be of a time to come.", ("at",))
    latest = max((step.at for step in found.timeline.steps), default=found.ordered_at)
    if at < latest:
        raise Invalid(f"What stands is of {latest:%Y-%m-%d %H:%M:%S} UTC: an adjustment cannot be earlier.", ("at",))
    minor = to_minor(amount, found.group.currency, ("amount",))
    report = adjustments.report(found.reports[0], minor, at, found.timeline)
    await session.fetch("ledger.add_reports", reports=encode([encoded(report)]), source="manual", origin=None)
    kept = await session.fetchval("ledger_decisions.report", **key._asdict(), identity=report.identity)
    await _add(session, "adjust", text, conversion=conversion, report=kept)
    await ledger.derive(session, {key})


async def accept(session: Session, exception: UUID, reason: str) -> None:
    """Lets happen what an exception is about: the payment settles its rows, and the difference has an account of its
    own; the state that fits no transition is taken. Raises NotFound, or Conflict if there is nothing to accept."""
    text, row = await _begin_exception(session, exception, reason)
    if row["decision"] == "accept":
        raise Conflict("It was accepted before.", ("exceptionId",))
    if row["decision"] == "decline" and row["due_minor"] != row["decided_minor"]:
        raise Conflict("The payment should be another amount by now; see its newer exception.", ("exceptionId",))
    await _decide(session, row, "accept", text)
    after = await session.fetchrow("ledger_decisions.exception", id=exception)
    if after is None or after["closed_at"] is None:
        raise Conflict("It names no state that could be taken: decline it, and adjust the amount.", ("exceptionId",))


async def decline(session: Session, exception: UUID, reason: str) -> None:
    """Closes an exception for good; no money moves, or what had moved by accepting it moves back. Raises NotFound, or
    Conflict."""
    text, row = await _begin_exception(session, exception, reason)
    if row["decision"] == "decline":
        raise Conflict("It was declined before.", ("exceptionId",))
    await _decide(session, row, "decline", text)


def tidy_reason(text: str) -> str:
    """A reason that can be kept. Raises Invalid."""
    require_no_nul(text, ("reason",))
    reason = text.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise Invalid(f"Say why, in 1 to {MAX_REASON} characters.", ("reason",))
    return reason


async def _begin(session: Session, conversion: UUID, reason: str) -> tuple[str, asyncpg.Record]:
    text = tidy_reason(reason)
    await session.fetch("ledger.lock")
    row = await session.fetchrow("ledger_decisions.conversion", id=conversion)
    if row is None:
        raise NotFound("There is no such conversion.", ("conversionId",))
    return text, row


async def _begin_exception(session: Session, exception: UUID, reason: str) -> tuple[str, asyncpg.Record]:
    text = tidy_reason(reason)
    await session.fetch("ledger.lock")
    row = await session.fetchrow("ledger_decisions.exception", id=exception)
    if row is None:
        raise NotFound("There is no such exception.", ("exceptionId",))
    if row["closed_at"] is not None and row["decision"] is None:
        raise Conflict("It is closed: what was reported since explains it.", ("exceptionId",))
    return text, row


def _key(row: asyncpg.Record) -> Key:
    return Key(row["affiliate_network"], row["reference"])


async def _add(session: Session, kind: str, reason: str, **values: Any) -> UUID:
    added: UUID = await session.fetchval(
        "ledger_decisions.add", kind=kind, reason=reason, **{name: values.get(name) for name in _FIELDS}
    )
    return added


async def _decide(session: Session, row: asyncpg.Record, kind: str, reason: str) -> None:
    decision = await _add(session, kind, reason, exception=row["id"], due_minor=row["due_minor"])
    await session.fetch("ledger_decisions.decide", exception=row["id"], decision=decision)
    if row["payment_id"] is None:
        await ledger.derive(session, {_key(row)})
    else:
        group = Group(row["payment_network"], row["advertiser_id"], row["currency"])
        await ledger.derive_payment(session, group, row["payment_id"])
