"""CJ's Commission Detail API (GraphQL): commissions by posting date and by locking date.

Verified from the schema of the API: the query, its arguments and fields, `payloadComplete`, `maxCommissionId`, and that
there is no currency; from CJ's documentation: 31 days. The pace is that of CJ's REST APIs (25 a minute). A later state
has no date but that of locking.
"""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from domain.ledger import cj
from domain.ledger.reports import Reading
from services.network_clients.api import MAX_PAGES, Api, PullFailed
from services.network_clients.client import Account, Client, Option, Rate, Stream, Window, currency, one_of

_LONGEST = timedelta(days=31)
_STREAMS = (
    Stream("posting", _LONGEST, timedelta(days=7)),
    # From locked to closed, which is paid, nothing else changes: it takes up to two months.
    Stream("locking", _LONGEST, timedelta(days=93)),
)
_ARGUMENTS = {
    "posting": ("sincePostingDate", "beforePostingDate"),
    "locking": ("sinceLockingDate", "beforeLockingDate"),
}
_FIELDS = (
    "commissionId original originalActionId actionStatus actionType advertiserId advertiserName websiteId shopperId"
    " orderId clickDate eventDate postingDate lockingDate correctionReason pubCommissionAmountPubCurrency"
    " saleAmountPubCurrency"
)


def _query(api: Api, stream: Stream, window: Window, since: str | None) -> str:
    first, last = _ARGUMENTS[stream.name]
    arguments: dict[str, Any] = {
        "forPublishers": [api.account.publisher_id],
        first: f"{window.start:%Y-%m-%dT%H:%M:%SZ}",
        last: f"{window.end:%Y-%m-%dT%H:%M:%SZ}",
    }
    if since is not None:
        arguments["sinceCommissionId"] = since
    given = ", ".join(f"{name}: {json.dumps(value)}" for name, value in arguments.items())
    return f"{{ publisherCommissions({given}) {{ count payloadComplete maxCommissionId records {{ {_FIELDS} }} }} }}"


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    headers = {"authorization": f"Bearer {api.secret('token')}"}
    since: str | None = None
    for _ in range(MAX_PAGES):
        query = _query(api, stream, window, since)
        text, document = await api.post_json(api.url("/query"), headers, {"query": query})
        if isinstance(document, dict) and document.get("errors"):
            raise PullFailed(
                f"the network answered with errors{api.excerpt(json.dumps(document['errors'], default=str))}"
            )
        yield text
        data = document.get("data") if isinstance(document, dict) else None
        page = data.get("publisherCommissions") if isinstance(data, dict) else None
        if not isinstance(page, dict) or not isinstance(page.get("payloadComplete"), bool):
            raise PullFailed("the answer does not say whether it is complete (payloadComplete)")
        if page["payloadComplete"]:
            return
        last = page.get("maxCommissionId")
        if not isinstance(last, str) or not last or last == since:
            raise PullFailed("more commissions follow, and maxCommissionId does not say after which")
        since = last
    raise PullFailed(f"there are more than {MAX_PAGES} pages")


def _reader(account: Account) -> functools.partial[Reading]:
    return functools.partial(
        cj.read,
        is_closed_paid=CLIENT.option(account, "closed_is_paid") == "true",
        currency=CLIENT.option(account, "currency"),
    )


CLIENT = Client(
    code="cj",
    base_url="https://commissions.api.cj.com",
    rate=Rate(25, 60),
    secrets=("token",),
    streams=_STREAMS,
    fetch=_fetch,
    reader=_reader,
    options={"currency": Option(None, currency), "closed_is_paid": Option("true", one_of("true", "false"))},
)
