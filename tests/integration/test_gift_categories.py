"""How a feed's own words, an administrator and Google decide what kind of gift a shop's category is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.product_imports import import_products
from db.queries import QUERIES
from domain.feed_mappings import ImportFailed, Shop, parse_mapping
from tests.first_feeds import MAPPINGS

SHOP = Shop(slug="kinds", domain="shop.example", currency="GBP")
GOOGLE = (MAPPINGS / "google_merchant.toml").read_text()
FOUND = """
select c.slug, g.slug as gift, c.taxonomy_source as source
from public.categories c left join public.gift_categories g on g.id = c.taxonomy_id where c.slug <> 'uncategorised'
"""
PLACE = (
    "update public.categories set taxonomy_id = (select id from public.gift_categories where slug = $2) where slug = $1"
)


async def import_kinds(
    owner: asyncpg.Connection[Any], folder: Path, kinds: list[tuple[str, str]], categories: str = ""
) -> dict[str, tuple[str | None, str | None]]:
    """Imports a product per (product_type, Google's number); what is known of each category then."""
    lines = ["id\ttitle\tlink\tprice\tproduct_type\tgoogle_product_category"]
    lines += [f"{i}\tThing\thttps://shop.example/{i}\t9.99 GBP\t{kind}\t{n}" for i, (kind, n) in enumerate(kinds)]
    (folder / "feed.tsv").write_text("\n".join(lines) + "\n")
    mapping = parse_mapping(GOOGLE.replace("[categories]\n", f"[categories]\n{categories}\n"), SHOP)
    await import_products(owner, folder / "feed.tsv", mapping, force=True)
    return {row["slug"]: (row["gift"], row["source"]) for row in await owner.fetch(FOUND)}


async def test_the_words_of_a_mapping_come_first(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    kinds = [("Tents", "784"), ("Frobs", "784"), ("Corner > Odd bits", "")]
    assert await import_kinds(owner, tmp_path, kinds) == {
        "tents": ("camping-hiking", "rule"), "frobs": ("books-various", "google"), "corner": (None, None),
        "corner-odd-bits": (None, None),
    }  # fmt: skip
    words = '"tents" = "outdoor-living"\n"frob*" = "tools-diy"\n"corner" = "baking"'
    assert await import_kinds(owner, tmp_path, kinds, words) == {
        "tents": ("outdoor-living", "feed"), "frobs": ("tools-diy", "feed"), "corner": (None, None),
        "corner-odd-bits": ("baking", "feed"),
    }  # fmt: skip


async def test_what_an_administrator_chose_stays(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    await import_kinds(owner, tmp_path, [("Tents", "784")])
    await owner.execute(PLACE, "tents", "baking")
    for words in ("", '"tents" = "outdoor-living"'):
        assert await import_kinds(owner, tmp_path, [("Tents", "784")], words) == {"tents": ("baking", "admin")}
    await owner.execute(PLACE, "tents", None)
    assert await import_kinds(owner, tmp_path, [("Tents", "784")]) == {"tents": ("camping-hiking", "rule")}


async def test_another_feed_leaves_what_a_mapping_chose(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    await import_kinds(owner, tmp_path, [("Tents", "")], '"tents" = "baking"')
    for words, chosen in (
        ("", "baking"),
        ('"frobs" = "baking"', "baking"),
        ('"tents" = "outdoor-living"', "outdoor-living"),
    ):
        assert await import_kinds(owner, tmp_path, [("Tents", "")], words) == {"tents": (chosen, "feed")}


async def test_rules_choose_again_where_the_gift_category_of_a_feed_is_removed(
    owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    words = '"tents" = "baking"'
    assert await import_kinds(owner, tmp_path, [("Tents", "")], words) == {"tents": ("baking", "feed")}
    async with owner.transaction():  # as a load of other files does
        await owner.execute(QUERIES["reference.begin"].sql)
        await owner.execute("delete from public.gift_categories where slug = 'baking'")
        await owner.execute(QUERIES["reference.map_categories"].sql)
    assert [tuple(row) for row in await owner.fetch(FOUND)] == [("tents", "camping-hiking", "rule")]


async def test_most_products_decide_for_google(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    kinds = [("Frobs", "784"), ("Frobs", "1025"), ("Frobs", "1025"), ("Frobs", "")]
    assert await import_kinds(owner, tmp_path, kinds) == {"frobs": ("cycling-active", "google")}


async def test_a_gift_category_that_is_none_is_refused(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="'nothing', which is no gift category"):
        await import_kinds(owner, tmp_path, [("Tents", "")], '"tents" = "nothing"')
    assert await owner.fetchval("select count(*) from public.products") == 0


def test_a_pattern_that_is_no_word_is_refused() -> None:
    for pattern in ("", "*", "Tents", "a%", "te*nts", "a--b"):
        with pytest.raises(ImportFailed, match="kebab-case"):
            parse_mapping(GOOGLE.replace("[categories]\n", f"[categories]\n\"{pattern}\" = 'baking'\n"), SHOP)


async def test_what_is_not_mapped_is_listed_by_products(owner: asyncpg.Connection[Any], tmp_path: Path) -> None:
    await import_kinds(owner, tmp_path, [("Corner > Odd bits", ""), ("Frobs", ""), ("Frobs", ""), ("Tents", "")])
    rows = await owner.fetch(QUERIES["product_imports.unmapped"].sql, 10)
    assert [tuple(row) for row in rows] == [("Frobs", 2), ("Corner > Odd bits", 1)]
