"""How products suit the caller's personality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.session import Session
from domain.personality import TRAITS


@dataclass(frozen=True, slots=True)
class Match:
    """`match` is 0..1, 0.5 is neither; `terms` are (trait, what it adds to 0.5), the largest first."""

    match: float
    terms: Sequence[tuple[str, float]]


async def of_products(session: Session, product_ids: Sequence[UUID]) -> list[Match | None]:
    """A match for each product, or None for callers without a personality: nobody asks for another person."""
    subject = session.claims.subject
    if subject is None:
        return [None] * len(product_ids)
    rows = await session.fetch("product_matches.of_products", user_id=subject, product_ids=list(product_ids))
    found = {
        row["product_id"]: Match(
            row["match"], sorted(zip(TRAITS, row["terms"], strict=True), key=lambda term: -abs(term[1]))
        )
        for row in rows
    }
    return [found.get(product) for product in product_ids]
