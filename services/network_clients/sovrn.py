"""Sovrn Commerce's Real-Time Reports API: the transactions that were updated on a day.

Verified from Sovrn's documentation: the host, the path, `updateDate`, a day a request, a request a minute, and the
Authorization header. It documents no states and no currency.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from domain.ledger import sovrn
from services.network_clients.api import Api
from services.network_clients.client import Client, Rate, Stream, Window


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    url = api.url("/reports/transactions", {stream.name: window.first_day.isoformat()})
    text, _ = await api.get_json(url, {"authorization": f"secret {api.secret('secret_key')}"})
    yield text


CLIENT = Client(
    code="sovrn",
    base_url="https://viglink.io/v1",
    rate=Rate(1, 60),
    secrets=("secret_key",),
    streams=(Stream("updateDate", timedelta(days=1), timedelta(days=2), history=timedelta(days=30), is_daily=True),),
    fetch=_fetch,
    reader=lambda account: sovrn.read,
)
