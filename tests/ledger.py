"""Reports of a network for tests: Awin's transactions, as its files have them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db.claims import SERVICE
from domain.affiliate import encode_token
from domain.ledger.awin import SOURCE
from services import ledger
from services.services import Services

ORDERED_AT = datetime(2026, 7, 3, 12, tzinfo=UTC)


def awin(
    reference: str,
    status: str = "pending",
    *,
    click: UUID | str | None = None,
    commission: str = "1.20",
    sale: str = "20.00",
    currency: str = "GBP",
    validated: str | None = None,
    paid: bool = False,
    old: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """A transaction. `click` is the uuid; `old` the commission before an amendment; `others` are fields of Awin."""
    if validated is None and status != "pending":
        validated = "2026-07-20T09:00:00"
    return {
        "id": reference,
        "advertiserId": 77,
        "commissionStatus": status,
        "commissionAmount": {"amount": float(commission), "currency": currency},
        "saleAmount": {"amount": float(sale), "currency": currency},
        "clickRefs": {"clickRef": encode_token(UUID(str(click)))} if click else {},
        "transactionDate": ORDERED_AT.strftime("%Y-%m-%dT%H:%M:%S"),
        "validationDate": validated,
        "paidToPublisher": paid,
        "amended": old is not None,
        "oldCommissionAmount": {"amount": float(old), "currency": currency} if old else None,
        **others,
    }


def awin_push(
    reference: str, *, click: UUID | str | None = None, commission: str = "1.20", sale: str = "20.00"
) -> dict[str, Any]:
    """A transaction as Awin pushes it."""
    return {
        "transactionId": reference,
        "transactionDate": ORDERED_AT.strftime("%Y-%m-%d %H:%M:%S"),
        "transactionCurrency": "GBP",
        "transactionAmount": sale,
        "transactionQueryId": "0",
        "affiliateId": "45628",
        "merchantId": "77",
        "clickRef": encode_token(UUID(str(click))) if click else "",
        "clickTime": "2026-07-03 11:00:00",
        "commission": commission,
        "products": [],
    }


def impact_parameters(reference: str, status: str = "PENDING") -> dict[str, str]:
    """An action, by the names of impact's macros."""
    return {
        "ActionId": reference,
        "CampaignId": "4711",
        "Status": status,
        "Payout": "1.20",
        "Amount": "20.00",
        "Currency": "GBP",
        "EventDate": "2026-07-03T12:00:00Z",
        "SubId1": "",
    }


async def report(services: Services, *transactions: dict[str, Any]) -> ledger.Imported:
    """Imports transactions as a file of them would be."""
    reading = SOURCE.read(json.dumps(transactions))
    assert not reading.rejects, reading.rejects
    async with services.database.session(SERVICE, read_only=False) as session:
        return await ledger.import_reports(session, reading.reports, source="import", origin="test")
