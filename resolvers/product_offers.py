"""Offers of products: reading them and their price histories, and writing them by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg

from db.session import Session
from domain import money
from domain.errors import Conflict, Invalid, NotFound, ProductNotFound
from domain.texts import require_no_nul
from resolvers.catalogue import once_for_administrator, require_proven_administrator, writing
from resolvers.links import require_link
from resolvers.products import price_in, text_of

Rows = list[list[asyncpg.Record]]

# What imports leave once an administrator has set it; inactive: they do not bring the offer back. Price and stock are
# the shop's to say.
EDITABLE = ("link", "shipping", "inactive")


async def of_products(session: Session, product_ids: Sequence[UUID], size: int, *, all: bool = False) -> Rows:
    """The offers of each product, cheapest first, other currencies than its own last; `all`: then those that are not
    active."""
    found = await session.fetch("product_offers.of_products", product_ids=list(product_ids), size=size, all=all)
    return _by("product_id", product_ids, found)


async def price_history(session: Session, product_ids: Sequence[UUID], size: int) -> Rows:
    """The latest prices of each product over all retailers, newest first."""
    found = await session.fetch("product_prices.newest", product_ids=list(product_ids), size=size)
    return _by("of_product", product_ids, found)


async def price_history_of_offers(session: Session, offer_ids: Sequence[UUID], size: int) -> Rows:
    """The latest prices of each offer, newest first."""
    found = await session.fetch("product_prices.newest_of_offers", offer_ids=list(offer_ids), size=size)
    return _by("product_id", offer_ids, found)


def _by(column: str, keys: Sequence[UUID], rows: Sequence[asyncpg.Record]) -> Rows:
    found: dict[UUID, list[asyncpg.Record]] = {key: [] for key in keys}
    for row in rows:
        found[row[column]].append(row)
    return [found[key] for key in keys]


@dataclass(frozen=True, slots=True)
class NewOffer:
    """What a shop asks for a product that is in the catalogue. `external_id`: the shop's own id of its listing."""

    product: UUID | None
    retailer_slug: str
    external_id: str
    url: str
    price: Decimal
    currency: str
    shipping: Decimal | None = None
    in_stock: bool = True


@dataclass(frozen=True, slots=True)
class OfferChanges:
    """None leaves a value unchanged; `set_shipping` marks an explicit null, which clears it."""

    price: Decimal | None = None
    currency: str | None = None
    shipping: Decimal | None = None
    set_shipping: bool = False
    in_stock: bool | None = None
    url: str | None = None
    is_active: bool | None = None
    follow_feed: Sequence[str] = ()  # of EDITABLE: imports set these again

    @property
    def edited(self) -> list[str]:
        """What imports leave from now on."""
        given = (self.url is not None, self.set_shipping, self.is_active is False)
        return [name for name, is_given in zip(EDITABLE, given, strict=True) if is_given]

    @property
    def released(self) -> list[str]:
        """What imports set again."""
        return [*self.follow_feed, *(["inactive"] if self.is_active else [])]


async def create(session: Session, new: NewOffer, idempotency_key: str | None = None) -> UUID:
    """Adds an offer to a product. Raises Forbidden, Invalid, ProductNotFound, or Conflict if the shop already has a
    listing with this external id."""
    await require_proven_administrator(session)
    request = {name: str(getattr(new, name)) for name in new.__dataclass_fields__}
    return await once_for_administrator(session, "createOffer", idempotency_key, request, lambda: _create(session, new))


async def _create(session: Session, new: NewOffer) -> UUID:
    require_no_nul(new.retailer_slug, ("retailerSlug",))
    values = {
        "external_id": text_of(new.external_id, "externalId", 200),
        "price_minor": price_in(new.price, new.currency),
        "currency": new.currency,
        "shipping_minor": _shipping(new.shipping, new.currency),
        "in_stock": new.in_stock,
    }
    retailer = await session.fetchrow("retailers.find", id=None, slug=new.retailer_slug)
    if retailer is None:
        raise Invalid(f"There is no retailer with the slug {new.retailer_slug[:100]!r}.", ("retailerSlug",))
    url = await require_link(session, retailer["id"], new.url, "url")
    await session.fetch("product_offers.lock")
    product = await session.fetchrow("product_offers.find", id=new.product)
    if product is None:
        raise ProductNotFound
    async with writing(session):
        offer: UUID | None = await session.fetchval(
            "product_offers.create", product_id=product["product_id"], retailer_id=retailer["id"], url=url, **values
        )
    if offer is None:
        raise Conflict(
            "This retailer already has a product with this external id; merge that into the product.", ("externalId",)
        )
    return offer


async def update(session: Session, offer: UUID | None, changes: OfferChanges) -> UUID:
    """Raises Forbidden, Invalid or NotFound."""
    await require_proven_administrator(session)
    await session.fetch("product_offers.lock")
    was = await session.fetchrow("product_offers.find", id=offer)
    if was is None:
        raise NotFound("There is no such offer.", ("id",))
    currency = was["currency"] if changes.currency is None else changes.currency
    if currency != was["currency"]:
        money.exponent_of(currency, ("currencyCode",))
        if changes.price is None:
            raise Invalid(f"Give the price in {currency[:3]}, too.", ("price",))
        if was["shipping_minor"] is not None and not changes.set_shipping:
            raise Invalid(f"Give the shipping in {currency[:3]}, too, or null.", ("shipping",))
    url = None if changes.url is None else await require_link(session, was["retailer_id"], changes.url, "url")
    async with writing(session):
        updated: UUID | None = await session.fetchval(
            "product_offers.update",
            id=offer,
            price_minor=None if changes.price is None else price_in(changes.price, currency),
            currency=currency,
            shipping_minor=_shipping(changes.shipping, currency),
            set_shipping=changes.set_shipping,
            in_stock=changes.in_stock,
            url=url,
            is_active=changes.is_active,
            edited=changes.edited,
            released=changes.released,
        )
    if updated is None:
        raise NotFound("There is no such offer.", ("id",))
    return updated


def _shipping(amount: Decimal | None, currency: str) -> int | None:
    return None if amount is None else money.to_minor(amount, currency, ("shipping",))
