"""Tradedoubler's Publisher Management API: transactions by the time of the last change and by that of the sale.

Verified from Tradedoubler's published API description: the token (Basic with the client, password grant with the user),
the path, its parameters, pages of 100 by `offset`, dates as yyyymmdd, the states A, P and D, 60 requests a minute. How
many days a request may span is not said: 31 are asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from domain.ledger import tradedoubler
from services.network_clients.api import MAX_PAGES, Api, PullFailed
from services.network_clients.client import Client, Option, Rate, Stream, Window, currency

_PAGE = 100
_STREAMS = (
    Stream("modified", timedelta(days=31), timedelta(days=7), is_daily=True),
    # Whether being paid is a modification is not said.
    Stream("transaction", timedelta(days=31), timedelta(days=93), is_daily=True),
)


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    token = await _token(api)
    for page in range(MAX_PAGES):
        params = {
            "fromDate": f"{window.first_day:%Y%m%d}",
            "toDate": f"{window.last_day:%Y%m%d}",
            "lastModified": "true" if stream.name == "modified" else "false",
            "reportCurrencyCode": api.option("currency"),
            "sortBy": "timeOfTransaction",
            "sortOrder": "asc",
            "offset": str(page * _PAGE),
            "limit": str(_PAGE),
        }
        text, document = await api.get_json(
            api.url("/publisher/report/transactions", params), {"authorization": f"Bearer {token}"}
        )
        yield text
        items = document.get("items") if isinstance(document, dict) else None
        if not isinstance(items, list) or len(items) < _PAGE:
            return
    raise PullFailed(f"there are more than {MAX_PAGES} pages")


async def _token(api: Api) -> str:
    """A token for one window: it lives for 15 minutes, and a pull may take longer."""
    found: Any = await api.post_form(
        api.url("/uaa/oauth/token"),
        {"authorization": api.basic(api.secret("client_id"), api.secret("client_secret"))},
        {"grant_type": "password", "username": api.secret("user"), "password": api.secret("password")},
    )
    token = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isprintable():
        raise PullFailed("the network gave no access_token")
    return token


CLIENT = Client(
    code="tradedoubler",
    base_url="https://connect.tradedoubler.com",
    rate=Rate(60, 60),
    secrets=("client_id", "client_secret", "user", "password"),
    streams=_STREAMS,
    fetch=_fetch,
    reader=lambda account: tradedoubler.SOURCE.read,
    options={"currency": Option(None, currency)},
)
