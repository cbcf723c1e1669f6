"""Somebody who has only answered the quiz gets a personal first feed: on the demo's catalogue, and in production on
feeds of shops that know nothing of personalities."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import demo, reference
from domain.personality import TRAITS
from tests.first_feeds import crowd, feed_of, import_feed, opposites, person, spearman, write_google_feed

AWIN_CATEGORIES = (
    "Home & Garden > Barbecues & Accessories", "Home & Garden > Bedding & Linen", "Jewellery > Women's Jewellery",
    "Toys > Games & Puzzles", "Sports > Cycling", "Books > Children's Books", "Health & Beauty > Perfume",
    "Gifts > Experience Days", "Gifts > Flowers", "Food & Drink > Chocolate", "Food & Drink > Wine", "Pets > Dogs",
    "Electronics > Cameras", "Computers > Laptops", "Clothing > Men's Shirts", "Arts & Crafts > Knitting",
    "DIY > Tools", "Travel > Luggage", "Tickets > Theatre", "Musical Instruments > Guitars",
)  # fmt: skip
UNMAPPED = """
select count(*) filter (where c.taxonomy_id is null)::float / count(*)
from public.products p join public.categories c on c.id = p.category_id where p.is_active
"""

PLACED_BY_GOOGLE = (
    "select count(*) from public.categories where taxonomy_source = 'google' and slug in ('gifts', 'sports')"
)


async def fill_demo(owner: asyncpg.Connection[Any], folder: Path) -> None:
    assert await demo.load_catalogue(owner)


async def fill_google(owner: asyncpg.Connection[Any], folder: Path) -> None:
    lines = write_google_feed(folder / "feed.tsv")
    assert (await import_feed(owner, folder / "feed.tsv", "google_merchant")).inserted == lines


@pytest.fixture(params=[fill_demo, fill_google], ids=["demo", "google feed"])
async def stocked(
    owner: asyncpg.Connection[Any], tmp_path: Path, request: pytest.FixtureRequest
) -> asyncpg.Connection[Any]:
    await request.param(owner, tmp_path)
    return owner


async def test_opposite_quizzes_give_other_feeds(stocked: asyncpg.Connection[Any]) -> None:
    shared = []
    for one, other in opposites():
        feeds = [set(await feed_of(stocked, await person(stocked, scores), 10)) for scores in (one, other)]
        shared.append(len(feeds[0] & feeds[1]))
    assert max(shared) <= 3


async def test_equal_quizzes_give_equal_feeds(stocked: asyncpg.Connection[Any]) -> None:
    for scores in crowd(3):
        feeds = [await feed_of(stocked, await person(stocked, scores)) for _ in range(2)]
        assert feeds[0] == feeds[1]


async def test_answers_that_nobody_read_order_what_nothing_else_does(
    owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    """All products of this feed are as popular as each other."""
    await fill_google(owner, tmp_path)
    people = [await person(owner, scores) for scores in opposites()[0]]
    await owner.execute("update public.personality_assessment_history set confidence_level = 0")
    one, other = [set(await feed_of(owner, user, 10)) for user in people]
    assert len(one & other) <= 3


async def test_feeds_differ_as_people_do(stocked: asyncpg.Connection[Any]) -> None:
    people = crowd(200)
    feeds = [set(await feed_of(stocked, await person(stocked, scores))) for scores in people]
    pairs = list(itertools.combinations(range(len(people)), 2))
    far = [math.dist([people[a][t] for t in TRAITS], [people[b][t] for t in TRAITS]) for a, b in pairs]
    unlike = [1 - len(feeds[a] & feeds[b]) / 20 for a, b in pairs]
    assert spearman(far, unlike) > 0.4


async def test_a_google_feed_is_mapped_by_names_numbers_and_paths(
    owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    await fill_google(owner, tmp_path)
    assert await owner.fetchval(UNMAPPED) == 0
    rows = await owner.fetch(
        "select c.slug, g.slug as gift, c.taxonomy_source from public.categories c"
        " join public.gift_categories g on g.id = c.taxonomy_id"
    )
    found = {row["slug"]: (row["gift"], row["taxonomy_source"]) for row in rows}
    assert found["outdoor-camping-hiking-tents"] == ("camping-hiking", "rule")
    assert found["spielzeug-puppen"] == ("childrens-toys", "rule")
    assert found["sale-new-in"] == ("cycling-active", "google"), "the name says nothing, the number does"
    assert found["gifts"] == ("travel-gear", "google"), "the name says little, the number more"
    assert found["sports"] == ("cycling-active", "google")
    assert found["gifts-for-him"] == ("personalised-keepsakes", "rule"), "little is known, and no number"
    assert found["skydiving-vouchers"] == ("adventure-days", "rule"), "the experience, not the paper"
    await reference.load(owner)
    assert await owner.fetchval(PLACED_BY_GOOGLE) >= 2, "a load keeps what the numbers said"
    assert found["media-books-philosophy"] == ("history-ideas-books", "rule"), "the name says more than the number"
    assert found["camping-hiking"] == ("camping-hiking", "rule"), "placed by the number alone"
    assert found["toys-games-games-card-games"] == ("party-games", "rule"), "its path is its category"


async def test_an_awin_feed_is_mapped_by_names(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    with gzip.open(tmp_path / "awin.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("aw_product_id", "merchant_name", "product_name", "aw_deep_link", "search_price", "currency",
                         "merchant_product_category_path"))  # fmt: skip
        for number, category in enumerate(AWIN_CATEGORIES):
            url = f"https://www.awin1.com/pclick.php?p={number}"
            writer.writerow((number, "A Shop", f"Thing {number}", url, "9.99", "GBP", category))
    await import_feed(owner, tmp_path / "awin.csv.gz", "awin")
    assert await owner.fetchval(UNMAPPED) == 0


@pytest.mark.parametrize("data", ["aws_retail_demo", "dummyjson"])
async def test_catalogues_of_real_shops_are_mapped(
    owner: asyncpg.Connection[Any], shared_data: Path, data: str
) -> None:
    await import_feed(owner, shared_data / "catalogue" / f"{data}_products.jsonl.gz", data)
    assert await owner.fetchval(UNMAPPED) <= 0.05
