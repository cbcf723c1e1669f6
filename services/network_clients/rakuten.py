"""Rakuten Advertising: the signature orders report (CSV) of the Reporting API, and events (version 1.0) as signals.

Verified from Rakuten's help pages: the URL of reports and its parameters. From clients in public: the path and the
parameters of events, which are kept for 30 days, and that an access token is asked for with the client's id and secret
as a Bearer token and the site as its scope.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from domain.ledger import rakuten
from services.network_clients.api import MAX_PAGES, Api, PullFailed
from services.network_clients.client import Client, Option, Rate, Stream, Window, whole_number

_PAGE = 1000
_REPORTS = "https://ran-reporting.rakutenmarketing.com"
_STREAMS = (
    Stream("report", timedelta(days=31), timedelta(days=31), is_daily=True),
    Stream("event", timedelta(days=7), timedelta(days=7), history=timedelta(days=30)),
)


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    if stream.name == "report":
        yield await _report(api, window)
        return
    token = await _token(api)
    for page in range(1, MAX_PAGES + 1):
        params = {
            "process_date_start": f"{window.start:%Y-%m-%d %H:%M:%S}",
            "process_date_end": f"{window.end:%Y-%m-%d %H:%M:%S}",
            "limit": str(_PAGE),
            "page": str(page),
        }
        text, rows = await api.get_json(
            api.url("/events/1.0/transactions", params),
            {"authorization": f"Bearer {token}", "accept": "application/json"},
        )
        yield text
        if not isinstance(rows, list) or len(rows) < _PAGE:
            return
    raise PullFailed(f"there are more than {MAX_PAGES} pages")


async def _report(api: Api, window: Window) -> str:
    params = {
        "start_date": window.first_day.isoformat(),
        "end_date": window.last_day.isoformat(),
        "include_summary": "N",
        "network": api.option("network"),
        "tz": "GMT",
        "date_type": "process",
        "token": api.secret("report_token"),
    }
    path = f"/en/reports/{quote(api.option('report'), safe='')}/filters"
    return await api.get_text(api.url(path, params, base=api.option("reports_url")), {"accept": "text/csv"})


async def _token(api: Api) -> str:
    key = base64.b64encode(f"{api.secret('client_id')}:{api.secret('client_secret')}".encode()).decode()
    found: Any = await api.post_form(
        api.url("/token"), {"authorization": f"Bearer {key}"}, {"scope": api.account.publisher_id}
    )
    token = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isprintable():
        raise PullFailed("the network gave no access_token")
    return token


def _address(value: str) -> str | None:
    return None if urlsplit(value).scheme in ("https", "http") else f"{value!r} is no URL"


def _name(value: str) -> str | None:
    return None if 0 < len(value) <= 200 and value.isprintable() else f"{value!r} is no name of a report"


CLIENT = Client(
    code="rakuten",
    base_url="https://api.linksynergy.com",
    rate=Rate(100, 60),
    secrets=("report_token", "client_id", "client_secret"),
    streams=_STREAMS,
    fetch=_fetch,
    reader=lambda account: rakuten.read,
    options={
        "network": Option("1", whole_number(1, 99)),
        "report": Option("signature-orders-report", _name),
        "reports_url": Option(_REPORTS, _address),
    },
)
