"""Awin's publisher API: transactions by the date of the sale, of its validation and of its amendment.

Verified from Awin's documentation: the path, its parameters, at most 31 days a request, no pages, 20 requests a minute.
That a Bearer token is taken in place of the parameter `accessToken` is documented for the header.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from domain.ledger import awin
from services.network_clients.api import Api
from services.network_clients.client import Client, Rate, Stream, Window

# A payment changes a transaction without a date of its own, so that each stream reads again what may have been paid.
_LONGEST, _OVERLAP = timedelta(days=31), timedelta(days=93)


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    params = {
        "startDate": f"{window.start:%Y-%m-%dT%H:%M:%S}",
        "endDate": f"{window.end:%Y-%m-%dT%H:%M:%S}",
        "dateType": stream.name,
        "timezone": "UTC",
    }
    url = api.url(f"/publishers/{api.account.publisher_id}/transactions/", params)
    text, _ = await api.get_json(url, {"authorization": f"Bearer {api.secret('token')}"})
    yield text


CLIENT = Client(
    code="awin",
    base_url="https://api.awin.com",
    rate=Rate(20, 60),
    secrets=("token",),
    streams=tuple(Stream(name, _LONGEST, _OVERLAP) for name in ("transaction", "validation", "amendment")),
    fetch=_fetch,
    reader=lambda account: awin.read,
)
