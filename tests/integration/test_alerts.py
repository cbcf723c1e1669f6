"""Alerts: what is pending for too long, and what payments do not meet, said once each."""

from __future__ import annotations

from typing import Any

from db.claims import SERVICE
from resolvers import reconciliation
from services import alerts
from tests.conftest import Shop
from tests.integration.test_ledger import pay
from tests.ledger import ORDERED_AT, awin, report

ALERTS = """
select kind, advertiser_id, month::text, currency::text, amount_minor, conversions, closed_at is null as is_open
from public.alerts order by kind, month, currency
"""


async def listed(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await shop.owner.fetch(ALERTS)]


async def overdue(shop: Shop) -> Any:
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        return (await reconciliation.report(session, None))["overdue"]


async def logged(shop: Shop) -> list[str]:
    await shop.services.system_log.flush()
    rows = await shop.owner.fetch("select message from public.system_logs where component = 'ledger' order by id")
    return [row["message"] for row in rows]


async def set_days(shop: Shop, days: int) -> None:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await session.fetchval("alerts.set_overdue_days", network="awin", days=days) == "awin"


async def test_what_is_pending_for_too_long_is_said_once_until_it_is_decided(shop: Shop) -> None:
    age = await shop.owner.fetchval("select floor(extract(epoch from now() - $1) / 86400)::int", ORDERED_AT)
    await report(shop.services, awin("A1"), awin("A2", commission="2.00"), awin("A3", "approved"))
    await set_days(shop, age + 2)
    assert await alerts.update(shop.services) == 0
    assert await overdue(shop) == []

    await set_days(shop, age - 1)
    assert await alerts.update(shop.services) == 1
    assert await alerts.update(shop.services) == 0
    assert await listed(shop) == [("overdue", "77", "2026-07-01", "GBP", 320, 2, True)]
    assert await overdue(shop) == [
        {
            "network": "awin",
            "advertiser": "77",
            "retailer": None,
            "month": "2026-07",
            "currency": "GBP",
            "conversions": 2,
            "amount": "3.20",
            "days": age,
        }
    ]
    await report(shop.services, awin("A1", "approved"))
    assert await alerts.update(shop.services) == 0
    assert await listed(shop) == [("overdue", "77", "2026-07-01", "GBP", 200, 1, True)]
    await report(shop.services, awin("A2", "declined"))
    await alerts.update(shop.services)
    assert await listed(shop) == [("overdue", "77", "2026-07-01", "GBP", 200, 1, False)]
    assert await overdue(shop) == []
    await report(shop.services, awin("A4"))
    assert await alerts.update(shop.services) == 1
    assert len(await logged(shop)) == 2


async def test_a_payment_that_does_not_meet_its_rows_is_said_until_it_does(shop: Shop) -> None:
    await report(shop.services, awin("A1", "approved"))
    await pay(shop, "1.00")
    assert await alerts.update(shop.services) == 1
    assert await listed(shop) == [("variance", "77", "2026-07-01", "GBP", -120, 1, True)]
    await report(shop.services, awin("A1", "approved", commission="1.00", old="1.20", validated="2026-07-25T09:00:00"))
    assert await alerts.update(shop.services) == 0
    assert [row[-1] for row in await listed(shop)] == [False]
    assert await logged(shop) == ["payments do not meet what they pay for"]
