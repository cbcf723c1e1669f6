"""What explains recommendations: the rows of recommendations.ranked, as terms of a score and as the probability of a
like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.session import Session
from domain import recommendations as domain
from domain.confidence import Calibration, probability
from domain.personality import TRAITS
from domain.reasons import Liked, Named, Opinion, Terms
from services.services import Services

MAX_CALIBRATIONS = 8  # in memory
SPAN = 0.5  # a score is BASE and SPAN times its parts, as in recommendations.ranked
TRAIT_SPAN = SPAN / 2  # as a product's traits add up to 2 at most


class Shared(msgspec.Struct, frozen=True, dict=True, rename="camel"):
    """What is the same for each row of recommendations.ranked, which the first of them has. `liked`: numbers of
    products, of products that the person liked, and what the latter add to the former. `taken`: what disliked products
    add, by number. `opinions`: of facets, -1..1, and the number of the product that says most. `products`: id, name
    and direction of liked products, by number."""

    model: int
    trained: int | None
    until: datetime
    is_personal: bool
    is_whole: bool
    events: int
    likes: int
    kind: str
    has_quiz: bool
    leanings: list[float]
    personality: float
    crowd: float
    content: float
    boost: float
    per_point: float | None
    category: float
    brand: float
    tags: float
    liked: tuple[list[int] | None, list[int] | None, list[float] | None]
    taken: dict[int, float] | None
    opinions: dict[int, tuple[float, int | None]] | None
    products: dict[int, tuple[UUID, str, str | None]] | None
    categories: dict[UUID, Named]
    brands: dict[UUID, Named] | None
    tag_names: dict[int, str] | None

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Shared:
        """Of the rows of a page, of which there is one at least."""
        return msgspec.json.decode(rows[0]["shared"], type=cls)

    @cached_property
    def liked_by_number(self) -> dict[int, list[Liked]]:
        """Per product the liked products that add to it."""
        found: dict[int, list[Liked]] = {}
        products = self.products or {}
        for target, source, term in zip(*(column or () for column in self.liked), strict=True):
            found.setdefault(target, []).append(Liked(*products[source], term))
        return found

    def opinions_of(self, facets: Sequence[int]) -> list[Opinion]:
        """What the person thinks of what a product is."""
        opinions, products, names = self.opinions or {}, self.products or {}, self.tag_names or {}
        found = []
        for place, facet in enumerate(facets, 1):
            if facet in opinions:
                score, number = opinions[facet]
                because = None if number is None else products[number][1]
                found.append(Opinion(place, score, because, names.get(facet) if place > 2 else None))
        return found


def terms_of(shared: Shared, row: asyncpg.Record) -> Terms:
    """The terms of a row of recommendations.ranked."""
    added = row["added"] or 0.0
    per_point = shared.per_point
    content = SPAN * shared.content
    return Terms(
        leanings=shared.leanings,
        traits=[row[trait] for trait in TRAITS],
        trait_weight=TRAIT_SPAN * shared.personality,
        popularity=row["liking"] if per_point is None else row["liking"] - added * per_point,
        popularity_weight=SPAN * shared.crowd,
        liked=shared.liked_by_number.get(row["number"], []),
        liked_weight=SPAN * shared.crowd * (per_point or 0.0),
        category=shared.categories[row["category_id"]],
        brand=(shared.brands or {}).get(row["brand_id"]),
        tag_count=len(row["facets"]) - 2,
        opinions=shared.opinions_of(row["facets"]),
        content_weights=(content * shared.category, content * shared.brand, content * shared.tags),
        boosted=SPAN * shared.boost * row["boosted"],
    )


async def calibration_of(session: Session, services: Services, trained: int | None) -> Calibration | None:
    """How a trained model gives probabilities; None without one."""
    if trained is None:
        return None
    known = services.calibrations
    if trained not in known:
        if len(known) >= MAX_CALIBRATIONS:
            known.clear()
        stored = await session.fetchval("trained_models.calibration", version=trained)
        known[trained] = Calibration.from_json(msgspec.json.decode(stored)) if stored not in (None, "{}") else None
    return known[trained]


def confidence_of(shared: Shared, row: asyncpg.Record, calibration: Calibration | None) -> float:
    """Of a row of recommendations.ranked."""
    if calibration is None:
        return domain.confidence_of(row["score"], shared.events, shared.has_quiz)
    chance = probability(
        calibration,
        shared.kind,
        product_rate=row["like_rate"],
        liked=shared.likes,
        disliked=shared.events - shared.likes,
        added=row["added"] or 0.0,
        taken=(shared.taken or {}).get(row["number"], 0.0),
    )
    return round(chance, 4)
