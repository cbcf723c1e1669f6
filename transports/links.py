"""Links that leave the app: `/r/<token>`, which leads to a shop, and `/g/<token>`, a gift link."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from db.claims import ANONYMOUS
from domain.devices import is_crawler
from domain.errors import Expired, LimitReached, NotFound, ProductNotFound, RateLimited, TryAgain
from resolvers import affiliate_clicks
from resolvers.services import Services
from resolvers.sessions import Caller
from transports.streams import caller_of

VISIT_COST = 100  # charged to the address against rate limits: visits may write
# Nobody may cache the answer of a link, and search engines may not list its address.
_HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}
_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)

Answer = Callable[[HttpRequest, Services, Caller], Awaitable[Response]]


def routes() -> list[Route]:
    gift_link = Route("/g/{token}", limited(_follow_gift_link))
    gift_link.methods = {"GET"}  # and not HEAD, which Starlette adds: it would use up the link
    return [Route("/r/{token}", limited(_follow_tracked_link), methods=["GET"]), gift_link]


def limited(answer: Answer) -> Callable[[HttpRequest], Awaitable[Response]]:
    """Charges each visit to its address, and answers in plain text where that is refused."""

    async def limited_answer(http: HttpRequest) -> Response:
        services: Services = http.app.state.services
        visitor = caller_of(http.scope, dict(http.scope["headers"]).get(b"user-agent"))
        try:
            await services.rate_limits.take(ANONYMOUS, visitor.address, VISIT_COST)
            return await answer(http, services, visitor)
        except TryAgain as error:
            headers = {**_HEADERS, "retry-after": str(error.retry_after)}
            if isinstance(error, RateLimited):
                return PlainTextResponse("Too many links were followed from here.", 429, headers=headers)
            return PlainTextResponse("Try again in a moment.", 503, headers=headers)

    return limited_answer


async def _follow_tracked_link(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    try:
        target = await affiliate_clicks.follow(
            services, visitor, http.path_params["token"], is_hit=_is_by_a_person(http, visitor)
        )
    except NotFound:
        return PlainTextResponse("There is no such link.", 404, headers=_HEADERS)
    return RedirectResponse(target, 302, headers=_HEADERS)


def _is_by_a_person(http: HttpRequest, visitor: Caller) -> bool:
    """Whether somebody asked to see the shop; link previews, crawlers and browsers that load pages ahead did not."""
    return (
        http.method == "GET"
        and not any(_PREFETCH.search(http.headers.get(name, "")) for name in _PREFETCH_HEADERS)
        and not is_crawler(visitor.user_agent)
    )


async def _follow_gift_link(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    try:
        target = await affiliate_clicks.follow_gift_link(services, visitor, http.path_params["token"])
    except (Expired, LimitReached, ProductNotFound):
        return PlainTextResponse("This link leads nowhere any more.", 410, headers=_HEADERS)
    except NotFound:
        return PlainTextResponse("There is no such link.", 404, headers=_HEADERS)
    return RedirectResponse(target, 302, headers=_HEADERS)
