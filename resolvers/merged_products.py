"""Merging and splitting products by hand: docs/decisions/0013-offers.md."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.changes import EVERYBODY
from db.session import Session
from domain.errors import Conflict, ProductNotFound


@dataclass(frozen=True, slots=True)
class Merged:
    """`product` stays, the older of both; `merged` leads to it."""

    product: UUID
    merged: UUID


@dataclass(frozen=True, slots=True)
class Split:
    """`listings` are products of their own again, no longer part of `product`."""

    product: UUID
    listings: tuple[UUID, ...]


async def merge(session: Session, one: UUID, other: UUID) -> Merged:
    """Merges two products, with their offers and what people did with them. The session is service_role's: who may do
    this is the caller's to check. Raises ProductNotFound, or Conflict if they are one already."""
    row = await session.fetchrow("products.merge", one=one, other=other)
    assert row is not None  # the function returns one row
    if row["outcome"] == "unknown":
        raise ProductNotFound
    if row["outcome"] == "same":
        raise Conflict("These are one product already.")
    session.note_change("feeds", EVERYBODY)
    return Merged(row["product_id"], row["merged_id"])


async def split(session: Session, product: UUID) -> Split:
    """Splits a merged listing off its product, or all of a product; equal GTINs do not merge these again. As `merge`.
    Raises ProductNotFound, or Conflict if nothing was merged."""
    rows = await session.fetch("products.split", id=product)
    if rows[0]["outcome"] == "unknown":
        raise ProductNotFound
    if rows[0]["outcome"] == "whole":
        raise Conflict("Nothing was merged into this product.")
    session.note_change("feeds", EVERYBODY)
    return Split(rows[0]["product_id"], tuple(row["split_id"] for row in rows))
