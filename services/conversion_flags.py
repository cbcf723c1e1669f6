"""Signs of fraud: sales are flagged, and held until a person releases them. The ledger knows nothing of it.

Flags follow from what was reported and counted: domain/fraud.py. The session of what is not a job is a writing one of
service_role, and who may hold and release is the caller's to check.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from db.claims import SERVICE
from db.session import Session
from domain.errors import Conflict, NotFound, TryAgain
from domain.fraud import BusyHour, Flag, Limits, Sale, SameOrder, flags_of
from services.ledger_decisions import tidy_reason
from services.ledger_rows import derived_id, encode
from services.services import Services

log = structlog.get_logger("aclue.conversion_flags")

TIMEOUT_MS = 60_000
BATCH = 2_000


async def update_recent(services: Services) -> int:
    """Flags what has changed or was clicked within the last day, and notes newly held sales in the system log. Returns
    how many flags are new."""
    try:
        async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS) as session:
            await session.fetch("ledger.lock")
            recent = {row["id"] for row in await session.fetch("conversion_flags.recent")}
            new = await update(session, services.settings.fraud_limits, recent)
    except TryAgain:
        log.info("sales are flagged later: a long import holds the ledger, or Postgres is busy")
        return 0
    if new:
        says = {kind: str(number) for kind, number in new.items()}
        log.warning("sales are suspicious and held", **says)
        services.system_log.note("warning", "ledger", "sales are suspicious and held", **says)
    return new.total()


async def update_all(session: Session, limits: Limits) -> Counter[str]:
    """Flags all sales by what is known and the limits of now; returns the new flags by kind."""
    await session.fetch("ledger.lock")
    everything = {row["id"] for row in await session.fetch("conversion_flags.all_sales")}
    return await update(session, limits, everything)


async def update(session: Session, limits: Limits, conversions: Collection[UUID]) -> Counter[str]:
    """Flags these sales, and others whose flags depend on them; returns the new flags by kind. The transaction holds
    `ledger.lock`."""
    new: Counter[str] = Counter()
    wanted = sorted(conversions)
    for start in range(0, len(wanted), BATCH):
        around = await session.fetch("conversion_flags.around", conversions=wanted[start : start + BATCH])
        new += await _update(session, limits, [row["id"] for row in around])
    return new


async def _update(session: Session, limits: Limits, conversions: list[UUID]) -> Counter[str]:
    sales = await _load(session, conversions)
    hours = sorted({sale.hour for sale in sales if sale.hour is not None})
    busy = await _busy_hours(session, hours, limits) if hours else {}
    rows = [
        {"id": _id(sale, flag), "conversion_id": sale.id, "kind": flag.kind, "detail": flag.detail,
         "click_id": sale.click_id}
        for sale in sales
        for flag in flags_of(sale, busy.get(sale.hour, ()) if sale.hour else (), limits)
    ]  # fmt: skip
    await session.fetch("conversion_flags.lock_people", conversions=conversions)
    written = await session.fetch("conversion_flags.write", flags=encode(rows), conversions=conversions)
    return Counter(row["kind"] for row in written if row["is_new"])


def _id(sale: Sale, flag: Flag) -> UUID:
    return derived_id(f"flag {flag.kind} {sale.id} {flag.facts}")


async def _load(session: Session, conversions: list[UUID]) -> list[Sale]:
    same: dict[UUID, list[SameOrder]] = defaultdict(list)
    for row in await session.fetch("conversion_flags.same_orders", conversions=conversions):
        same[row["id"]].append(
            SameOrder(
                order_id=row["order_id"],
                id=row["other_id"],
                network=row["other_network"],
                reference=row["other_reference"],
                ordered_at=row["other_ordered_at"],
            )
        )
    return [
        Sale(**{**row, "same_orders": same[row["id"]]})
        for row in await session.fetch("conversion_flags.sales", conversions=conversions)
    ]


async def _busy_hours(session: Session, hours: list[datetime], limits: Limits) -> dict[datetime, list[BusyHour]]:
    found: dict[datetime, list[BusyHour]] = defaultdict(list)
    for row in await session.fetch("conversion_flags.busy_hours", hours=hours, minimum=limits.spike_hits):
        found[row["hour"]].append(BusyHour(**row))
    return found


async def hold(session: Session, conversion: UUID, reason: str) -> None:
    """Holds a sale, for this reason. Raises NotFound, Invalid, or Conflict if a person holds it already."""
    text = tidy_reason(reason)
    row = await _begin(session, conversion)
    if row["is_held_by_hand"]:
        raise Conflict("It is held already.", ("conversionId",))
    await session.fetch("conversion_flags.hold", id=uuid4(), conversion=conversion, detail=text, click=row["click_id"])


async def release(session: Session, conversion: UUID, reason: str) -> None:
    """Releases a sale from all that holds it, for this reason: it is not held again for the same facts. Raises
    NotFound, Invalid, or Conflict if nothing holds it."""
    text = tidy_reason(reason)
    await _begin(session, conversion)
    if not await session.fetch("conversion_flags.release", conversion=conversion, reason=text):
        raise Conflict("It is not held.", ("conversionId",))


async def _begin(session: Session, conversion: UUID) -> dict[str, object]:
    await session.fetch("ledger.lock")
    await session.fetch("conversion_flags.lock_people", conversions=[conversion])
    row = await session.fetchrow("conversion_flags.conversion", id=conversion)
    if row is None:
        raise NotFound("There is no such conversion.", ("conversionId",))
    return dict(row)
