"""Tracked links: the click, and where its link leads."""

from __future__ import annotations

from uuid import UUID

from db.claims import SERVICE
from db.session import Session
from domain import affiliate
from domain.errors import Invalid, ProductNotFound
from resolvers import recommendations
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject
from resolvers.services import Services


async def create(
    session: Session,
    services: Services,
    *,
    product_id: UUID | None,
    source_page: str | None,
    recommendation: str | None,
    campaign: str | None,
    idempotency_key: str | None,
) -> UUID:
    """Stores the intent with what the offer says now; the click's id. Raises ProductNotFound, NotFound or Invalid."""
    require_subject(session)
    if product_id is None:
        raise ProductNotFound
    for name, value in (("sourcePage", source_page), ("campaign", campaign)):
        if value is not None and (len(value) > 200 or "\0" in value):
            raise Invalid("At most 200 characters.", (name,))
    shown = None if recommendation is None else recommendations.open_id(session, services, recommendation)
    if shown is not None and shown.product_id != product_id:
        raise Invalid("This recommendation is of another product.", ("recommendationId",))

    async def store() -> UUID:
        (recommendation_id,) = await recommendations.store(session, [shown])
        click: UUID | None = await session.fetchval(
            "affiliate_clicks.create",
            product_id=product_id,
            session_id=session.claims.session_id,
            recommendation_id=recommendation_id,
            source_page=source_page,
            campaign=campaign,
        )
        if click is None:
            raise ProductNotFound
        return click

    request = [product_id, source_page, recommendation, campaign]
    return await once(session, "createAffiliateClick", idempotency_key, request, store)


async def follow(services: Services, token: str, user_agent: str | None) -> str | None:
    """The shop's URL with our click id, and the hit recorded; None for an unknown token."""
    click = affiliate.decode_token(token)
    if click is None:
        return None
    async with services.database.session(SERVICE, read_only=False) as session:
        agent = user_agent.replace("\0", "") if user_agent else None
        found = await session.fetchrow("affiliate_clicks.follow", click_id=click, user_agent=agent)
    if found is None:
        return None
    return affiliate.tracked_url(found["affiliate_url"], found["click_parameter"], token)
