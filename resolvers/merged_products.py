"""Merging and splitting products by hand: docs/decisions/0013-offers.md."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.changes import EVERYBODY
from db.session import Session
from domain.errors import Invalid, NotFound, ProductNotFound
from resolvers.catalogue import require_proven_administrator, writing


@dataclass(frozen=True, slots=True)
class Merged:
    """`product` stays; `merged` leads to it, or is None if both were one product before."""

    product: UUID
    merged: UUID | None


@dataclass(frozen=True, slots=True)
class Split:
    """`listings`, if any, are products of their own again, no longer part of `product`."""

    product: UUID
    listings: tuple[UUID, ...]


async def merge(session: Session, one: UUID | None, other: UUID | None, *, into: bool = False) -> Merged:
    """Merges two products, with their offers and what people did with them. The older stays, or with `into` the other.
    Raises Forbidden, ProductNotFound, or Invalid for one product given twice."""
    await require_proven_administrator(session)
    if one is not None and one == other:
        raise Invalid("`productId` and `intoId` are the same product: a merge needs two.", ("intoId",))
    await session.fetch("product_offers.lock")
    for field, product in (("productId", one), ("intoId", other)):
        if await session.fetchrow("product_offers.find", id=product) is None:
            raise ProductNotFound((field,))
    async with writing(session):
        row = await session.fetchrow("products.merge", one=one, other=other, into=into)
    assert row is not None  # the function returns one row
    if row["outcome"] == "unknown":
        raise ProductNotFound
    if row["outcome"] == "merged":
        session.note_change("feeds", EVERYBODY)
    return Merged(row["product_id"], row["merged_id"])


async def split(session: Session, product: UUID | None, offer: UUID | None = None) -> Split:
    """Splits off a merged listing, or all that were merged into a product, or the listing of this `offer` of the
    product; equal GTINs do not merge these again. Raises Forbidden, ProductNotFound, or, of an offer, NotFound and
    Invalid."""
    await require_proven_administrator(session)
    await session.fetch("product_offers.lock")
    known = await session.fetchrow("product_offers.find", id=product)
    if known is None:
        raise ProductNotFound
    if offer is not None:
        offered = await session.fetchrow("product_offers.find", id=offer)
        if offered is None or offered["product_id"] != known["product_id"]:
            raise NotFound("The product has no such offer.", ("offerId",))
        if offer == known["product_id"]:
            raise Invalid("This is the product's own offer: split off the others.", ("offerId",))
    async with writing(session):
        rows = await session.fetch("products.split", id=offer or product)
    if rows[0]["outcome"] == "unknown":
        raise ProductNotFound
    if rows[0]["outcome"] == "split":
        session.note_change("feeds", EVERYBODY)
    return Split(rows[0]["product_id"], tuple(row["split_id"] for row in rows if row["split_id"] is not None))
