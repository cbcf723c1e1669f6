"""Variants in feeds: which lines are products, what they inherit, whose pictures are whose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.feed_mappings import parse_mapping
from domain.feed_variants import MAX_PARENTS, with_variants
from domain.feeds import Product, Reader

LINES = """
format = "csv"
image_separator = ","
options = [["Option Name", "Option Value"]]
[continuation]
key = "Handle"
empty = "Title"
variant = ["SKU", "Option Value"]
[fields]
external_id = "Handle"
name = "Title"
description = "Body"
price = "Price"
sale_price = "Sale"
image_url = "Image"
item_group = "Handle"
[constants]
currency = "GBP"
affiliate_url = "https://shop.example/{Handle}"
[retailer]
slug = "shop"
"""
PARENTS = """
format = "csv"
category_separator = ">"
[parents]
field = "type"
value = "variable"
key = ["sku", "id"]
child = "parent"
[fields]
external_id = "id"
name = "name"
price = "price"
category = "category"
item_group = "parent"
[constants]
currency = "GBP"
affiliate_url = "https://shop.example/?p={id}"
[retailer]
slug = "shop"
"""


def products(text: str, *records: dict[str, object]) -> tuple[list[Product], int]:
    """What the records become, and how many were continuations."""
    mapping = parse_mapping(text)
    reader = Reader(mapping, datetime(2026, 6, 15, tzinfo=UTC))
    found = list(with_variants(enumerate(records, start=2), mapping))
    assert sorted(line for line, _ in found) == [*range(2, len(records) + 2)]
    readings = [reader.read(record) for _, record in found if record is not None]
    assert all(reading.product for reading in readings), [reading.rejects for reading in readings]
    made: list[Any] = [reading.product for reading in readings]
    return sorted(made, key=lambda product: str(product.external_id)), len(records) - len(made)


def line(handle: str, **cells: str) -> dict[str, object]:
    empty = dict.fromkeys(("title", "body", "price", "sale", "image", "sku", "option name", "option value"), "")
    return {"handle": handle, **empty, **cells}


def test_every_variant_with_an_id_and_a_price_is_a_product() -> None:
    made, continuations = products(
        LINES,
        line("hat", title="Hat", body="Warm", price="9", sale="7", image="https://i.example/1", sku="H1")
        | {"option name": "Size", "option value": "S"},
        line("hat", price="10", sku="H2") | {"option value": "M"},
        line("hat", price="11", image="https://i.example/3") | {"option value": "L"},
        line("hat", image="https://i.example/4"),
        line("hat"),
        line("mug", title="Mug", price="5") | {"option name": "Title", "option value": "Default Title"},
    )
    assert continuations == 2
    assert [(p.external_id, p.price_minor, p.item_group) for p in made] == [
        ("hat", 700, "hat"), ("hat/H2", 1000, "hat"), ("hat/L", 1100, "hat"), ("mug", 500, "mug"),
    ]  # fmt: skip
    hat, medium, large, mug = made
    assert hat.images == ["https://i.example/1", "https://i.example/3", "https://i.example/4"]
    assert medium.image_url == "https://i.example/1", "of the product; it has none of its own"
    assert large.image_url == "https://i.example/3"
    assert (medium.name, medium.description, medium.affiliate_url) == ("Hat", "Warm", "https://shop.example/hat")
    assert medium.sale_price_minor is None, "a price is each variant's own"
    assert medium.options == '[{"name":"size","value":"M"}]'
    assert mug.options == "[]"


def test_without_ids_of_variants_lines_below_are_continuations() -> None:
    text = LINES.replace('variant = ["SKU", "Option Value"]\n', "")
    made, continuations = products(text, line("hat", title="Hat", price="9"), line("hat", price="10", sku="H2"))
    assert (len(made), continuations) == (1, 1)


def test_variants_take_from_their_parent_what_they_lack() -> None:
    def row(id: str, kind: str, **cells: str) -> dict[str, object]:
        return {"id": id, "type": kind, "sku": "", "name": "", "price": "", "category": "", "parent": "", **cells}

    made, continuations = products(
        PARENTS,
        row("1", "variable", sku="LID", name="Lid", category="Pantry > Jars"),
        row("2", "variation", name="Lid - S", price="2", parent="LID"),
        row("3", "variation", price="3", parent="id:1"),
        row("4", "simple", name="Jar", price="4", category="Pantry"),
        row("5", "variation", name="Lost", price="5", parent="GONE"),
    )
    assert continuations == 1
    assert [(p.name, p.category, p.item_group) for p in made] == [
        ("Lid - S", ["Pantry", "Jars"], "LID"), ("Lid", ["Pantry", "Jars"], "id:1"), ("Jar", ["Pantry"], None),
        ("Lost", None, "GONE"),
    ]  # fmt: skip


def test_a_bounded_number_of_parents_is_remembered() -> None:
    mapping = parse_mapping(PARENTS)
    rows: list[tuple[int, dict[str, object]]] = [
        (n, {"type": "variable", "sku": f"S{n}", "name": f"N{n}"}) for n in range(MAX_PARENTS + 5)
    ]
    asked = [(len(rows) + n, {"type": "variation", "parent": f"S{n}", "price": "1"}) for n in (0, MAX_PARENTS)]
    *_, first, last = with_variants([*rows, *asked], mapping)
    assert [(record or {}).get("name") for _, record in (first, last)] == [None, f"N{MAX_PARENTS}"]
