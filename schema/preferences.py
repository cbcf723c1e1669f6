"""Preferences derived from swipes."""

from __future__ import annotations

from datetime import datetime

import msgspec
import strawberry

from schema.node import RowNode, column, row
from schema.products import Money

MAX_AFFINITIES = 50  # as the view user_preferences has


@strawberry.type(description="How much a person likes a category, a brand or a style.")
class Affinity:
    slug: str = strawberry.field(description="Of the category or brand; the tag itself for a style.")
    name: str = strawberry.field(description="As shown to people.")
    score: float = strawberry.field(description="-1 (avoids) to 1 (loves); near 0 while little is known.")


def _affinities(jsonb: str) -> list[Affinity]:
    return msgspec.json.decode(jsonb, type=list[Affinity])


@row("public.user_preferences", owner="user_id")
@strawberry.type(
    description="A person's preferences, derived from their swipes, without those for somebody else in the gift finder."
)
class Preferences(RowNode):
    categories: list[Affinity] = column(
        f"Strongest first; the {MAX_AFFINITIES} that say most.",
        "category_preferences",
        read=_affinities,
        is_jsonb=True,
        limit=MAX_AFFINITIES,
    )
    brands: list[Affinity] = column(
        f"Strongest first; the {MAX_AFFINITIES} that say most.",
        "brand_preferences",
        read=_affinities,
        is_jsonb=True,
        limit=MAX_AFFINITIES,
    )
    styles: list[Affinity] = column(
        f"Product tags, strongest first; the {MAX_AFFINITIES} that say most.",
        "style_preferences",
        read=_affinities,
        is_jsonb=True,
        limit=MAX_AFFINITIES,
    )
    min_price: Money | None = column(
        "Nine in ten liked products cost more; null before three likes.",
        "min_price_minor",
        "price_currency",
        read=Money.of,
    )
    max_price: Money | None = column(
        "Nine in ten liked products cost less; null before three likes.",
        "max_price_minor",
        "price_currency",
        read=Money.of,
    )
    total_swipes: int = column("All swipes for themselves that were not undone.")
    right_swipes: int = column("Likes and super-likes among them.")
    confidence: float = column("0 to 1: grows with the number of products judged.")
    updated_at: datetime = column("When the person last swiped or undid a swipe.")
