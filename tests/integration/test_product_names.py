"""Shops, brands and categories of feeds: different names stay apart, spellings of one name do not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from db.product_imports import ImportReport, import_products
from domain.feed_mappings import parse_mapping

MAPPING = """
format = "csv"
category_separator = ">"
[fields]
external_id = "id"
name = "name"
affiliate_url = "link"
price = "price"
brand = "brand"
category = "category"
retailer = "shop"
[constants]
currency = "GBP"
[retailer]
network = "awin"
"""


class Shops:
    """Imports a feed of several shops; a line is a shop, a brand and a category."""

    def __init__(self, owner: Any, folder: Path) -> None:
        self.owner = owner
        self.path = folder / "feed.csv"

    async def load(self, *lines: tuple[str, str, str], mapping: str = MAPPING) -> ImportReport:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "name", "link", "price", "shop", "brand", "category"))
            for shop, brand, category in lines:
                id = f"{brand}/{category}"
                writer.writerow((id, "Thing", "https://shop.example/", "5.00", shop, brand, category))
        return await import_products(self.owner, self.path, parse_mapping(mapping))

    async def names(self, table: str) -> list[str]:
        rows = await self.owner.fetch(f"select name from {table} where slug <> 'uncategorised'")
        return sorted(row["name"] for row in rows)


@pytest.fixture
def shops(owner: Any, tmp_path: Path) -> Shops:
    return Shops(owner, tmp_path)


APART = [
    "D++",
    "D#",
    "D",
    "Øland",
    "Land",
    "Роза",
    "Мята",
    "M&S",
    "M+S",
    "MS",
    "煎茶",
    "玉露",
    "Łąki",
    "Aki",
    "???",
    "!!!",
]


async def test_different_names_stay_apart_in_any_order(shops: Shops) -> None:
    lines = [(name, name, name) for name in APART]
    report = await shops.load(*lines)
    assert (report.inserted, report.rejected) == (len(APART), 0)
    for table in ("retailers", "brands"):
        assert await shops.names(table) == sorted(APART)
    assert await shops.names("categories") == sorted(set(APART) - {"???", "!!!"}), "a level needs a letter"
    before = await shops.owner.fetch("select id, slug, name from brands order by id")
    again = await shops.load(*reversed(lines))
    assert (again.unchanged, again.written) == (len(APART), 0)
    assert await shops.owner.fetch("select id, slug, name from brands order by id") == before


async def test_spellings_of_one_name_are_one(shops: Shops) -> None:
    names = ["Nestlé", "NESTLE", "nestle"]
    await shops.load(*((name, name, name) for name in names))
    for table in ("retailers", "brands", "categories"):
        assert await shops.names(table) == ["Nestlé"]
    assert await shops.owner.fetchval("select count(*) from products") == 3


async def test_a_slug_names_what_has_it(shops: Shops) -> None:
    await shops.load(("Marks & Spencer", "Ben & Jerry's", "Home & Garden"))
    report = await shops.load(("marks-spencer", "ben-jerrys", "home-garden"))
    assert report.inserted == 1, "another product of the same shop"
    for table in ("retailers", "brands", "categories"):
        assert len(await shops.names(table)) == 1


async def test_a_single_word_in_small_letters_may_be_the_slug_of_a_category(shops: Shops) -> None:
    await shops.owner.execute("insert into categories (name, slug) values ('Musical Instruments', 'instruments')")
    await shops.load(("Shop", "A", "instruments"), ("Shop", "B", "Instruments"))
    assert await shops.names("categories") == ["Instruments", "Musical Instruments"]


async def test_a_path_is_not_the_category_whose_slug_it_would_have(shops: Shops) -> None:
    await shops.load(("S", "a", "Home & Garden"), ("S", "b", "Home > Garden"), ("S", "c", "home > GARDEN"))
    rows = await shops.owner.fetch(
        "select c.name, p.name as parent, c.slug from categories c left join categories p on p.id = c.parent_id"
        " where c.slug <> 'uncategorised' order by c.id"
    )
    assert [(row["name"], row["parent"]) for row in rows] == [
        ("Home & Garden", None), ("Home", None), ("Garden", "Home"),
    ]  # fmt: skip
    assert rows[0]["slug"] == "home-garden"
    assert rows[2]["slug"].startswith("home-garden-")


async def test_two_lines_of_one_shop_are_duplicates_however_it_is_spelled(shops: Shops) -> None:
    report = await shops.load(("Café Noir", "x", "y"), ("CAFE NOIR", "x", "y"))
    assert (report.inserted, report.rejected) == (1, 1)


async def test_a_changed_network_is_applied_and_said(shops: Shops) -> None:
    await shops.load(("One", "x", "y"), ("Two", "x", "y"))
    changed = MAPPING.replace('"awin"', '"rakuten"')
    report = await shops.load(("One", "x", "y"), mapping=changed)
    assert (report.unchanged, report.networks) == (1, (("one", "awin", "rakuten"),))
    rows = await shops.owner.fetch("select slug, affiliate_network from retailers")
    assert {row["slug"]: row["affiliate_network"] for row in rows} == {"one": "rakuten", "two": "awin"}
    assert (await shops.load(("One", "x", "y"), mapping=changed)).networks == ()
