"""Links to shops, as administrators give them."""

from __future__ import annotations

from uuid import UUID

from db.session import Session
from db.shop_links import shop_of
from domain.errors import Invalid
from domain.hosts import BadAddress
from domain.links import read_link
from domain.texts import require_no_nul

MAX_URL = 2048


async def require_link(session: Session, retailer: UUID, url: str, name: str) -> str:
    """The link as it is stored. Raises Invalid, of the field `name`, if its host is neither the shop's nor its
    network's."""
    require_no_nul(url, (name,))
    shop = await session.fetchrow("affiliate_networks.shop", retailer_id=retailer)
    assert shop is not None  # the caller has looked it up
    try:
        link = read_link(url, shop_of(shop)).url
    except BadAddress as reason:
        raise Invalid(f"This link is refused: {reason}.", (name,)) from None
    if len(link) > MAX_URL:
        raise Invalid(f"`{name}` has {len(link)} characters: at most {MAX_URL}.", (name,))
    return link
