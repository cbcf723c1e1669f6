"""Imports of product feeds into a real database: what is written, what is left alone, what is refused."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from db import google_taxonomy, product_imports
from db.product_imports import ImportReport, import_products, load_mapping
from domain.feed_mappings import ImportFailed, Mapping, Shop, parse_mapping

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "catalogue" / "mappings"

MAPPING = parse_mapping("""
format = "jsonl"
category_separator = ">"
[fields]
external_id = "sku"
name = "title"
price = "price"
affiliate_url = "url"
brand = "brand"
category = "category"
tags = "tags"
popularity = "stars"
[constants]
currency = "GBP"
[retailer]
slug = "shop"
name = "The Shop"
network = "awin"
domain = "shop.example"
""")
CSV = msgspec.structs.replace(MAPPING, format="csv")
HEADER = "sku,title,price,url\n"


def record(number: int, **changes: object) -> dict[str, object]:
    return {
        "sku": f"S{number}",
        "title": f"Product {number}",
        "price": "9.99",
        "url": "https://shop.example/p",
        **changes,
    }


class Importer:
    """Writes feeds of the shop and imports them."""

    def __init__(self, owner: Any, folder: Path) -> None:
        self.owner = owner
        self.feed = folder / "feed"
        self.rejects = folder / "rejects.tsv"

    async def load(
        self, *records: dict[str, object] | bytes, mapping: Mapping = MAPPING, **options: Any
    ) -> ImportReport:
        lines = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in records)
        return await self.load_bytes(b"\n".join(lines), mapping, **options)

    async def load_bytes(self, content: bytes, mapping: Mapping = MAPPING, **options: Any) -> ImportReport:
        self.feed.write_bytes(content)
        return await import_products(self.owner, self.feed, mapping, rejects_path=self.rejects, **options)

    def rejected(self) -> list[tuple[str, str, str]]:
        with self.rejects.open(newline="") as file:
            return [(row["line"], row["field"], row["reason"]) for row in csv.DictReader(file, delimiter="\t")]

    async def active(self) -> set[str]:
        return {row["external_id"] for row in await self.owner.fetch("select * from products where is_active")}


@pytest.fixture
def importer(owner: Any, tmp_path: Path) -> Importer:
    return Importer(owner, tmp_path)


async def test_a_first_import_makes_what_is_missing(importer: Importer) -> None:
    report = await importer.load(
        record(1, brand="Acme", category="Home > Kitchen", tags="Tea, Gift", stars=0.9),
        record(2, brand="ACME", category="Home > Garden"),
        record(3),
    )
    assert (report.read, report.inserted, report.rejected, report.unchanged) == (3, 3, 0, 0)
    row = await importer.owner.fetchrow("""
        select p.*, b.name as brand, c.slug as category, parent.slug as parent, r.name as retailer, r.affiliate_network,
          r.domain
        from products p join brands b on b.id = brand_id join categories c on c.id = category_id
        join categories parent on parent.id = c.parent_id join retailers r on r.id = retailer_id
        where external_id = 'S1'""")
    assert (row["price_minor"], row["currency"], row["tags"], row["is_active"]) == (999, "GBP", ["tea", "gift"], True)
    assert (row["brand"], row["category"], row["parent"]) == ("Acme", "home-kitchen", "home")
    assert (row["retailer"], row["affiliate_network"], row["domain"]) == ("The Shop", "awin", "shop.example")
    assert row["popularity"] == row["feed_popularity"] == pytest.approx(0.9)
    assert await importer.owner.fetchval("select count(*) from brands where slug = 'acme'") == 1
    assert await importer.owner.fetchval("select count(*) from product_features") == 3
    assert await importer.owner.fetchval("select count(*) from private.search_words where word = 'product'") == 1


async def test_products_are_written_in_batches(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_imports, "WRITTEN_ROWS", 3)
    before = [record(n, tags=f"tag-{n}") for n in range(10)]
    assert (await importer.load(*before)).inserted == 10
    after = [record(n, tags=f"tag-{n % 8}") for n in range(12)]
    report = await importer.load(*after)
    assert (report.inserted, report.updated, report.unchanged) == (2, 2, 8)
    stored = await importer.owner.fetch("select external_id, tags from products where external_id like 'S%'")
    assert {row["external_id"]: row["tags"] for row in stored} == {f"S{n}": [f"tag-{n % 8}"] for n in range(12)}
    words = "select count(*) from private.suggestions where kind = 'tag' and key like 'tag-%'"
    assert await importer.owner.fetchval(words) == 8
    latest = (
        "select count(*) from product_origins where run_id = (select id from import_runs order by number desc limit 1)"
    )
    assert await importer.owner.fetchval(latest) == 4


async def test_the_same_file_again_writes_nothing(importer: Importer) -> None:
    records = [record(n, brand="Acme", stars=0.3, tags="a,b", category="Home>Kitchen") for n in range(20)]
    await importer.load(*records)
    before = await importer.owner.fetch("select xmin::text, * from products order by id")
    versions = await importer.owner.fetchval("select count(*) from recommendation_models")
    report = await importer.load(*records)
    assert (report.unchanged, report.written) == (20, 0)
    assert await importer.owner.fetch("select xmin::text, * from products order by id") == before
    assert await importer.owner.fetchval("select count(*) from recommendation_models") == versions


async def test_one_edited_price_updates_exactly_one_row(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(10)))
    before = await importer.owner.fetch("select xmin::text, * from products order by id")
    report = await importer.load(*(record(n, **({"price": "12.50"} if n == 4 else {})) for n in range(10)))
    assert (report.updated, report.unchanged, report.written) == (1, 9, 1)
    after = await importer.owner.fetch("select xmin::text, * from products order by id")
    [changed] = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert (changed[1]["external_id"], changed[1]["price_minor"]) == ("S4", 1250)
    assert changed[0]["created_at"] == changed[1]["created_at"]


async def test_products_gone_become_unavailable_and_come_back(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(10)))
    report = await importer.load(*(record(n) for n in range(7)))
    assert (report.deactivated, report.deactivation_skipped) == (3, False)
    assert await importer.active() == {f"S{n}" for n in range(7)}
    report = await importer.load(*(record(n) for n in range(8)))
    assert (report.reactivated, report.unchanged, report.deactivated) == (1, 7, 0)


async def test_a_feed_that_shrank_too_much_deactivates_nothing_without_force(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(10)))
    new = [record(n) for n in range(5, 11)]  # six of them, one new: it must not make up for the missing ones
    report = await importer.load(*new)
    assert (report.inserted, report.deactivated, report.deactivation_skipped) == (1, 0, True)
    report = await importer.load(*new, force=True)
    assert (report.deactivated, report.deactivation_skipped) == (5, False)
    assert await importer.active() == {f"S{n}" for n in range(5, 11)}


async def test_an_empty_feed_deactivates_only_by_force(importer: Importer) -> None:
    await importer.load(record(1))
    assert (await importer.load()).deactivation_skipped
    assert (await importer.load(force=True)).deactivated == 1


async def test_other_shops_are_left_alone(importer: Importer) -> None:
    await importer.load(record(1))
    other = msgspec.structs.replace(MAPPING, retailer=msgspec.structs.replace(MAPPING.retailer, slug="other"))
    report = await importer.load(record(1), mapping=other)
    assert (report.inserted, report.deactivated) == (1, 0)


async def test_a_shop_that_shrank_does_not_hold_up_the_others_of_its_feed(importer: Importer) -> None:
    several = msgspec.structs.replace(
        MAPPING,
        fields={**MAPPING.fields, "retailer": ("shop",)},
        retailer=msgspec.structs.replace(MAPPING.retailer, slug=None),
    )
    await importer.load(
        *(record(n, shop=name) for name in ("First Shop", "Second Shop") for n in range(4)), mapping=several
    )
    report = await importer.load(
        *(record(n, shop="first-shop") for n in range(3)), record(1, shop="Second Shop"), mapping=several
    )
    assert (report.deactivated, report.deactivation_skipped) == (1, True)


async def test_a_rejected_line_keeps_its_product(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(4)))
    report = await importer.load(record(0, price="free"), *(record(n) for n in range(1, 4)))
    assert (report.rejected, report.unchanged, report.deactivated) == (1, 3, 0)
    assert importer.rejected() == [("1", "price", "not a price in the notation of the mapping")]


async def test_a_line_without_a_key_keeps_nothing(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(4)))
    report = await importer.load(record(0, sku=""), *(record(n) for n in range(1, 4)))
    assert (report.rejected, report.unchanged, report.deactivated) == (1, 3, 1)


async def test_a_line_that_cannot_be_read_may_be_any_product(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(4)))
    lines = [b'{"sku": "S0", "title"', *(record(n) for n in range(1, 4))]
    report = await importer.load(*lines)
    assert (report.rejected, report.unchanged, report.deactivated) == (1, 3, 0)
    assert (report.deactivation_skipped, report.fault_line) == (True, 1)
    assert (await importer.load(*lines, force=True)).deactivated == 1


async def test_all_rejects_are_listed_and_the_rest_is_imported(importer: Importer) -> None:
    report = await importer.load(
        record(1),
        b"[1]",
        b"",
        b'{"a": ' + b"[" * 100_000,
        record(2, price="1.999", url="http://shop.example"),
        b'{"sku": "S3", "title": "' + b"x" * 1_100_000 + b'"}',
        b'{"sku": "S4", "title": "caf\xe9"}',
        record(1, price="5.00"),
        record(2, title="valid at last"),
    )
    assert (report.read, report.inserted, report.rejected) == (8, 2, 6)
    assert importer.rejected() == [
        ("2", "line", "not a JSON object"),
        ("4", "line", "not a JSON object"),
        ("5", "price", "more decimals than GBP has"),
        ("5", "affiliate_url", "not an https address"),
        ("6", "line", "record longer than 1048576 characters"),
        ("7", "line", "not valid UTF-8"),
        ("8", "external_id", "duplicate of line 1"),
    ]
    assert await importer.owner.fetchval("select price_minor from products where external_id = 'S1'") == 999


async def test_a_reject_names_line_id_field_value_and_reason(importer: Importer) -> None:
    lenient = msgspec.structs.replace(
        CSV, wrong_gtin="drop", fields={**CSV.fields, "gtin": ("gtin",), "image_url": ("image",)}
    )
    lines = [
        "sku,title,price,url,gtin,image",
        "A,Lamp,cheap,https://shop.example/a,,",
        "B,Lamp,2.00,https://shop.example/b,123,n/a",
        "C,Lamp,3.00",
        "A,Lamp,3.00,https://shop.example/a",
        "A,Lamp,3.00,https://shop.example/a",
    ]
    report = await importer.load_bytes("\n".join(lines).encode(), lenient)
    assert (report.inserted, report.rejected, report.warnings) == (2, 3, 2)
    with importer.rejects.open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows == [
        ["line", "id", "field", "value", "reason", "kind"],
        ["2", "A", "price", "cheap", "not a price in the notation of the mapping", "rejected"],
        ["3", "B", "image_url", "n/a", "not an https address", "warning"],
        ["3", "B", "gtin", "123", "not 8, 12, 13 or 14 digits", "warning"],
        ["4", "C", "affiliate_url", "", "missing", "rejected"],
        ["6", "A", "external_id", "A", "duplicate of line 5", "rejected"],
    ]


async def test_a_structural_fault_deactivates_nothing_without_force(importer: Importer) -> None:
    lines = [f"S{n},Product {n},9.99,https://shop.example/p" for n in range(10)]
    await importer.load_bytes("\n".join([HEADER.strip(), *lines]).encode(), CSV)
    torn = "\n".join([HEADER.strip(), *lines[:7], 'S7,"Open,9.99,https://shop.example/p']).encode()
    report = await importer.load_bytes(torn, CSV)
    assert (report.unchanged, report.rejected, report.deactivated, report.fault_line) == (7, 1, 0, 9)
    assert (await importer.load_bytes(torn, CSV, force=True)).deactivated == 2, "S7 is named by its rejected line"


async def test_csv_with_byte_order_mark_quotes_and_faults(importer: Importer) -> None:
    report = await importer.load_bytes(
        b"\xef\xbb\xbf" + HEADER.encode() + b'A,"Two\nlines, ""quoted""",1,https://shop.example/a\n'
        b"\n"
        b"B,too,many,fields,here\n"
        b"C,caf\xe9,1,https://shop.example/c\n"
        b'D,"' + b"x" * 200_000 + b'",1,https://shop.example/d\n'
        b"E,last,1,https://shop.example/e",
        CSV,
    )
    assert (report.read, report.inserted, report.rejected) == (5, 2, 3)
    assert [(line, field) for line, field, _ in importer.rejected()] == [("5", "line"), ("6", "name"), ("7", "line")]
    assert await importer.owner.fetchval("select name from products where external_id = 'A'") == 'Two lines, "quoted"'


async def test_a_dry_run_reports_and_writes_nothing(importer: Importer) -> None:
    await importer.load(record(1), record(2))
    before = await importer.owner.fetch("select xmin::text, * from products order by id")
    report = await importer.load(record(1, price="1.00"), record(3, brand="New"), dry_run=True, force=True)
    assert (report.updated, report.inserted, report.deactivated) == (1, 1, 1)
    assert await importer.owner.fetch("select xmin::text, * from products order by id") == before
    assert await importer.owner.fetchval("select count(*) from brands") == 0


async def test_variants_of_one_line_are_products_of_their_own(importer: Importer) -> None:
    nested = msgspec.structs.replace(MAPPING, variants="kinds")
    kinds = [record(1), record(2), record(2, price="1.00")]
    report = await importer.load({"title": "All", "kinds": kinds}, record(3), mapping=nested)
    assert (report.read, report.inserted, report.rejected) == (4, 3, 1)
    assert importer.rejected() == [("1", "external_id", "duplicate of line 1")]
    assert await importer.owner.fetchval("select price_minor from products where external_id = 'S2'") == 999


async def test_numbers_of_googles_taxonomy_become_categories(importer: Importer, tmp_path: Path) -> None:
    file = tmp_path / "taxonomy.txt"
    file.write_text("# Google_Product_Taxonomy_Version: 2021-09-21\n11 - Media\n12 - Media > Books\n")
    assert await google_taxonomy.load(importer.owner, file) == 2
    report = await importer.load(
        record(1, category="12"), record(2, category="Media > Books"), record(3, category="99999999")
    )
    assert (report.inserted, report.warnings) == (3, 1)
    rows = await importer.owner.fetch(
        "select p.external_id, c.name, above.name as above from products p join categories c on c.id = p.category_id"
        " left join categories above on above.id = c.parent_id order by 1"
    )
    assert [(row["name"], row["above"]) for row in rows] == [
        ("Books", "Media"), ("Books", "Media"), ("Uncategorised", None),
    ]  # fmt: skip
    file.write_text("Media > Books\n")
    with pytest.raises(ImportFailed, match="line 1"):
        await google_taxonomy.load(importer.owner, file)
    assert await importer.owner.fetchval("select count(*) from private.google_taxonomy") == 2


async def test_gzip_is_recognised_and_progress_is_reported(importer: Importer) -> None:
    told: list[int] = []
    packed = gzip.compress(b"\n".join(json.dumps(record(n)).encode() for n in range(5)))
    report = await importer.load_bytes(packed, on_progress=told.append)
    assert (report.inserted, told) == (5, [5])


@pytest.mark.parametrize(
    ("content", "mapping", "complaint"),
    [
        (gzip.compress(json.dumps(record(1)).encode() * 100)[:-20], MAPPING, "damaged"),
        (b"\x1f\x8bnot gzip at all", MAPPING, "damaged"),
        (HEADER.encode("utf-16-le"), CSV, "UTF-8"),
        (HEADER.encode("utf-16")[:-1], CSV, "UTF-16"),
        (HEADER.encode(), msgspec.structs.replace(CSV, encoding="utf-16"), "UTF-16"),
        (b"sku;title;price;url\n", CSV, "'sku'"),
        (b"", CSV, "'sku'"),
        (b'\n [{"sku": "S1"}]', MAPPING, "JSON array"),
    ],
    ids=[
        "cut gzip",
        "no gzip",
        "utf-16 unmarked",
        "cut utf-16",
        "no utf-16",
        "other delimiter",
        "empty csv",
        "json array",
    ],
)
async def test_a_file_that_cannot_be_read_changes_nothing(
    importer: Importer, content: bytes, mapping: Mapping, complaint: str
) -> None:
    await importer.load(record(1))
    with pytest.raises(ImportFailed, match=complaint):
        await importer.load_bytes(content, mapping, force=True)
    assert await importer.active() == {"S1"}


async def test_wrong_paths_and_networks_are_refused(importer: Importer, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        await import_products(importer.owner, tmp_path / "none", MAPPING)
    with pytest.raises(ImportFailed, match="Is a directory"):
        await import_products(importer.owner, tmp_path, MAPPING)
    importer.feed.write_text("")
    with pytest.raises(ImportFailed, match="overwrite"):
        await import_products(importer.owner, importer.feed, MAPPING, rejects_path=importer.feed)
    network = msgspec.structs.replace(MAPPING, retailer=msgspec.structs.replace(MAPPING.retailer, network="none"))
    with pytest.raises(ImportFailed, match="network"):
        await importer.load(record(1), mapping=network)
    with pytest.raises(ImportFailed, match="No such file"):
        load_mapping(tmp_path / "none.toml")


async def test_the_demo_catalogue_is_free_of_faults(importer: Importer) -> None:
    feed = ROOT / "catalogue" / "demo" / "products.jsonl"
    report = await import_products(
        importer.owner, feed, load_mapping(MAPPINGS / "demo.toml"), rejects_path=importer.rejects
    )
    assert importer.rejected() == []
    assert report.inserted == report.read == len(feed.read_text(encoding="utf-8").splitlines())


async def _twice(importer: Importer, mapping: Mapping, file: Path) -> ImportReport:
    first = await import_products(importer.owner, file, mapping, rejects_path=importer.rejects)
    again = await import_products(importer.owner, file, mapping)
    assert (again.written, again.unchanged) == (0, first.inserted)
    return first


@pytest.mark.parametrize(
    ("name", "file", "read", "inserted"),
    [
        ("aws_retail_demo", "aws_retail_demo_products.jsonl.gz", 2465, 2465),
        ("dummyjson", "dummyjson_products.jsonl.gz", 194, 194),
        ("shopify", "shopify_apparel.csv", 22, 20),
        ("shopify", "shopify_home-and-garden.csv", 21, 20),
        ("shopify", "shopify_jewelery.csv", 41, 20),
    ],
)
async def test_real_feeds_are_imported_whole(
    importer: Importer, shared_data: Path, name: str, file: str, read: int, inserted: int
) -> None:
    shop = Shop(slug="a-shop", domain="shop.example", currency="GBP") if name == "shopify" else Shop()
    report = await _twice(importer, load_mapping(MAPPINGS / f"{name}.toml", shop), shared_data / "catalogue" / file)
    assert [line for line in importer.rejected() if line[1:] != ("gtin", "wrong check digit")] == []
    assert (report.read, report.inserted, report.continuations) == (read, inserted, read - inserted)


async def test_books_without_prices_are_rejected_and_their_isbns_rebuilt(importer: Importer, shared_data: Path) -> None:
    mapping = load_mapping(MAPPINGS / "goodbooks.toml")
    file = shared_data / "catalogue" / "goodbooks10k_books.csv.gz"
    report = await import_products(importer.owner, file, mapping, rejects_path=importer.rejects)
    assert (report.read, report.rejected, report.written) == (10_000, 10_000, 0)
    assert Counter((field, reason) for _, field, reason in importer.rejected())[("price", "missing")] == 10_000

    priced = msgspec.structs.replace(mapping, constants={**mapping.constants, "price": "9.99"})
    report = await _twice(importer, priced, file)
    assert report.inserted == 10_000 - report.rejected
    assert await importer.owner.fetchval("select gtin from products where external_id = '1'") == "9780439023481"
    gtins, wrong = await importer.owner.fetchrow(
        "select count(gtin), count(*) filter (where gtin !~ '^978[0-9]{10}$') from products"
    )
    assert gtins > 9200
    assert wrong == 0
