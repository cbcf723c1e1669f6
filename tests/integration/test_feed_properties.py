"""Imports of generated feeds: nothing is lost, nothing invented, a second import writes nothing, an edit one row, and
all of it can be taken back."""

from __future__ import annotations

import csv
import json
import random
import unicodedata
from html import escape
from pathlib import Path
from typing import Any

import pytest

from db import import_runs
from db.product_imports import ImportReport, import_products
from domain.currencies import EXPONENTS
from domain.feed_mappings import Mapping, parse_mapping

SCRIPTS = ("Teekanne größe Ål", "чайник синий Йод", "お茶 急須 が", "قهوة بن", "τσάι Ζυγός", "녹차 세트")
SIGNS = ["", '"', '""', ',"', "' ", " & ", " <3 ", ' 12" x 8"', ";", " #1", "\u00a0", "&amp;amp;"]
# Decimal sign, thousands separator.
NOTATIONS: tuple[tuple[str, str], ...] = ((".", ""), (",", ""), (",", "."), (".", ","), (",", " "))
CURRENCIES = ("EUR", "JPY", "KWD", "UAH", "CLP")
COLUMNS = ("id", "shop", "title", "brand", "price", "link", "kind", "group", "size")
FORMATS = ("csv", "tsv", "jsonl", "json", "xml")


class Feed:
    """Rows of a feed, what they mean, and faults strewn in: a price that is none, a line with more fields."""

    def __init__(self, seed: int, format: str, size: int = 120) -> None:
        self.chance = random.Random(seed)
        self.format = format
        self.notation = NOTATIONS[seed % len(NOTATIONS)]
        self.rows: list[dict[str, str]] = []
        self.truth: dict[tuple[str, str], tuple[str, str | None, int, str, str | None]] = {}
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
            "group": self.chance.choice(("", "A", "b/2", "набор")), "size": self.chance.choice(("", "M", "XL")),
        }  # fmt: skip
        if self.chance.random() < 0.1:
            row["price"] = "ask"
            self.rejected += 1
        else:
            brand = self.meant(row["brand"]) or None
            meant = self.meant(row["title"])
            self.truth[row["shop"], row["id"]] = (meant, brand, minor, currency, row["group"] or None)
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
            format = "{self.format}"
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
            item_group = "group"
            size = "size"
            {"[xml]" if self.format == "xml" else ""}
            {'item = "feed/item"' if self.format == "xml" else ""}
            """)

    def write(self, path: Path, rows: list[dict[str, str]]) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            match self.format:
                case "csv":
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(rows)
                case "tsv":  # without quotes
                    file.writelines("\t".join(cells) + "\n" for cells in (COLUMNS, *(row.values() for row in rows)))
                case "jsonl":
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                case "json":
                    json.dump(rows, file, ensure_ascii=False)
                case _:  # the text of an element is what it means
                    items = ("".join(f"<{n}>{escape(self.meant(v))}</{n}>" for n, v in row.items()) for row in rows)
                    file.write(f"<feed>{''.join(f'<item>{item}</item>' for item in items)}</feed>")


def key_of_name(name: str | None) -> str | None:
    """Spellings of one brand become one, whose name is that of the first line."""
    if name is None:
        return None
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if c.isalnum() or c in "&+#")


# Each format with two notations.
@pytest.mark.parametrize(("seed", "format"), [(n, FORMATS[(n + n // 5) % 5]) for n in range(10)])
async def test_generated_feeds_come_in_whole(owner: Any, tmp_path: Path, seed: int, format: str) -> None:
    feed, path = Feed(seed, format), tmp_path / "feed"

    async def load(rows: list[dict[str, str]]) -> ImportReport:
        feed.write(path, rows)
        return await import_products(owner, path, feed.mapping)

    report = await load(feed.rows)
    assert (report.read, report.rejected) == (len(feed.rows), feed.rejected)
    assert report.read == report.inserted + report.rejected
    stored = await owner.fetch(
        "select r.name as shop, p.external_id, p.name, b.name as brand, p.price_minor, p.currency, p.item_group"
        " from products p"
        " join retailers r on r.id = p.retailer_id left join brands b on b.id = p.brand_id"
    )
    found = {
        (row["shop"], row["external_id"]): (
            row["name"],
            key_of_name(row["brand"]),
            row["price_minor"],
            row["currency"],
            row["item_group"],
        )
        for row in stored
    }
    assert found == {key: (name, key_of_name(brand), *price) for key, (name, brand, *price) in feed.truth.items()}

    again = await load(feed.chance.sample(feed.rows, len(feed.rows)))
    assert (again.written, again.unchanged) == (0, report.inserted)

    edited = next(row for row in feed.rows if (row["shop"], row["id"]) in feed.truth)
    edited["title"] += " II"
    third = await load(feed.rows)
    assert (third.updated, third.written, third.unchanged) == (1, 1, report.inserted - 1)

    for run in (third.run, report.run):
        assert run
        await import_runs.undo(owner, run)
    left = "(select count(*) from products) + (select count(*) from brands) + (select count(*) from retailers)"
    assert await owner.fetchval(f"select {left} + (select count(*) from product_prices)") == 0
