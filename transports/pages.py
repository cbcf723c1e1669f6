"""HTML pages of this server: templates in `web/pages`, filled with escaped values. No page has a script."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import html
from collections.abc import Awaitable, Callable
from pathlib import Path
from string import Template
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from db.claims import ANONYMOUS
from domain.callers import Caller
from domain.errors import RateLimited, TryAgain
from services.services import Services
from transports.streams import caller_of

PAGES = Path(__file__).resolve().parents[1] / "web" / "pages"
VISIT_COST = 100  # charged against the address's rate limit, as visits may write
MAX_FORM_BYTES = 20_000
MAX_FORM_FIELDS = 10
FORM_TYPE = "application/x-www-form-urlencoded"
# Responses must not be cached, nor their URLs indexed.
HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}

Answer = Callable[[HttpRequest, Services, Caller], Awaitable[Response]]


class Html(str):
    """A string that is HTML already, and is not escaped."""


class BodyRefused(Exception):
    """A request body that is too large, too slow or cut off: the status, and a text for the sender."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@functools.cache
def _template(name: str) -> Template:
    return Template((PAGES / f"{name}.html").read_text(encoding="utf-8"))


@functools.cache
def _style() -> tuple[Html, str]:
    """The style of all pages, and its source for a Content-Security-Policy."""
    text = (PAGES / "page.css").read_text(encoding="utf-8")
    return Html(text), f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def fill(name: str, /, **values: str) -> Html:
    """The template filled with these values; they are escaped unless they are Html."""
    escaped = {key: value if isinstance(value, Html) else html.escape(value) for key, value in values.items()}
    return Html(_template(name).substitute(escaped))


def page(
    title: str, body: Html, *, head: Html = Html(""), status: int = 200, form_action: str = "'self'", image: str = ""
) -> Response:
    """A response with a whole page. `image` is the origin that pictures may be loaded from."""
    style, style_source = _style()
    policy = [
        "default-src 'none'",
        f"style-src {style_source}",
        *([f"img-src {image}"] if image else []),
        f"form-action {form_action}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    text = fill("page", title=title, head=head, style=style, body=body)
    return HTMLResponse(text, status, headers={**HEADERS, "content-security-policy": "; ".join(policy)})


def notice(title: str, text: str, *, status: int = 200) -> Response:
    """A page with a single message."""
    return page(title, fill("notice", title=title, text=text), status=status)


def limited(answer: Answer) -> Callable[[HttpRequest], Awaitable[Response]]:
    """Wraps an endpoint: each visit is charged to the address, and HEAD is answered like GET, without a body."""

    async def limited_answer(http: HttpRequest) -> Response:
        services: Services = http.app.state.services
        visitor = caller_of(http.scope, dict(http.scope["headers"]).get(b"user-agent"))
        try:
            await services.rate_limits.take(ANONYMOUS, visitor.address, VISIT_COST)
            async with services.rate_limits.metered(ANONYMOUS, visitor.address, VISIT_COST):
                answered = await answer(http, services, visitor)
        except TryAgain as error:
            headers = {**HEADERS, "retry-after": str(error.retry_after)}
            if isinstance(error, RateLimited):
                answered = PlainTextResponse("Too many visits from here, try again later.", 429, headers=headers)
            else:
                answered = PlainTextResponse("Try again shortly.", 503, headers=headers)
        except BodyRefused as refused:
            headers = {**HEADERS, "connection": "close"}
            answered = PlainTextResponse(str(refused), refused.status, headers=headers)
        if http.method == "HEAD":
            answered.body = b""
        return answered

    return limited_answer


async def form(http: HttpRequest) -> dict[str, str]:
    """The fields of a form; empty if a page of another site sent it (CSRF)."""
    # The Origin header is of no use: it is "null" under our Referrer-Policy.
    is_ours = http.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    body = await read_body(http, MAX_FORM_BYTES)
    if not is_ours or http.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return {}
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        return {}
    return dict(pairs)


def _too_large(max_bytes: int) -> BodyRefused:
    return BodyRefused(413, f"The body is larger than {max_bytes} bytes.")


async def read_body(http: HttpRequest, max_bytes: int) -> bytes:
    """The body of a request. Raises BodyRefused, which `limited` answers."""
    body = bytearray()
    declared = http.headers.get("content-length", "")  # the HTTP parser accepts numbers only
    if declared and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(http.app.state.services.settings.request_timeout):
            async for part in http.stream():
                body += part
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise BodyRefused(408, "The body took too long to arrive.") from None
    except ClientDisconnect:
        raise BodyRefused(400, "The body ended early.") from None
    return bytes(body)
