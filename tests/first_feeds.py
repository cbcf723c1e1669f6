"""People of given traits and what they are shown first, straight from the ranking."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from db.product_imports import ImportReport, import_products, load_mapping
from db.queries import QUERIES
from domain.feed_mappings import Shop
from domain.personality import TRAITS

MAPPINGS = Path(__file__).resolve().parent.parent / "catalogue" / "mappings"
SHOP = Shop(slug="first-shop", domain="shop.example", currency="GBP")
DISCOVER = QUERIES["recommendations.discover"].fill(filters="true")

# product_type, google_product_category: names of shops, numbers, both, and paths.
GOOGLE_FEED = (
    ("Outdoor > Camping & Hiking > Tents", ""), ("", "1013"), ("Sale > New in", "1025"), ("", "499844"),
    ("Sporting Goods > Fitness & Yoga", ""), ("Summer specials", "5181"), ("Luggage > Suitcases", "5181"),
    ("Media > Books > Philosophy", "784"), ("", "784"), ("Bestsellers", "784"), ("Books > Popular Science", ""),
    ("Toys & Games > Games > Board Games", "1246"), ("", "3867"), ("Toys & Games > Educational Toys", ""),
    ("", "Toys & Games > Games > Card Games"), ("Game night", "1247"), ("Party Supplies", ""), ("", "96"),
    ("Food > Gift Baskets", "136"), ("Food > Chocolate", ""), ("", "649"), ("Wine", "421"),
    ("Home & Garden > Kitchen & Dining > Cookware", ""), ("", "730"), ("Home & Garden > Storage & Organization", ""),
    ("Hardware > Tools", ""), ("", "1167"), ("Workshop corner", "632"), ("Home & Garden > Decor > Vases", ""),
    ("Home & Garden > Decor > Artwork", ""), ("", "Arts & Entertainment > Hobbies & Creative Arts > Arts & Crafts"),
    ("Craft Kits", ""), ("", "505372"), ("Musical Instruments > Guitars", ""), ("Office Supplies > Stationery", ""),
    ("Apparel & Accessories > Jewelry > Necklaces", "196"), ("", "201"), ("Schuhe", ""), ("Spielzeug > Puppen", ""),
    ("Electronics > Audio > Headphones", ""), ("", "152"), ("Cameras & Optics > Cameras", "142"),
    ("Health & Beauty > Skin Care", ""), ("", "588"), ("Experiences > Adventure Days", ""), ("Theatre tickets", ""),
    ("Gifts", "5181"), ("Sports", "1025"), ("Gifts For Him", ""), ("Skydiving Vouchers", "53"), ("Sketchbooks", ""),
)  # fmt: skip


def write_google_feed(path: Path, per_category: int = 4) -> int:
    """A Google Merchant feed of this many products per entry of GOOGLE_FEED; how many lines."""
    lines = ["id\ttitle\tdescription\tlink\timage_link\tprice\tavailability\tproduct_type\tgoogle_product_category"]
    for number, (kind, google) in enumerate(GOOGLE_FEED):
        for i in range(per_category):
            url = f"https://shop.example/{number}/{i}"
            price = f"{10 + 3 * i}.00 GBP"
            lines.append(
                f"{number}-{i}\tThing {number} {i}\tA thing.\t{url}\t{url}.jpg\t{price}\tin stock\t{kind}\t{google}"
            )
    path.write_text("\n".join(lines) + "\n")
    return len(lines) - 1


async def import_feed(owner: asyncpg.Connection[Any], path: Path, mapping: str) -> ImportReport:
    return await import_products(
        owner, path, load_mapping(MAPPINGS / f"{mapping}.toml", SHOP if mapping == "google_merchant" else Shop())
    )


async def person(owner: asyncpg.Connection[Any], scores: Mapping[str, float]) -> UUID:
    """Somebody whose only act was a quiz with these scores."""
    user = uuid4()
    await owner.execute("insert into public.profiles (id, is_anonymous) values ($1, true)", user)
    await owner.execute(
        """
        insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, primary_type,
          assessment_trigger, questions_answered, confidence_level)
        values ($1, '{}', $2::text::jsonb, $3, 'initial', 20, 0.9)
        """,
        user,
        json.dumps(scores),
        max(scores, key=lambda trait: scores[trait]),
    )
    return user


async def feed_of(owner: asyncpg.Connection[Any], user: UUID, size: int = 20) -> list[UUID]:
    """The first products of a person's feed."""
    model = await owner.fetchval("select max(version) from public.recommendation_models")
    until = await owner.fetchval("select clock_timestamp()")
    sql, arguments = DISCOVER.statement(
        user_id=user, until=until, model=model, size=size, after_score=None, after_id=None
    )
    return [row["product_id"] for row in await owner.fetch(sql, *arguments)]


def opposites() -> list[tuple[dict[str, float], dict[str, float]]]:
    """Every extreme of five traits and its opposite."""
    ways = [dict(zip(TRAITS, way, strict=True)) for way in itertools.product((10.0, 90.0), repeat=len(TRAITS))]
    return [(way, {trait: 100 - score for trait, score in way.items()}) for way in ways if way["adventurous"] > 50]


def crowd(count: int, seed: int = 7) -> list[dict[str, float]]:
    """People whose percentiles are uniform and independent."""
    chance = random.Random(seed)
    return [{trait: round(chance.uniform(0, 100), 2) for trait in TRAITS} for _ in range(count)]


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    for _, group in itertools.groupby(enumerate(order), key=lambda place: values[place[1]]):
        tied = list(group)
        mean = sum(place for place, _ in tied) / len(tied)
        for _, index in tied:
            ranks[index] = mean
    return ranks


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Rank correlation, with mean ranks for ties."""
    a, b = _ranks(x), _ranks(y)
    mean = (len(a) - 1) / 2
    covariance = sum((p - mean) * (q - mean) for p, q in zip(a, b, strict=True))
    spread = sum((p - mean) ** 2 for p in a) * sum((q - mean) ** 2 for q in b)
    return float(covariance / spread**0.5)
