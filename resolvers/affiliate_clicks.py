"""Tracked links: clicks, and the shops that their links lead to."""

from __future__ import annotations

import time
from uuid import UUID

import asyncpg
import structlog

from db.claims import ANONYMOUS, SERVICE
from db.session import Session
from db.shop_links import shop_of
from domain import affiliate, links
from domain.bounds import require_text
from domain.callers import Caller
from domain.devices import DeviceClass, device_class
from domain.errors import AclueError, Invalid, LimitReached, NotFound, Overloaded, ProductNotFound, RateLimited
from domain.networks import ranges, site
from domain.visits import Visit
from resolvers import gift_links, recommendations
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject
from services import attempts
from services.services import Services
from services.storage_use import Taken

log = structlog.get_logger("aclue.links")

HIT_BYTES = 400  # of a row of affiliate_redirects and its indexes
CLICK_BYTES = 1_000  # of a click, and an idempotency key
RECORD_TIMEOUT_MS = 1_000  # visitors wait no longer for a hit to be recorded
MAX_TEXT = 200  # of sourcePage and campaign
MAX_VISITS_PER_HOUR = 20  # of a gift link, from a network
HOUR_SECONDS = 3600


async def create(
    session: Session,
    services: Services,
    *,
    product_id: UUID | None,
    offer_id: UUID | None,
    source_page: str | None,
    recommendation: str | None,
    gift_link_token: str | None,
    campaign: str | None,
    idempotency_key: str | None,
    caller: Caller,
) -> UUID:
    """Creates a click to an offer (None: the leading one); returns its id. Raises ProductNotFound, NotFound or Invalid,
    and through a gift link what gift_links.create_click raises."""
    require_subject(session)
    if product_id is None:
        raise ProductNotFound
    for name, value in (("sourcePage", source_page), ("campaign", campaign)):
        require_text(value, (name,), MAX_TEXT)
    shown = None if recommendation is None else recommendations.open_id(session, services, recommendation)
    if shown is not None and not await recommendations.is_of(session, shown, product_id):
        raise Invalid("This recommendation is for another product.", ("recommendationId",))
    gift_link = None if gift_link_token is None else gift_links.open_token(services, gift_link_token)

    async def store() -> UUID:
        (recommendation_id,) = (await recommendations.store(session, [shown])).ids
        values = {
            "product_id": product_id,
            "session_id": session.claims.session_id,
            "recommendation_id": recommendation_id,
            "source_page": source_page,
            "campaign": campaign,
            "device_class": _device(caller),
        }
        if gift_link is not None:
            return await gift_links.create_click(session, gift_link, **values)
        click: UUID | None = await session.fetchval("affiliate_clicks.create", offer_id=offer_id, **values)
        if click is None:
            raise ProductNotFound if offer_id is None else NotFound("There is no such offer now.", ("offerId",))
        return click

    request = [product_id, source_page, recommendation, campaign, gift_link, *([offer_id] if offer_id else [])]
    return await once(session, "createAffiliateClick", idempotency_key, request, store)


async def follow(services: Services, visit: Visit, token: str) -> str:
    """The shop's URL with our click id, or that of another shop if the clicked offer is gone or sold out. Records the
    hit, unless that fails or the storage limit of the visitor's network is used up. Raises NotFound for an unknown
    token, and for a link to a host that is not, or no longer, the shop's or its network's; ProductNotFound if nobody
    sells the product any more."""
    click = affiliate.decode_token(token)
    if click is None:
        raise NotFound("There is no such link.")
    return await _follow(services, visit, click)


async def follow_gift_link(services: Services, visit: Visit, token: str, visit_key: str) -> str:
    """The same for a gift link, each visit of which is a use, and a click in the name of its maker. Raises NotFound for
    an unknown or forged token; Expired, LimitReached or ProductNotFound for a link that no longer works; RateLimited
    if the visitor's network has reached the limit of visits or of storage; Overloaded if a use cannot be stored now."""
    link = gift_links.open_token(services, token)
    taken: Taken | None = None
    is_stored = False
    try:
        await attempts.count_visit(services, visit.visitor, link, MAX_VISITS_PER_HOUR)
        taken = await _count(services, visit.visitor, CLICK_BYTES)
        if taken is None:
            raise RateLimited("The storage limit of the day is used up.", retry_after=HOUR_SECONDS)
        async with services.database.session(SERVICE, read_only=False) as session:
            click, is_new = await gift_links.create_click_of_maker(session, link, visit_key, _device(visit.visitor))
        is_stored = is_new
    except asyncpg.PostgresError as error:  # such as of a database that is read-only
        log.error("a use of a gift link was not stored", exception=type(error).__name__)
        raise Overloaded("The link cannot be used now, try again.") from error
    finally:
        if taken is not None and not is_stored:
            taken.give_back()
    return await _follow(services, visit, click)


async def _follow(services: Services, visit: Visit, click: UUID) -> str:
    async with services.database.session(SERVICE, read_only=True) as session:
        route = await session.fetchrow("affiliate_clicks.route", click_id=click)
        if route is None:
            if await session.fetchval("affiliate_clicks.exists", click_id=click):
                raise ProductNotFound
            raise NotFound("There is no such link.")
    known: UUID = route["click_id"]
    target = _target(route, click, known, visit)  # first: a link that is refused is no hit
    carried = await _record(services, visit, click, route)
    return target if carried == known else _target(route, click, carried, visit)


def _target(route: asyncpg.Record, click: UUID, carried: UUID, visit: Visit) -> str:
    try:
        link = links.read_link(route["affiliate_url"], shop_of(route))
        token = affiliate.encode_token(carried)
        return links.address(link, token, route["tracking_id"], is_person=visit.gets_tracking_ids)
    except ValueError as reason:
        log.warning("link refused", click=str(click), reason=str(reason))
        raise NotFound("There is no such link.") from None


async def _record(services: Services, visit: Visit, click: UUID, route: asyncpg.Record) -> UUID:
    """Records the hit, if it is the visitor's first within the hour, and returns the click whose token the shop gets.
    Where a person is led to another offer, that is a click to it, on its terms. Without storage, or if this fails, it
    is the click that is there already: no visitor is kept from the shop."""
    known: UUID = route["click_id"]
    needs_click = route["is_substitute"] and known == click and visit.uncounted is None
    amount = HIT_BYTES + CLICK_BYTES * needs_click
    taken: Taken | None = None
    stored = 0
    try:
        taken = await _count(services, visit.visitor, amount)
        if taken is None:
            return known
        async with services.database.session(
            SERVICE, read_only=False, statement_timeout_ms=RECORD_TIMEOUT_MS
        ) as session:
            led_to = await _substitute(session, visit, click, route) if needs_click else known
            is_new = await session.fetchval("affiliate_clicks.record", **_hit(services, visit, click, led_to))
        stored = CLICK_BYTES * needs_click + HIT_BYTES * is_new
        return led_to
    except (AclueError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        services.lost_hits.note(error)
        return known
    finally:
        if taken is not None:
            taken.give_back(1 - stored / amount)


async def _substitute(session: Session, visit: Visit, click: UUID, route: asyncpg.Record) -> UUID:
    made: UUID | None = await session.fetchval(
        "affiliate_clicks.substitute",
        click_id=click,
        offer_id=route["offer_id"],
        device_class=_device(visit.visitor),
    )
    return click if made is None else made  # the offer has just gone, too


def _hit(services: Services, visit: Visit, click: UUID, led_to: UUID) -> dict[str, object]:
    """What is stored of a hit. A visitor is a class of device in a network, because User-Agent can be anything. Nothing
    is stored that tells the click's owner, or a reader of the database, who the visitor was; and nothing at all of
    visitors who ask for that, who are one visitor together."""
    device = _device(visit.visitor)
    visitor_hash = network_hash = None
    if device is not None and visit.uncounted is None:
        address, now = visit.visitor.address, time.time()
        visitor_hash = services.visitor_pseudonyms.of(f"{site(address)} {device}", now)
        network_hash = services.visitor_pseudonyms.of(ranges(address)[1], now) if ranges(address) else None
    return {
        "click_id": click,
        "visitor_hash": visitor_hash,
        "network_hash": network_hash,
        "device_class": device,
        "uncounted_reason": visit.uncounted,
        "led_to": led_to,
    }


def _device(caller: Caller) -> DeviceClass | None:
    return None if caller.wants_privacy else device_class(caller.user_agent)


async def _count(services: Services, visitor: Caller, amount: int) -> Taken | None:
    """Charges what a visit stores in another person's name to the visitor's network; None if its storage limit is used
    up."""
    try:
        return await services.storage_use.take(ANONYMOUS, visitor.address, amount)
    except LimitReached:
        return None
