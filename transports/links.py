"""Links that leave the app: `/r/<token>` redirects to a shop, `/g/<token>` is the page of a gift link."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from domain import money
from domain.affiliate import disclosure
from domain.callers import Caller
from domain.errors import Expired, LimitReached, NotFound, ProductNotFound
from domain.visits import visit
from resolvers import affiliate_clicks, gift_links
from services.services import Services
from transports.pages import HEADERS, fill, form, limited, notice, page

_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]+)?", re.IGNORECASE)
# Chromium applies form-action to every redirect that follows, and shops are reached through hosts of affiliate networks
# that are not known beforehand.
_FORM_ACTION = "'self' https:"
_SUMMARY_LENGTH = 200


def routes() -> list[Route]:
    return [
        Route("/r/{token}", limited(_follow_tracked_link), methods=["GET"]),
        Route("/g/{token}", limited(_gift_link), methods=["GET", "POST"]),
    ]


async def _follow_tracked_link(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    try:
        visited = visit(visitor, http.method, http.headers.raw)
        target = await affiliate_clicks.follow(services, visited, http.path_params["token"])
    except ProductNotFound:
        return notice(
            "This is no longer sold",
            "No shop that we know of offers this product any more, so the link is closed.",
            status=404,
        )
    except NotFound:
        return PlainTextResponse("There is no such link.", 404, headers=HEADERS)
    return RedirectResponse(target, 302, headers=HEADERS)


async def _gift_link(http: HttpRequest, services: Services, visitor: Caller) -> Response:
    """GET shows the page, also to link previews. Only the page's button, which POSTs, uses the link up."""
    token = http.path_params["token"]
    try:
        if http.method == "POST":
            visit_key = (await form(http)).get("visit", "")
            if gift_links.is_visit(services, token, visit_key):
                visited = visit(visitor, http.method, http.headers.raw)
                target = await affiliate_clicks.follow_gift_link(services, visited, token, visit_key)
                return RedirectResponse(target, 303, headers=HEADERS)
        return _page(services, token, await gift_links.show(services, token), is_late=http.method == "POST")
    except (NotFound, Expired, LimitReached):
        # The same answer for all three, so that guessing does not reveal which links existed.
        return notice(
            "This link leads nowhere",
            "It may have expired, been used already, or been copied only in part. Ask the person who sent it for a new "
            "one.",
            status=404,
        )


def _page(services: Services, token: str, shown: gift_links.ShownGift, *, is_late: bool) -> Response:
    price = f"{money.to_decimal(shown.price_minor, shown.currency)} {shown.currency}"
    image_url, image_origin = _image(shown.image_url)
    notice = disclosure(shown.network)
    summary = " · ".join(filter(None, (f"{price} at {shown.retailer}", shown.description)))
    url = f"{services.settings.base_url}/g/{token}"
    picture = {"name": shown.name, "image_url": image_url}
    head = fill(
        "gift_link_head",
        name=shown.name,
        summary=summary if len(summary) <= _SUMMARY_LENGTH else f"{summary[: _SUMMARY_LENGTH - 1]}…",
        url=url,
        picture=fill("gift_link_head_picture", **picture) if image_url else "",
        card="summary_large_image" if image_url else "summary",
    )
    body = fill(
        "gift_link",
        name=shown.name,
        price=price,
        retailer=shown.retailer,
        picture=fill("gift_link_picture", **picture) if image_url else "",
        message=fill("gift_link_message", message=shown.message) if shown.message else "",
        alert=fill("alert", text="Please press the button once more.") if is_late else "",
        disclosure=fill("gift_link_disclosure", disclosure=notice) if notice else "",
        action=urlsplit(url).path,
        visit=gift_links.new_visit(services, token),
    )
    return page(
        shown.name, body, head=head, status=400 if is_late else 200, form_action=_FORM_ACTION, image=image_origin
    )


def _image(url: str | None) -> tuple[str, str]:
    """A picture's URL, and its origin for a Content-Security-Policy; empty if a policy cannot name its host."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return "", ""
    if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc):
        return "", ""
    return url or "", f"https://{parts.netloc.lower()}"
