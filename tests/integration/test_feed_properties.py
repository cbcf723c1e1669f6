"""Imports of generated feeds: nothing is lost, nothing invented, a second import writes nothing, an edit one row."""

from __future__ import annotations

import csv
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from db.product_imports import ImportReport, import_products
from domain.currencies import EXPONENTS
from domain.feed_mappings import Mapping, parse_mapping

SCRIPTS = ("Teekanne größe Ål", "чайник синий Йод", "お茶 急須 が", "قهوة بن", "τσάι Ζυγός", "녹차 세트")
SIGNS = ["", '"', '""', ',"', "' ", " & ", " <3 ", ' 12" x 8"', ";", " #1", "\u00a0", "&amp;amp;"]
# Decimal sign, thousands separator.
NOTATIONS: tuple[tuple[str, str], ...] = ((".", ""), (",", ""), (",", "."), (".", ","), (",", " "))
CURRENCIES = ("EUR", "JPY", "KWD", "UAH", "CLP")
COLUMNS = ("id", "shop", "title", "brand", "price", "link", "kind")


class Feed:
    """Rows of a feed, what they mean, and faults strewn in: a price that is none, a line with more fields."""

    def __init__(self, seed: int, size: int = 120) -> None:
        self.chance = random.Random(seed)
        self.notation = NOTATIONS[seed % len(NOTATIONS)]
        self.rows: list[dict[str, str]] = []
        self.truth: dict[tuple[str, str], tuple[str, str | None, int, str]] = {}
        self.rejected = 0
        for number in range(size):
            self._add(number)

    def text(self) -> str:
        words = [w for script in SCRIPTS for w in script.split()]
        return f"{self.chance.choice(words)}{self.chance.choice(SIGNS)}{self.chance.choice(words)}"

    def _add(self, number: int) -> None:
        currency, minor = self.chance.choice(CURRENCIES), self.chance.randint(1, 9_999_999)
        row = {
            "id": f"№{number}", "shop": self.chance.choice(("Магазин", "Shop & Co", "Shop + Co")), "title": self.text(),
            "brand": self.text() if self.chance.random() < 0.7 else "", "price": self.price(minor, currency),
            "link": f"https://shop.example/{number}", "kind": self.chance.choice(SCRIPTS),
        }  # fmt: skip
        if self.chance.random() < 0.1:
            row["price"] = "ask"
            self.rejected += 1
        else:
            brand = self.meant(row["brand"]) or None
            self.truth[row["shop"], row["id"]] = (self.meant(row["title"]), brand, minor, currency)
        self.rows.append(row)

    def price(self, minor: int, currency: str) -> str:
        point, group = self.notation
        exponent = EXPONENTS[currency]
        whole, part = divmod(minor, 10**exponent)
        text = f"{whole:,}".replace(",", group) + (f"{point}{part:0{exponent}d}" if exponent else "")
        return f"{text} {currency}"

    @staticmethod
    def meant(text: str) -> str:
        return " ".join(text.replace("&amp;", "&").split())

    @property
    def mapping(self) -> Mapping:
        point, group = self.notation
        return parse_mapping(f"""
            format = "csv"
            decimal = "{point}"
            {f'thousands = "{group}"' if group else ""}
            [fields]
            external_id = "id"
            retailer = "shop"
            name = "title"
            brand = "brand"
            price = "price"
            affiliate_url = "link"
            category = "kind"
            """)

    def write(self, path: Path, rows: list[dict[str, str]]) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def key_of_name(name: str | None) -> str | None:
    """Spellings of one brand become one, whose name is that of the first line."""
    if name is None:
        return None
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if c.isalnum() or c in "&+#")


@pytest.mark.parametrize("seed", range(5))
async def test_generated_feeds_come_in_whole(owner: Any, tmp_path: Path, seed: int) -> None:
    feed, path = Feed(seed), tmp_path / "feed.csv"

    async def load(rows: list[dict[str, str]]) -> ImportReport:
        feed.write(path, rows)
        return await import_products(owner, path, feed.mapping)

    report = await load(feed.rows)
    assert (report.read, report.rejected) == (len(feed.rows), feed.rejected)
    assert report.read == report.inserted + report.rejected
    stored = await owner.fetch(
        "select r.name as shop, p.external_id, p.name, b.name as brand, p.price_minor, p.currency from products p"
        " join retailers r on r.id = p.retailer_id left join brands b on b.id = p.brand_id"
    )
    found = {
        (row["shop"], row["external_id"]): (row["name"], key_of_name(row["brand"]), row["price_minor"], row["currency"])
        for row in stored
    }
    assert found == {key: (name, key_of_name(brand), *price) for key, (name, brand, *price) in feed.truth.items()}

    again = await load(feed.chance.sample(feed.rows, len(feed.rows)))
    assert (again.written, again.unchanged) == (0, report.inserted)

    edited = next(row for row in feed.rows if (row["shop"], row["id"]) in feed.truth)
    edited["title"] += " II"
    third = await load(feed.rows)
    assert (third.updated, third.written, third.unchanged) == (1, 1, report.inserted - 1)
