"""Webgains' platform API: the report of transactions by date, read by a mapping of the account.

The documentation could not be read. From clients in public: the path, its parameters, pages of 250. They disagree on
the meaning of the states and of the amounts, so an account says by its mapping how rows are read (docs/pulls.md).
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec

from domain.ledger import generic
from domain.ledger.reports import Reading
from services.network_clients.api import MAX_PAGES, Api, PullFailed
from services.network_clients.client import Account, Client, Rate, Stream, Window

_PAGE = 250


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    headers = {"authorization": f"Bearer {api.secret('token')}"}
    for number in range(1, MAX_PAGES + 1):
        params = {
            "filters[start_date]": str(int(window.start.timestamp())),
            "filters[end_date]": str(int(window.end.timestamp())),
            "sort": stream.name,
            "sort_order": "ASC",
            "size": str(_PAGE),
            "page": str(number),
        }
        path = f"/publishers/{api.account.publisher_id}/reports/transactions"
        text, document = await api.get_json(api.url(path, params), headers)
        yield text
        pages = document.get("pagination") if isinstance(document, dict) else None
        last = pages.get("last_page") if isinstance(pages, dict) else None
        if not isinstance(last, int) or isinstance(last, bool):
            raise PullFailed("the answer does not say how many pages there are (pagination.last_page)")
        if number >= last:
            return
    raise PullFailed(f"there are more than {MAX_PAGES} pages")


def _reader(account: Account) -> functools.partial[Reading]:
    mapping = msgspec.json.decode(account.mapping or "", type=generic.Mapping)
    return functools.partial(generic.read, account.network, mapping)


CLIENT = Client(
    code="webgains",
    base_url="https://platform-api.webgains.com",
    rate=Rate(60, 60),
    secrets=("token",),
    # A later change of a transaction has no date to ask for: what may still change is read again.
    streams=(Stream("date", timedelta(days=90), timedelta(days=180)),),
    fetch=_fetch,
    reader=_reader,
    needs_mapping=True,
)
