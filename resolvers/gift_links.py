"""Gift links: a person shows a product to another one, who needs no session to follow the link."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from db.claims import SERVICE
from db.session import Session
from domain import gift_links
from domain.bounds import require_text
from domain.devices import DeviceClass
from domain.errors import Expired, Invalid, LimitReached, NotFound, ProductNotFound, UserError
from resolvers.idempotency_keys import once
from resolvers.profiles import require_subject
from services.services import Services

MAX_MESSAGE = 1000
MAX_RECIPIENT_NAME = 100
_VISIT = "visitGiftLink"

_TOKEN = ("giftLinkToken",)
_REFUSALS: dict[str, Callable[[], UserError]] = {  # by the reason that private.use_gift_link() returns
    "unknown": lambda: NotFound("There is no such gift link.", _TOKEN),
    "another product": lambda: Invalid("This gift link is for another product.", _TOKEN),
    "expired": lambda: Expired("This gift link is no longer open.", _TOKEN),
    "used up": lambda: LimitReached("This gift link has been used as often as it may be.", _TOKEN),
    "not on offer": ProductNotFound,
}


async def create(
    session: Session,
    *,
    product_id: UUID | None,
    message: str | None,
    recipient_name: str | None,
    occasion: str | None,
    expires_at: datetime | None,
    max_uses: int | None,
    idempotency_key: str | None,
) -> UUID:
    """Creates a link. Raises ProductNotFound or Invalid."""
    require_subject(session)
    if product_id is None:
        raise ProductNotFound
    for name, text, limit in (
        ("message", message, MAX_MESSAGE),
        ("recipientName", recipient_name, MAX_RECIPIENT_NAME),
        ("occasion", occasion, MAX_RECIPIENT_NAME),
    ):
        require_text(text, (name,), limit)
    if max_uses is not None and max_uses < 1:
        raise Invalid(f"`maxUses` is {max_uses}: a link needs at least one use.", ("maxUses",))

    async def store() -> UUID:
        # Checked only now: a repeated request gets the same answer, even after the expiry.
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise Invalid("The expiry is in the past.", ("expiresAt",))
        link: UUID | None = await session.fetchval(
            "gift_links.create",
            product_id=product_id,
            message=message or None,
            recipient_name=recipient_name or None,
            occasion=occasion or None,
            expires_at=expires_at,
            max_uses=max_uses,
        )
        if link is None:
            raise ProductNotFound
        return link

    request = [product_id, message, recipient_name, occasion, expires_at, max_uses]
    return await once(session, "createGiftLink", idempotency_key, request, store)


async def revoke(session: Session, link: UUID | None) -> UUID:
    """Revokes a link; idempotent. Raises NotFound."""
    subject = require_subject(session)
    if link is None or await session.fetchval("gift_links.revoke", user_id=subject, id=link) is None:
        raise NotFound("There is no such gift link.", ("giftLinkId",))
    return link


@dataclass(frozen=True, slots=True)
class ShownGift:
    """The content of a link's page, without its maker and recipient."""

    message: str | None
    name: str
    description: str | None
    image_url: str | None
    price_minor: int
    currency: str
    retailer: str
    network: str | None


async def show(services: Services, token: str) -> ShownGift:
    """Reads a link for its page; does not count as a use. Raises NotFound, also for a link that is used up."""
    link = open_token(services, token)
    async with services.database.session(SERVICE, read_only=True) as session:
        found = await session.fetchrow("gift_links.show", id=link)
    if found is None:
        raise _REFUSALS["unknown"]()
    return ShownGift(**found)


def new_visit(services: Services, token: str) -> str:
    """A value for the form of the link's page. Raises NotFound for a forged token."""
    link = open_token(services, token)
    return gift_links.encode_visit(link, services.gift_link_visits, now=time.time(), nonce=uuid4())


def is_visit(services: Services, token: str, visit: str) -> bool:
    """Whether a value is from the form of the link's page. Raises NotFound for a forged token."""
    return gift_links.is_visit(visit, open_token(services, token), services.gift_link_visits, now=time.time())


def open_token(services: Services, token: str) -> UUID:
    """The link's id. Raises NotFound for a forged token."""
    link = gift_links.decode_token(token, services.gift_links)
    if link is None:
        raise _REFUSALS["unknown"]()
    return link


async def create_click(session: Session, link: UUID, **click: Any) -> UUID:
    """The caller's click through a link, which counts as one use. Raises NotFound, Expired, LimitReached, Invalid or
    ProductNotFound."""
    return _click(await session.fetchrow("gift_links.create_click", id=link, **click))


async def create_click_of_maker(
    session: Session, link: UUID, visit: str, device_class: DeviceClass | None
) -> tuple[UUID, bool]:
    """As service_role: the click of a visitor without a session, and whether it is new: a visit has a single click, so
    that pressing the button twice uses the link once. Raises what create_click raises."""
    use = {"id": link, "device_class": device_class}
    maker = await session.fetchval("gift_links.maker", id=link)
    if maker is None:  # the function returns the reason
        return _click(await session.fetchrow("gift_links.create_click_of_maker", **use)), True
    identity = {"user_id": maker, "operation": _VISIT, "key": visit}
    await session.fetch("idempotency_keys.lock", **identity)
    known = await session.fetchrow("idempotency_keys.find", **identity)
    if known is not None:
        return known["result_id"], False
    click = _click(await session.fetchrow("gift_links.create_click_of_maker", **use))
    await session.fetch("gift_links.remember_visit", **identity, result_id=click)
    return click, True


def _click(made: asyncpg.Record | None) -> UUID:
    assert made is not None  # the function returns one row
    if made["refusal"] is not None:
        raise _REFUSALS[made["refusal"]]()
    click: UUID = made["click_id"]
    return click
