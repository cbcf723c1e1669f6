"""Every shipped mapping on a generated file of its shape: what is written into the file comes out of it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, cast

import pytest

from db.feed_detection import detect
from db.feed_files import Stream
from db.feed_rows import records_of
from db.product_imports import MAPPINGS, READERS
from domain.feed_detection import propose, sketch
from domain.feed_mappings import ImportFailed, Shop, Source, parse_mapping
from domain.feeds import Product, Reader

SHOP = Shop(slug="a-shop", name="A Shop", domain="shop.example", currency="EUR")
NOW = datetime(2026, 6, 15, tzinfo=UTC)
Row = dict[str, Any]

# In six scripts, with quotes, separators and mark-up; prices, sales and pictures; two variants of one thing.
NAMES = ['Mug "Best"', "Чайник, синий", "お茶 & 緑茶", "قهوة | بن", "Ζυγαριά 5 < 6", "녹차\u00a0세트"]


def thing(n: int) -> Row:
    return {
        "id": f"S{n}", "name": NAMES[n], "text": f"Number {n}", "link": f"https://shop.example/{n}?a=1&b=2",
        "image": f"https://i.example/{n}.jpg", "more": f"https://i.example/{n}b.jpg", "price": f"{20 + n}.50",
        "sale": f"{10 + n}.00" if n % 2 else "", "stock": n != 2, "brand": "Łąka & Co", "gtin": "4006381333931",
        "path": ["Home", "Kitchen"], "group": "G" if n < 2 else f"G{n}", "size": "SMLXYZ"[n],
    }  # fmt: skip


THINGS = [thing(n) for n in range(len(NAMES))]


def table(columns: dict[str, Callable[[Row], object]], delimiter: str = ",", quoted: bool = True) -> str:
    out = io.StringIO()
    rows = [list(columns), *[[str(cell(t)) for cell in columns.values()] for t in THINGS]]
    if quoted:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    else:
        out.write("".join(delimiter.join(row) + "\n" for row in rows))
    return out.getvalue()


def words(t: Row) -> str:
    return "in_stock" if t["stock"] else "out_of_stock"


GOOGLE: dict[str, Callable[[Row], object]] = {
    "id": lambda t: t["id"],
    "title": lambda t: t["name"],
    "description": lambda t: t["text"],
    "link": lambda t: t["link"],
    "image_link": lambda t: t["image"],
    "additional_image_link": lambda t: t["more"],
    "price": lambda t: f"{t['price']} EUR",
    "sale_price": lambda t: t["sale"] and f"{t['sale']} EUR",
    "sale_price_effective_date": lambda t: t["sale"] and "2026-06-01T00:00+0000/2026-07-01T00:00+0000",
    "availability": words,
    "brand": lambda t: t["brand"],
    "gtin": lambda t: t["gtin"],
    "product_type": lambda t: " > ".join(t["path"]),
    "item_group_id": lambda t: t["group"],
    "size": lambda t: t["size"],
}


def google_xml(item: str, before: str, after: str) -> str:
    def element(t: Row) -> str:
        cells = "".join(f"<g:{name}>{escape(str(cell(t)))}</g:{name}>" for name, cell in GOOGLE.items())
        return f"<{item}>{cells}<g:shipping><g:price>3.00 EUR</g:price></g:shipping></{item}>"

    return f'<?xml version="1.0"?>{before}{"".join(map(element, THINGS))}{after}'


def rss() -> str:
    return google_xml("item", '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>', "</channel></rss>")


def atom() -> str:
    top = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">'
    return google_xml("entry", top, "</feed>")


def meta() -> str:
    comments = ",".join(f'"# Required | {name}, as text"' for name in GOOGLE)
    return comments + "\n" + table(GOOGLE)


def openai_flat(t: Row) -> Row:
    return {
        "item_id": t["id"], "title": t["name"], "description": t["text"], "url": t["link"], "image_url": t["image"],
        "additional_image_urls": t["more"], "price": f"{t['price']} EUR",
        "sale_price": t["sale"] and f"{t['sale']} EUR",
        "availability": words(t), "brand": t["brand"], "gtin": t["gtin"], "group_id": t["group"], "size": t["size"],
        "product_category": " > ".join(t["path"]), "is_eligible_search": True,
    }  # fmt: skip


def openai() -> str:
    return "\n".join(json.dumps(openai_flat(t)) for t in THINGS)


def openai_with_variants() -> str:
    groups: dict[str, list[Row]] = {}
    for t in THINGS:
        groups.setdefault(t["group"], []).append(t)

    def minor(amount: str) -> Row:
        return {"amount": round(float(amount) * 100), "currency": "EUR"}

    def variant(t: Row) -> Row:
        return {
            "id": t["id"], "title": t["name"], "description": {"plain": t["text"]}, "url": t["link"],
            "media": [{"type": "video", "url": "https://i.example/film"}, {"type": "image", "url": t["image"]},
                      {"type": "image", "url": t["more"]}],
            "price": minor(t["sale"] or t["price"]), "list_price": minor(t["price"]),
            "availability": {"available": t["stock"], "status": words(t)}, "brand": t["brand"],
            "barcodes": [{"type": "GTIN", "value": t["gtin"]}], "categories": [{"value": " > ".join(t["path"])}],
            "variant_options": [{"name": "Size", "value": t["size"]}],
        }  # fmt: skip

    return "\n".join(json.dumps({"id": g, "title": "All", "variants": [*map(variant, ts)]}) for g, ts in groups.items())


def cj() -> str:
    columns = {"PROGRAM_NAME": lambda t: "A Shop", **{name.upper(): cell for name, cell in GOOGLE.items()}}
    return table(columns)


def awin() -> str:
    return table({
        "aw_product_id": lambda t: t["id"], "merchant_name": lambda t: "A Shop", "product_name": lambda t: t["name"],
        "description": lambda t: t["text"], "aw_deep_link": lambda t: t["link"],
        "merchant_image_url": lambda t: t["image"], "search_price": lambda t: t["sale"] or t["price"],
        "product_price_old": lambda t: t["price"] if t["sale"] else "",
        "currency": lambda t: "EUR", "in_stock": lambda t: int(t["stock"]), "brand_name": lambda t: t["brand"],
        "product_GTIN": lambda t: t["gtin"], "merchant_product_category_path": lambda t: " > ".join(t["path"]),
        "parent_product_id": lambda t: t["group"], "Fashion:size": lambda t: t["size"],
        "alternate_image": lambda t: t["more"],
    })  # fmt: skip


def rakuten() -> str:
    def line(t: Row) -> str:
        cells = [""] * 28
        cells[0:2] = [t["id"], t["name"].replace("|", "/")]
        cells[4:7] = ["~~".join(t["path"]), t["link"], t["image"]]
        cells[9], cells[12], cells[13] = t["text"], t["sale"] or t["price"], t["price"]
        cells[16], cells[22], cells[23], cells[25] = t["brand"], words(t).replace("_", " "), t["gtin"], "EUR"
        return "|".join(cells)

    return "\n".join(["HDR|1|A Shop|2026-06-01/02:00:00", *map(line, THINGS), f"TRL|{len(THINGS)}"])


def impact() -> str:
    return table(
        {
            "Unique Merchant SKU": lambda t: t["id"], "Product Name": lambda t: t["name"],
            "Product Description": lambda t: t["text"], "Product URL": lambda t: t["link"],
            "Image URL": lambda t: t["image"], "Additional Image URLs": lambda t: t["more"],
            "Current Price": lambda t: t["sale"] or t["price"], "Original Price": lambda t: t["price"],
            "Currency": lambda t: "EUR", "Stock Availability": words, "Manufacturer": lambda t: t["brand"],
            "GTIN": lambda t: t["gtin"], "Category": lambda t: " > ".join(t["path"]),
            "Parent SKU": lambda t: t["group"], "Size": lambda t: t["size"],
        },
        "\t",
        quoted=False,
    )  # fmt: skip


def shopify(new: bool) -> Callable[[], str]:
    def name(old: str, today: str) -> str:
        return today if new else old

    columns: dict[str, Callable[[Row], object]] = {
        name("Handle", "URL handle"): lambda t: t["id"], "Title": lambda t: t["name"],
        name("Body (HTML)", "Description"): lambda t: f"<p>{t['text']}</p>", "Vendor": lambda t: t["brand"],
        "Type": lambda t: t["path"][-1],
        name("Published", "Published on online store"): lambda t: str(t["stock"]).upper(),
        name("Variant SKU", "SKU"): lambda t: t["id"], name("Option1 Name", "Option1 name"): lambda t: "Size",
        name("Option1 Value", "Option1 value"): lambda t: t["size"],
        name("Variant Price", "Price"): lambda t: t["sale"] or t["price"],
        name("Variant Compare At Price", "Compare-at price"): lambda t: t["price"] if t["sale"] else "",
        name("Variant Barcode", "Barcode"): lambda t: f"'{t['gtin']}",
        name("Image Src", "Product image URL"): lambda t: t["image"],
    }  # fmt: skip
    return lambda: table(columns)


def woocommerce() -> str:
    return table({
        "ID": lambda t: t["id"], "Type": lambda t: "simple", "SKU": lambda t: t["id"], "Name": lambda t: t["name"],
        "Published": lambda t: 1, "Description": lambda t: t["text"], "In stock?": lambda t: int(t["stock"]),
        "Sale price": lambda t: t["sale"], "Regular price": lambda t: t["price"],
        "Categories": lambda t: f"Home, {' > '.join(t['path'])}", "Images": lambda t: f"{t['image']}, {t['more']}",
        "Parent": lambda t: "", "Brands": lambda t: t["brand"], "GTIN, UPC, EAN, or ISBN": lambda t: t["gtin"],
        "Attribute 1 name": lambda t: "Size", "Attribute 1 value(s)": lambda t: t["size"],
    })  # fmt: skip


FILES: dict[str, tuple[str, Callable[[], str]]] = {
    "google tsv": ("google_merchant", lambda: table(GOOGLE, "\t", quoted=False)),
    "google tsv, spaces": (
        "google_merchant", lambda: table({k.replace("_", " "): v for k, v in GOOGLE.items()}, "\t", quoted=False)
    ),
    "google csv": ("google_merchant_csv", lambda: table(GOOGLE)),
    "google rss": ("google_merchant_xml", rss),
    "google atom": ("google_merchant_xml", atom),
    "meta": ("meta_catalogue", meta),
    "openai": ("openai", openai),
    "openai with variants": ("openai", openai_with_variants),
    "openai csv": ("openai_csv", lambda: table({k: lambda t, k=k: openai_flat(t)[k] for k in openai_flat(THINGS[0])})),
    "awin": ("awin", awin),
    "cj": ("cj", cj),
    "rakuten": ("rakuten", rakuten),
    "impact": ("impact", impact),
    "shopify, old header": ("shopify", shopify(new=False)),
    "shopify, new header": ("shopify", shopify(new=True)),
    "woocommerce": ("woocommerce", woocommerce),
}  # fmt: skip
# What a format does not have, or has otherwise.
LACKS = {
    "rakuten": {"more", "group", "size"},
    "shopify": {"path", "more", "group", "link"},
    "woocommerce": {"group", "link"},
}


def text_of(mapping: str) -> str:
    return (MAPPINGS / f"{mapping}.toml").read_text(encoding="utf-8")


def products(mapping: str, content: str) -> list[Product]:
    read = parse_mapping(text_of(mapping), SHOP)
    reader = Reader(read, NOW)
    stream = cast(Stream, io.BufferedReader(io.BytesIO(content.encode())))
    with closing(READERS[read.format](stream, read)) as rows:
        readings = [reader.read(record) for _, record in records_of(rows, read) if record is not None]
    assert [reading.rejects for reading in readings if reading.rejects] == []
    assert [reading.warnings for reading in readings if reading.warnings] == []
    return [reading.product for reading in readings if reading.product]


@pytest.mark.parametrize("file", FILES)
def test_what_is_in_the_file_comes_out_of_it(file: str) -> None:
    mapping, write = FILES[file]
    made = products(mapping, write())
    assert len(made) == len(THINGS)
    lacks = LACKS.get(mapping, set())
    for product, t in zip(sorted(made, key=lambda p: p.external_id), THINGS, strict=True):
        name = t["name"].replace("|", "/") if mapping == "rakuten" else t["name"]
        assert (product.external_id, product.name) == (t["id"], " ".join(name.split()))
        assert (product.description, product.brand, product.gtin) == (t["text"], t["brand"], t["gtin"])
        paid = t["sale"] or t["price"]
        assert (product.price_minor, product.currency) == (int(paid.replace(".", "")), "EUR")
        assert product.regular_price_minor == (int(t["price"].replace(".", "")) if t["sale"] else None)
        assert product.in_stock is t["stock"]
        assert product.image_url == t["image"]
        if "more" not in lacks:
            assert product.images == [t["image"], t["more"]]
        if "link" not in lacks:
            assert product.affiliate_url == t["link"]
        assert product.category == (["Kitchen"] if "path" in lacks else t["path"])
        if "group" not in lacks:
            assert product.item_group == t["group"]
        if "size" not in lacks:
            assert json.loads(product.options) == [{"name": "size", "value": t["size"]}]


@pytest.mark.parametrize("file", FILES)
def test_it_is_detected(file: str) -> None:
    mapping, write = FILES[file]
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in MAPPINGS.glob("*.toml")}
    found = propose(sketch(write()), shipped).name
    # Files of Google's columns in CSV are one feed by several names.
    assert found == mapping or {found, mapping} <= {"google_merchant_csv", "meta_catalogue"}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("id,title,link,price,availability", "google_merchant_csv"),
        ('"ID","Title","Link","Price","Sale Price Effective Date"', "google_merchant_csv"),
        ("id,title,link,price,fb_product_category", "meta_catalogue"),
        ("item_id,title,url,price", "openai_csv"),
    ],
)
def test_a_header_that_several_mappings_take_is_of_the_one_whose_names_these_are(header: str, name: str) -> None:
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in MAPPINGS.glob("*.toml")}
    assert propose(sketch(f"{header}\n1,A,https://a.example/,1 GBP,\n"), shipped).name == name


def test_the_first_rows_are_shown_as_they_would_come_in(tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv.gz"
    feed.write_bytes(gzip.compress(awin().encode()))
    found = detect(feed, Shop())
    assert found.proposal.name == "awin"
    assert [line for line, _ in found.rows] == [2, 3, 4, 5, 6]
    assert found.rows[0][1].product is not None
    assert (found.rows[0][1].product.retailer, found.rows[0][1].product.name) == ("A Shop", NAMES[0])
    feed.write_text(shopify(new=True)())
    assert [reading.external_id for _, reading in detect(feed, SHOP).rows] == ["S0", "S1", "S2", "S3", "S4"]
    assert detect(feed, Shop()).rows[0][1].rejects[0].reason == "no currency"


def test_a_file_of_other_columns_gets_a_mapping_of_its_own() -> None:
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in MAPPINGS.glob("*.toml")}
    proposal = propose(sketch("Artikelnummer;Bezeichnung;Preis;Deeplink;Marke\n1;Tee;2;https://a.example;B\n"), shipped)
    assert (proposal.name, proposal.missing) == (None, ())
    mapping = parse_mapping(proposal.text)
    assert (mapping.separator, mapping.fields["external_id"], mapping.fields["price"]) == (
        ";",
        ("artikelnummer",),
        ("preis",),
    )
    assert '"Währung"' in propose(sketch("Artikelnummer;Bezeichnung;Preis;Währung;Deeplink\n"), shipped).text
    assert propose(sketch("a;b;c\n"), shipped).missing == ("external_id", "name", "affiliate_url", "price")


def test_the_shop_is_given_beside_the_mapping() -> None:
    mapping = parse_mapping(text_of("shopify"), Shop("my-shop", "My Shop", "my.example", "awin", "SEK"))
    assert (mapping.retailer.slug, mapping.retailer.name, mapping.retailer.network) == ("my-shop", "My Shop", "awin")
    assert mapping.constants["currency"] == "SEK"
    assert mapping.constants["affiliate_url"].startswith("https://my.example/products/")
    with pytest.raises(ImportFailed, match="--shop"):
        parse_mapping(text_of("shopify"))
    with pytest.raises(ImportFailed, match="--domain"):
        parse_mapping(text_of("shopify"), Shop(slug="my-shop"))


def test_another_shop_does_not_take_the_name_of_the_mappings_own() -> None:
    mapping = parse_mapping(text_of("dummyjson"), Shop(slug="mine"))
    assert (mapping.retailer.slug, mapping.retailer.name, mapping.retailer.domain) == ("mine", None, None)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example/feed", "shop.example/feed", "https:///feed", "https://user:word@shop.example/feed",
        "https://shop.example:0/feed", "https://{SOURCE_KEY}.example/feed", "https://shop.example/a b",
        "https://shop.example/{KEY}", "https://shop.example/{JWT_SECRET}", "https://shop.example/{SOURCE_a}",
    ],
)  # fmt: skip
def test_a_source_is_an_address_without_credentials(url: str) -> None:
    assert Source(url).complaints()


def test_a_source_names_no_secret_but_its_own() -> None:
    assert not Source("https://shop.example/{SOURCE_KEY}?k={SOURCE_KEY}", "6h", "SOURCE_LOGIN").complaints()
    assert Source("https://shop.example/", authorization="JWT_SECRET").complaints()
    with pytest.raises(ImportFailed, match="SOURCE_KEY has characters"):
        Source("https://shop.example/{SOURCE_KEY}").filled(lambda name: "a\nb")


@pytest.mark.parametrize(("every", "seconds"), [("5m", 300), ("6h", 21600), ("31d", 2678400), (None, None)])
def test_a_source_says_how_often(every: str | None, seconds: int | None) -> None:
    source = Source("https://shop.example/", every)
    assert (source.complaints(), source.every_seconds) == ([], seconds)


@pytest.mark.parametrize("every", ["4m", "32d", "0h", "6", "h", "6 h", "6w", "1h30m", "٦h"])
def test_a_source_is_not_asked_all_the_time_or_never(every: str) -> None:
    assert Source("https://shop.example/", every).complaints()
