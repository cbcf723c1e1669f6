"""eBay Partner Network: the transaction detail report (CSV) by the date of the update.

Verified from eBay's guide to the endpoints: the host, the path, its parameters and Basic authentication. At most 90
days a request; the pace is ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from domain.ledger import ebay
from services.network_clients.api import Api
from services.network_clients.client import Client, Rate, Stream, Window


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    sid = api.account.publisher_id
    params = {
        "STATUS": "ALL",
        "START_DATE": window.first_day.isoformat(),
        "END_DATE": window.last_day.isoformat(),
        "date_type": stream.name,
    }
    url = api.url(f"/Mediapartners/{sid}/Reports/ebay_partner_transaction_detail.csv", params)
    yield await api.get_text(url, {"authorization": api.basic(sid, api.secret("token")), "accept": "text/csv"})


CLIENT = Client(
    code="ebay",
    base_url="https://api.partner.ebay.com",
    rate=Rate(30, 60),
    secrets=("token",),
    streams=(Stream("update_date", timedelta(days=90), timedelta(days=31), is_daily=True),),
    fetch=_fetch,
    reader=lambda account: ebay.read,
)
