"""What finance decides about the ledger: services/ledger_decisions.py, for callers of the API."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from db.session import Session
from domain.affiliate import TOKEN_LENGTH, decode_token
from domain.errors import Invalid, NotFound
from resolvers.catalogue import writing
from resolvers.finance import require_proven_bookkeeper
from services import ledger_decisions


async def match(
    session: Session,
    conversion: UUID | None,
    reason: str,
    *,
    click_token: str | None,
    retailer: UUID | None,
    tracking_id: str | None,
) -> UUID:
    """Matches a conversion to one of these, and returns its key. Raises Unauthenticated, Forbidden, Invalid unless
    exactly one is given, and what the service raises."""
    await require_proven_bookkeeper(session)
    if sum(each is not None for each in (click_token, retailer, tracking_id)) != 1:
        raise Invalid("Give one of `clickToken`, `retailerId` and `trackingId`.", ("clickToken",))
    key = _known(conversion, "conversion")
    async with writing(session):
        if click_token is None:
            await ledger_decisions.match_shop(session, key, reason, retailer=retailer, tracking_id=tracking_id)
        else:
            await ledger_decisions.match_click(session, key, _click(click_token), reason)
    return key


async def adjust(session: Session, conversion: UUID | None, amount: Decimal, reason: str, at: datetime | None) -> UUID:
    """Adjusts a conversion, and returns its key. Raises Unauthenticated, Forbidden, and what the service raises."""
    await require_proven_bookkeeper(session)
    key = _known(conversion, "conversion")
    async with writing(session):
        await ledger_decisions.adjust(session, key, amount, reason, at)
    return key


async def decide(session: Session, exception: UUID | None, reason: str, *, accepts: bool) -> UUID:
    """Accepts or declines an exception, and returns its key. Raises Unauthenticated, Forbidden, and what the service
    raises."""
    await require_proven_bookkeeper(session)
    key = _known(exception, "exception")
    async with writing(session):
        await (ledger_decisions.accept if accepts else ledger_decisions.decline)(session, key, reason)
    return key


def _known(key: UUID | None, noun: str) -> UUID:
    if key is None:
        raise NotFound(f"There is no such {noun}.", (f"{noun}Id",))
    return key


def _click(text: str) -> UUID:
    click = decode_token(text.strip().rpartition("/")[2].lower())
    if click is None:
        raise Invalid(
            f"{text[:100]!r} is not the token of a tracked link: the {TOKEN_LENGTH} letters and digits after `/r/`.",
            ("clickToken",),
        )
    return click
