"""impact.com's partner API, version 16: actions by their last update and by their locking date, and action updates.

Verified from impact's documentation: windows of 45 days, StartDate at most three years back and by the last update, of
which a change of the state is none, hence also the locking date; `@nextpageuri`; 1,000 requests an hour; 429 with
X-RateLimit-Reset. The version is asked for by the header IR-Version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from domain.ledger import impact
from services.network_clients.api import MAX_PAGES, Api, PullFailed
from services.network_clients.client import Client, Option, Rate, Stream, Window, whole_number

VERSION = "16"
_LONGEST = timedelta(days=45)
_STREAMS = (
    Stream("action", _LONGEST, timedelta(days=7)),
    # ClearedDate follows the locking date by months, and has no filter of its own.
    Stream("locking", _LONGEST, timedelta(days=120)),
    Stream("update", _LONGEST, timedelta(days=7)),
)
_FILTERS = {
    "action": ("Actions", "StartDate", "EndDate"),
    "locking": ("Actions", "LockingDateStart", "LockingDateEnd"),
    "update": ("ActionUpdates", "StartDate", "EndDate"),
}


async def _fetch(api: Api, stream: Stream, window: Window) -> AsyncIterator[str]:
    resource, start, end = _FILTERS[stream.name]
    sid = api.account.publisher_id
    headers = {
        "authorization": api.basic(sid, api.secret("token")),
        "accept": "application/json",
        "ir-version": VERSION,
    }
    params = {
        start: f"{window.start:%Y-%m-%dT%H:%M:%SZ}",
        end: f"{window.end:%Y-%m-%dT%H:%M:%SZ}",
        "PageSize": api.option("page_size"),
    }
    url = api.url(f"/Mediapartners/{sid}/{resource}", params)
    for _ in range(MAX_PAGES):
        text, page = await api.get_json(url, headers)
        yield text
        following = page.get("@nextpageuri") if isinstance(page, dict) else None
        if not following:
            return
        url = api.next_url(url, str(following))
    raise PullFailed(f"there are more than {MAX_PAGES} pages")


CLIENT = Client(
    code="impact",
    base_url="https://api.impact.com",
    rate=Rate(1000, 3600),
    secrets=("token",),
    streams=_STREAMS,
    fetch=_fetch,
    reader=lambda account: impact.read,
    options={"page_size": Option("2000", whole_number(2000, 20000))},
)
