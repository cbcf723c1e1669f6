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
from domain.callers import Caller
from domain.devices import device_class
from domain.errors import Invalid, LimitReached, NotFound, ProductNotFound, RateLimited
from domain.networks import networks
from domain.texts import require_no_nul
from resolvers import gift_links, recommendations
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject
from services import attempts
from services.services import Services
from services.storage_use import Taken

log = structlog.get_logger("aclue.links")

HIT_BYTES = 200  # of a row of affiliate_redirects and its indexes
VISIT_BYTES = 1_200  # of a click, an idempotency key and a hit
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
) -> UUID:
    """Creates a click to an offer (None: the leading one); returns its id. Raises ProductNotFound, NotFound or Invalid,
    and through a gift link what gift_links.create_click raises."""
    require_subject(session)
    if product_id is None:
        raise ProductNotFound
    for name, value in (("sourcePage", source_page), ("campaign", campaign)):
        require_no_nul(value, (name,))
        if value is not None and len(value) > 200:
            raise Invalid("At most 200 characters.", (name,))
    shown = None if recommendation is None else recommendations.open_id(session, services, recommendation)
    if shown is not None and not await recommendations.is_of(session, shown, product_id):
        raise Invalid("This recommendation is for another product.", ("recommendationId",))
    gift_link = None if gift_link_token is None else gift_links.open_token(services, gift_link_token)

    async def store() -> UUID:
        (recommendation_id,) = await recommendations.store(session, [shown])
        values = {
            "product_id": product_id,
            "session_id": session.claims.session_id,
            "recommendation_id": recommendation_id,
            "source_page": source_page,
            "campaign": campaign,
        }
        if gift_link is not None:
            return await gift_links.create_click(session, gift_link, **values)
        click: UUID | None = await session.fetchval("affiliate_clicks.create", offer_id=offer_id, **values)
        if click is None:
            raise ProductNotFound if offer_id is None else NotFound("There is no such offer now.", ("offerId",))
        return click

    request = [product_id, source_page, recommendation, campaign, gift_link, *([offer_id] if offer_id else [])]
    return await once(session, "createAffiliateClick", idempotency_key, request, store)


async def follow(services: Services, visitor: Caller, token: str, *, is_person: bool) -> str:
    """The shop's URL with our click id. If a person follows the link, a hit is recorded, unless the storage limit of
    the visitor's network is used up. Raises NotFound for an unknown token, and for a link to a host that is not, or no
    longer, the shop's or its network's."""
    click = affiliate.decode_token(token)
    if click is None:
        raise NotFound("There is no such link.")
    taken = await _count(services, visitor, HIT_BYTES) if is_person else None
    if taken is None:
        async with services.database.session(SERVICE, read_only=True) as session:
            found = await session.fetchrow("affiliate_clicks.target", click_id=click)
            return _target(found, click, is_person=is_person)
    stored = 0
    try:
        async with services.database.session(SERVICE, read_only=False) as session:
            target, is_new = await _record_hit(session, services, visitor, click)
            stored = HIT_BYTES if is_new else 0
            return target
    finally:
        taken.give_back(1 - stored / HIT_BYTES)


async def follow_gift_link(services: Services, visitor: Caller, token: str, visit: str) -> str:
    """The same for a gift link, each visit of which is a use, and a click in the name of its maker. Raises NotFound for
    an unknown or forged token; Expired, LimitReached or ProductNotFound for a link that no longer works; RateLimited
    if the visitor's network has reached the limit of visits or of storage."""
    link = gift_links.open_token(services, token)
    await attempts.count_visit(services, visitor, link, MAX_VISITS_PER_HOUR)
    taken = await _count(services, visitor, VISIT_BYTES)
    if taken is None:
        raise RateLimited("The storage limit of the day is used up.", retry_after=HOUR_SECONDS)
    stored = 0
    try:
        async with services.database.session(SERVICE, read_only=False) as session:
            click, is_new_click = await gift_links.create_click_of_maker(session, link, visit)
            target, is_new = await _record_hit(session, services, visitor, click)
            stored = (VISIT_BYTES - HIT_BYTES) * is_new_click + HIT_BYTES * is_new
            return target
    finally:
        taken.give_back(1 - stored / VISIT_BYTES)


async def _count(services: Services, visitor: Caller, amount: int) -> Taken | None:
    """Charges what a visit stores in another person's name to the visitor's network; None if its storage limit is used
    up."""
    try:
        return await services.storage_use.take(ANONYMOUS, visitor.address, amount)
    except LimitReached:
        return None


async def _record_hit(session: Session, services: Services, visitor: Caller, click: UUID) -> tuple[str, bool]:
    """The target of the link. A hit is stored if it is the visitor's first within an hour. A visitor is a class of
    device in a network, because User-Agent can be anything. Nothing is stored that tells the click's owner, or a reader
    of the database, who the visitor was."""
    device = device_class(visitor.user_agent)
    found = await session.fetchrow(
        "affiliate_clicks.follow",
        click_id=click,
        visitor_hash=services.visitor_pseudonyms.of(f"{networks(visitor.address)[-1].name} {device}", time.time()),
        device_class=device,
    )
    return _target(found, click, is_person=True), found is not None and found["is_new"]


def _target(found: asyncpg.Record | None, click: UUID, *, is_person: bool) -> str:
    if found is None:
        raise NotFound("There is no such link.")
    token = affiliate.encode_token(click)
    try:
        link = links.read_link(found["affiliate_url"], shop_of(found))
        return links.address(link, token, found["tracking_id"], is_person=is_person)
    except ValueError as reason:
        log.warning("link refused", click=str(click), reason=str(reason))
        raise NotFound("There is no such link.") from None
