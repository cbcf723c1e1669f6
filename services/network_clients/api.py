"""Requests to the API of a network: at its pace, repeated where that may help, and whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from domain.ledger.reports import BadFile, parse_json
from services import feed_downloads
from services.feed_downloads import Answer, ConnectionFailed, DownloadFailed, Limits
from services.network_clients.client import Account, Client, Rate

MAX_ANSWER_BYTES = 100_000_000
MAX_WINDOW_BYTES = 500_000_000
"""Of all answers of a window, which are in memory at once."""
REQUEST_SECONDS = 300.0
MAX_ATTEMPTS = 6
MAX_WAIT_SECONDS = 3600.0
"""A network that asks for more patience is asked again by the next pull."""
MAX_PAGES = 1_000
MAX_EXCERPT_CHARACTERS = 200

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_REFUSED = (401, 403)

Sleep = Callable[[float], Awaitable[None]]


class PullFailed(Exception):
    """Nothing of the window was imported; the message says why, without secrets. `retry_after`: for how many seconds
    the network asked us to wait."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Pace:
    """Within any period of the rate's length at most as many requests as it allows."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = rate.seconds
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=rate.requests)

    def wait(self) -> float:
        """Counts a request; returns for how many seconds it must wait."""
        now = self._clock()
        is_full = len(self._sent) == self._sent.maxlen
        seconds = max(0.0, self._sent[0] + self._seconds - now) if is_full else 0.0
        self._sent.append(now + seconds)
        return seconds


class Api:
    """The API of a network for one account. `requests` counts what was sent; `patience` is for how many seconds in all
    it waits for answers that failed, and before it asks again."""

    def __init__(
        self,
        client: Client,
        account: Account,
        secret_of: Callable[[str], str | None],
        *,
        is_private_allowed: bool = False,
        sleep: Sleep = asyncio.sleep,
        seconds: float = REQUEST_SECONDS,
        patience: float = math.inf,
    ) -> None:
        self.client = client
        self.account = account
        self.requests = 0
        self._secret_of = secret_of
        self._limits = Limits(MAX_ANSWER_BYTES, seconds, is_private_allowed)
        self._pace = Pace(client.rate)
        self._sleep = sleep
        self._patience = patience
        self._window_bytes = 0

    def begin_window(self) -> None:
        """What is answered from now on belongs to another window."""
        self._window_bytes = 0

    def secret(self, name: str) -> str:
        """A secret's value. Raises PullFailed if its variable is not set."""
        variable = self.account.secrets.get(name, "")
        value = self._secret_of(variable)
        if not value:
            raise PullFailed(f"the account's {name} is in {variable or 'no variable'}, which is not set")
        if not (value.isascii() and value.isprintable()):
            raise PullFailed(f"{variable} has characters that a request cannot have")
        return value

    def option(self, name: str) -> str:
        """The account's option, or its default."""
        return self.client.option(self.account, name)

    def basic(self, user: str, password: str) -> str:
        """The value of an Authorization header."""
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def url(self, path: str, params: Mapping[str, str] | None = None, *, base: str | None = None) -> str:
        """The URL of a path of the API."""
        root = (base or self.account.base_url or self.client.base_url).rstrip("/")
        return f"{root}{path}" + (f"?{urlencode(params)}" if params else "")

    def next_url(self, current: str, link: str) -> str:
        """The URL of the next page. Raises PullFailed if it is on another server, which must not see credentials."""
        found = urljoin(current, link)
        if urlsplit(found)[:2] != urlsplit(current)[:2]:
            raise PullFailed("the next page is said to be on another server; it was not asked")
        return found

    async def get_json(self, url: str, headers: Mapping[str, str]) -> tuple[str, Any]:
        """The text of an answer, and the document in it. Raises PullFailed."""
        return await self._ask(url, dict(headers), "GET", None, parse_json)

    async def post_json(self, url: str, headers: Mapping[str, str], document: Any) -> tuple[str, Any]:
        """The same of a request with a document."""
        sent = {"content-type": "application/json", **headers}
        return await self._ask(url, sent, "POST", json.dumps(document).encode(), parse_json)

    async def post_form(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Any:
        """The document that answers a form."""
        sent = {"content-type": "application/x-www-form-urlencoded", **headers}
        _, document = await self._ask(url, sent, "POST", urlencode(form).encode(), parse_json)
        return document

    async def get_text(self, url: str, headers: Mapping[str, str]) -> str:
        """The text of an answer that shows only by its length that it is whole, such as CSV. Raises PullFailed."""
        text, _ = await self._ask(url, dict(headers), "GET", None, None)
        return text

    async def _ask(
        self,
        url: str,
        headers: dict[str, str],
        method: str,
        body: bytes | None,
        parse: Callable[[str], Any] | None,
    ) -> tuple[str, Any]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            await self._pause(self._pace.wait())
            self.requests += 1
            began, asked = time.monotonic(), 0.0
            try:
                answer = await asyncio.to_thread(
                    feed_downloads.request, url, self._limits, headers=headers, method=method, body=body
                )
                if answer.status == 200:
                    return self._read(answer, parse)
                problem = self._problem(answer, headers)
                asked = _asked_wait(answer)
            except (ConnectionFailed, _HalfWritten) as error:
                problem = str(error)
            except DownloadFailed as error:
                raise PullFailed(str(error)) from None
            if attempt == MAX_ATTEMPTS:
                break
            wait = max(asked, random.uniform(0.5, 1.0) * 2.0**attempt)  # noqa: S311  jitter
            self._patience -= time.monotonic() - began
            if wait > min(self._patience, MAX_WAIT_SECONDS):
                advice = (
                    f", and asked us to wait for {asked:.0f} seconds" if asked else ", and others wait for this pull"
                )
                raise PullFailed(f"{problem}{advice}", asked)
            self._patience -= wait
            await self._pause(wait)
        raise PullFailed(f"{problem}, {MAX_ATTEMPTS} times", asked)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)

    def _read(self, answer: Answer, parse: Callable[[str], Any] | None) -> tuple[str, Any]:
        self._window_bytes += len(answer.body)
        if self._window_bytes > MAX_WINDOW_BYTES:
            raise PullFailed(f"the answers of a window are larger than {MAX_WINDOW_BYTES} bytes")
        try:
            text = answer.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _HalfWritten("the answer is not UTF-8") from None
        if "\x00" in text or "\\u0000" in text:
            raise PullFailed("the answer contains NUL")
        if parse is None:
            if not answer.is_framed:
                raise _HalfWritten("the answer does not say how long it is, so it may be cut off")
            return text, None
        try:
            return text, parse(text)
        except BadFile as error:
            raise _HalfWritten(f"the answer is {error}") from None

    def _problem(self, answer: Answer, headers: Mapping[str, str]) -> str:
        """What is wrong with an answer that is not 200. Raises PullFailed if another attempt would not help."""
        status = answer.status
        if status in _TRANSIENT:
            return f"the network answered {status}"
        if status in _REFUSED:
            names = ", ".join(sorted(set(self.account.secrets.values())))
            raise PullFailed(f"the network refused our credentials ({status}): check {names}")
        if 300 <= status < 400:
            raise PullFailed(f"the network answered {status}: redirects are not followed with credentials; check --url")
        body = answer.body[: 50 * MAX_EXCERPT_CHARACTERS].decode(errors="replace")
        sent = headers.get("authorization", "").rpartition(" ")[2]
        raise PullFailed(f"the network answered {status}{self.excerpt(body, sent)}")

    def excerpt(self, text: str, *hidden: str) -> str:
        """The beginning of a message of the network, in quotes, without our secrets and what else is hidden."""
        for value in (*hidden, *map(self._secret_of, self.account.secrets.values())):
            if value:
                text = text.replace(value, "***")
        words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return f": {words[:MAX_EXCERPT_CHARACTERS]!r}" if words else ""


class _HalfWritten(Exception):
    """The answer is not what the network would send as a whole."""


def _asked_wait(answer: Answer) -> float:
    """For how many seconds the network asks us to wait."""
    asked = answer.headers.get("retry-after") or (
        answer.headers.get("x-ratelimit-reset", "") if answer.status == 429 else ""
    )
    if asked.isascii() and asked.isdecimal() and len(asked) < 10:
        seconds = float(asked)
        return seconds if seconds < 10 * MAX_WAIT_SECONDS else max(0.0, seconds - time.time())
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
