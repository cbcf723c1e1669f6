"""Feeds: what a mapping may say, and how a record becomes a product or rejects."""

from __future__ import annotations

import json
from collections.abc import Mapping as Lookup
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import feeds
from domain.currencies import EXPONENTS
from domain.feed_mappings import ImportFailed, Mapping, Shop, like_pattern, parse_mapping
from domain.feed_prices import parse_price
from domain.feed_text import slugify
from domain.feed_values import BadValue, parse_google_category, parse_gtin
from domain.feed_variants import continues
from domain.feeds import Reader, Reading, Reject

MAPPINGS = Path(__file__).resolve().parents[2] / "catalogue" / "mappings"

SMALL = """
format = "jsonl"
category_separator = ">"
[fields]
external_id = "sku"
name = "title"
description = "text"
price = "price"
currency = "currency"
affiliate_url = "url"
image_url = ["images.0", "image"]
tags = ["tags", "labels"]
in_stock = ["stock", "published"]
brand = "brand"
category = "category"
gtin = "codes.gtin"
popularity = "stars"
[constants]
currency = "GBP"
[retailer]
slug = "shop"
"""
MAPPING = parse_mapping(SMALL)
SHOP = Shop(slug="a-shop", domain="shop.example", currency="GBP")
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
GOOD = {"sku": "A1", "title": "Teapot", "price": "19.99", "url": "https://shop.example/a1"}


def read_record(record: Lookup[str, object], mapping: Mapping) -> Reading:
    return Reader(mapping, NOW).read(record)


def read(**changes: object) -> Reading:
    return read_record({**GOOD, **changes}, MAPPING)


def reasons(reading: Reading) -> list[tuple[str, str]]:
    return [(reject.field, reject.reason) for reject in reading.rejects]


def product(**changes: object) -> Any:
    reading = read(**changes)
    assert reading.product is not None, reading.rejects
    return reading.product


class TestMapping:
    @pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.toml")), ids=lambda path: path.stem)
    def test_shipped_mappings_are_valid(self, path: Path) -> None:
        parse_mapping(path.read_text(encoding="utf-8"), SHOP)

    @pytest.mark.parametrize(
        ("name", "record"),
        [
            (
                "google_merchant",
                {"id": "1", "title": "Mug", "link": "https://a.example/", "image link": "https://a.example/1.jpg",
                 "price": "19.99 GBP", "availability": "in_stock", "product_type": "Home > Kitchen > Mugs"},
            ),
            (
                "awin",
                {"aw_product_id": "1", "merchant_name": "A Shop", "product_name": "Mug", "search_price": "19.99",
                 "currency": "GBP", "aw_deep_link": "https://a.example/", "aw_image_url": "https://a.example/1.jpg",
                 "in_stock": "1", "product_gtin": "12", "merchant_category": "Home > Kitchen > Mugs"},
            ),
        ],
    )  # fmt: skip
    def test_lines_of_known_feeds(self, name: str, record: dict[str, object]) -> None:
        made = read_record(record, parse_mapping((MAPPINGS / f"{name}.toml").read_text(encoding="utf-8"), SHOP)).product
        assert made is not None
        assert (made.price_minor, made.currency, made.in_stock, made.gtin) == (1999, "GBP", True, None)
        assert made.image_url == "https://a.example/1.jpg"
        assert made.category == ["Home", "Kitchen", "Mugs"]

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ('format = "jsonl"', 'format = "yaml"', "yaml"),
            ('format = "jsonl"', 'format = "xml"', "item"),
            ('format = "jsonl"', 'format = "csv"\nquote = ","', "quote"),
            ('format = "jsonl"', 'format = "csv"\nencoding = "latin-99"', "latin-99"),
            ('format = "jsonl"', 'format = "csv"\nencoding = "zlib_codec"', "zlib_codec"),
            ('format = "jsonl"', 'format = "csv"\ndecimal = ";"', "decimal"),
            ('format = "jsonl"', 'format = "csv"\ndecimal = ","\nthousands = ","', "thousands"),
            ('format = "jsonl"', 'format = "csv"\nskip_lines = -1', "skip_lines"),
            ('format = "jsonl"', 'format = "jsonl"\ncolumns = ["a"]', "columns"),
            ('brand = "brand"', 'weight = "brand"', "weight"),
            ('format = "jsonl"', 'format = "jsonl"\ncolour = 1', "colour"),
            ('brand = "brand"', "brand = 3", "fields"),
            ('external_id = "sku"', "", "external_id"),
            ('slug = "shop"', "", "retailer"),
            ('slug = "shop"', 'slug = "My Shop"', "kebab-case"),
            ('category_separator = ">"', 'category_separator = ""', "separators"),
            ('category_separator = ">"', "popularity_max = 0", "popularity_max"),
            ('category_separator = ">"', 'delimiter = "||"', "delimiter"),
            ('format = "jsonl"', "format =", "mapping"),
        ],
    )
    def test_a_wrong_mapping_is_refused_by_name(self, old: str, new: str, complaint: str) -> None:
        with pytest.raises(ImportFailed, match=complaint):
            parse_mapping(SMALL.replace(old, new))


class TestRecord:
    def test_a_full_record(self) -> None:
        made = product(
            title="  Teapot\x00\n for   two ",
            text="<p>Tom &amp; Ann&rsquo;s <b>pot</b></p><script>alert(1)</script>",
            images=["https://img.example/1 a.jpg"],
            tags="Tea Time, Crème, tea-time",
            labels=["Gift"],
            stock=3,
            brand="Levi's & Söhne",
            category="Home > Kitchen > Tea",
            codes={"gtin": "4006381333931"},
            stars=0.5,
        )
        assert made.name == "Teapot for two"
        assert made.description == "Tom & Ann\u2019s pot"
        assert (made.price_minor, made.currency) == (1999, "GBP")
        assert made.image_url == "https://img.example/1%20a.jpg"
        assert made.tags == ["tea-time", "creme", "gift"]
        assert made.brand == "Levi's & Söhne"
        assert made.category == ["Home", "Kitchen", "Tea"]
        assert made.gtin == "4006381333931"
        assert made.feed_popularity == 0.5
        assert made.in_stock

    def test_what_is_missing_has_defaults(self) -> None:
        made = product()
        assert made.category is None
        assert (made.description, made.image_url, made.brand, made.gtin, made.tags) == (None, None, None, None, [])
        assert made.in_stock

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"sku": " "}, ("external_id", "missing")),
            ({"sku": "a\x00b"}, ("external_id", "control characters")),
            ({"title": None}, ("name", "missing")),
            ({"title": "\x01"}, ("name", "missing")),
            ({"title": "x" * 501}, ("name", "longer than 500 characters")),
            ({"title": "caf\udce9"}, ("name", "not valid UTF-8")),
            ({"title": ["x"]}, ("name", "not a text")),
            ({"price": ""}, ("price", "missing")),
            ({"currency": "XYZ"}, ("currency", "unknown currency")),
            (
                {"currency": "EUR", "price": "1 GBP"},
                ("price", "the price names another currency than the currency field"),
            ),
            ({"url": "http://shop.example/"}, ("affiliate_url", "not an https address")),
            ({"url": "https://me:pw@shop.example/"}, ("affiliate_url", "credentials in the address")),
            ({"url": "https://shop.example\\@evil.example/"}, ("affiliate_url", "credentials in the address")),
            ({"url": "https://shop.example/\r\nx"}, ("affiliate_url", "control characters")),
            ({"url": "https:///x"}, ("affiliate_url", "no valid host name")),
            ({"url": "https://shop.example/" + "x" * 2048}, ("affiliate_url", "longer than 2048 characters")),
            ({"stock": "perhaps"}, ("in_stock", "neither a number nor a known word for in or out of stock")),
            ({"stars": 1.5}, ("popularity", "not between 0 and popularity_max")),
            ({"stars": float("nan")}, ("popularity", "not a number")),
            ({"codes": {"gtin": "4006381333932"}}, ("gtin", "wrong check digit")),
            ({"category": ">".join("abcdefghi")}, ("category", "more than 8 levels")),
        ],
    )
    def test_one_fault_gives_one_reject(self, changes: dict[str, object], reason: tuple[str, str]) -> None:
        assert reasons(read(**changes)) == [reason]

    def test_all_faults_are_named_and_the_key_is_kept(self) -> None:
        reading = read(price="free", url="ftp://x")
        assert [(reject.field, reject.value) for reject in reading.rejects] == [
            ("price", "free"),
            ("affiliate_url", "ftp://x"),
        ]
        assert (reading.retailer, reading.external_id) == ("shop", "A1")
        assert read(sku=None).external_id is None

    def test_a_value_is_listed_on_one_line_and_cut(self) -> None:
        [reject] = read(price="about\n\t9" + "9" * 200).rejects
        assert reject.value.startswith("about  99")
        assert len(reject.value) == feeds.MAX_SHOWN

    def test_a_wrong_picture_drops_the_picture(self) -> None:
        reading = read(image="javascript:alert(1)")
        assert reading.product is not None
        assert reading.product.image_url is None
        assert reading.warnings == (Reject("image_url", "not an https address", "javascript:alert(1)"),)

    def test_a_lenient_mapping_drops_a_wrong_gtin(self) -> None:
        lenient = parse_mapping('wrong_gtin = "drop"\n' + SMALL)
        reading = read_record({**GOOD, "codes": {"gtin": "123"}}, lenient)
        assert reading.product is not None
        assert reading.product.gtin is None
        assert [warning.field for warning in reading.warnings] == ["gtin"]

    def test_templates_fill_in_and_escape(self) -> None:
        text = SMALL.replace('affiliate_url = "url"\n', "")
        mapping = parse_mapping(
            text.replace("[constants]", '[constants]\naffiliate_url = "https://s.example/{sku}?c={codes.x}"')
        )
        reading = read_record({**GOOD, "sku": "a/b?c", "codes": {"x": 7}}, mapping)
        assert reading.product is not None
        assert reading.product.affiliate_url == "https://s.example/a%2Fb%3Fc?c=7"
        assert read_record(GOOD, mapping).rejects == (Reject("affiliate_url", "missing"),)

    @pytest.mark.parametrize(
        ("stock", "published", "answer"),
        [
            ("in_stock", None, True), ("In Stock", None, True), ("https://schema.org/OutOfStock", None, False),
            ("preorder", None, False), ("0", None, False), (Decimal("2.0"), None, True), (False, None, False),
            (5, "draft", False), (5, "TRUE", True),
        ],
    )  # fmt: skip
    def test_stock(self, stock: object, published: object, answer: bool) -> None:
        assert product(stock=stock, published=published).in_stock is answer

    def test_a_number_of_googles_taxonomy_is_its_path(self) -> None:
        reader = Reader(MAPPING, NOW, {784: ["Media", "Books"], 96: None})
        assert reader.read({**GOOD, "category": "784"}).product.category == ["Media", "Books"]  # type: ignore[union-attr]
        unnamed = reader.read({**GOOD, "category": " 96"}).product
        assert unnamed is not None
        assert (unnamed.category, unnamed.google) == (None, "96")
        unknown = reader.read({**GOOD, "category": "99"})
        assert unknown.product is not None
        assert unknown.product.category is None
        assert [(warning.field, warning.value) for warning in unknown.warnings] == [("category", "99")]

    def test_more_than_40_tags_are_cut(self) -> None:
        assert len(product(tags=[f"t{i}" for i in range(60)]).tags) == 40

    def test_continuations_share_the_key_and_lack_the_title(self) -> None:
        mapping = parse_mapping((MAPPINGS / "shopify.toml").read_text(encoding="utf-8"), SHOP)
        first = {"handle": "pot", "title": "Pot"}
        assert continues({"handle": "pot", "title": ""}, first, mapping)
        assert not continues({"handle": "mug", "title": ""}, first, mapping)
        assert not continues({"handle": "pot", "title": "Pot again"}, first, mapping)
        assert not continues({"handle": "pot", "title": ""}, None, mapping)


class TestSale:
    SALE = parse_mapping(SMALL.replace("[fields]", '[fields]\nsale_price = "sale"\nsale_price_effective_date = "when"'))

    @pytest.mark.parametrize(
        ("sale", "when", "now", "stored", "warned"),
        [
            ("15.00", "2026-06-01T00:00Z/2026-07-01T00:00Z", 1500, 1500, ""),
            ("15.00", "2026-07-01T00:00Z/2026-08-01T00:00Z", 1999, 1500, ""),
            ("15.00", "2026-06-01T00:00Z/2026-06-15T12:00Z", 1999, 1500, ""),
            ("15.00 GBP", "", 1500, 1500, ""),
            ("", "2026-06-01T00:00Z/2026-07-01T00:00Z", 1999, None, ""),
            ("19.99", "", 1999, None, ""),
            ("25.00", "", 1999, None, "sale_price"),
            ("15.00 EUR", "", 1999, None, "sale_price"),
            ("cheap", "", 1999, None, "sale_price"),
            ("15.00", "soon", 1999, None, "sale_price_effective_date"),
        ],
    )
    def test_what_is_paid_now(self, sale: str, when: str, now: int, stored: int | None, warned: str) -> None:
        reading = read_record({**GOOD, "sale": sale, "when": when}, self.SALE)
        assert reading.product is not None
        assert (reading.product.price_minor, reading.product.sale_price_minor) == (now, stored)
        assert reading.product.regular_price_minor == (1999 if stored else None)
        assert [warning.field for warning in reading.warnings] == ([warned] if warned else [])


class TestImages:
    @pytest.mark.parametrize(
        ("separator", "images", "image", "found"),
        [
            (
                ",",
                "https://i.example/a,w_3/1.jpg, https://i.example/2.jpg,https://i.example/3.jpg",
                None,
                "a,w_3/1.jpg 2.jpg 3.jpg",
            ),
            ("|", "https://i.example/1.jpg|https://i.example/2.jpg", None, "1.jpg 2.jpg"),
            (" ", "https://i.example/1.jpg  https://i.example/2.jpg", None, "1.jpg 2.jpg"),
            (",", ["https://i.example/1.jpg", "https://i.example/1.jpg"], "https://i.example/2.jpg", "1.jpg 2.jpg"),
            (",", "https://i.example/1.jpg, n/a", None, "1.jpg"),
        ],
    )
    def test_several_in_one_value(self, separator: str, images: object, image: str | None, found: str) -> None:
        text = SMALL.replace('["images.0", "image"]', '["images", "image"]')
        mapping = parse_mapping(f'image_separator = "{separator}"\n{text}')
        made = read_record({**GOOD, "images": images, "image": image}, mapping).product
        assert made is not None
        names = [address.removeprefix("https://i.example/") for address in made.images or [str(made.image_url)]]
        assert names == found.split()
        assert (made.image_url or "").endswith(found.split()[0])

    def test_http_becomes_https_where_the_mapping_says_so(self) -> None:
        mapping = parse_mapping("upgrade_http = true\n" + SMALL)
        made = read_record({**GOOD, "url": "http://s.example/1", "image": "HTTP://s.example/2"}, mapping).product
        assert made is not None
        assert (made.affiliate_url, made.image_url) == ("https://s.example/1", "https://s.example/2")


class TestCategories:
    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ("Home, Home > Kitchen", ["Home", "Kitchen"]),
            ("A > B, C > D", ["A", "B"]),
            ("Food > Rice\\, beans, Food", ["Food", "Rice, beans"]),
            ("Salt &amp; Pepper", ["Salt & Pepper"]),
            (", ", None),
        ],
    )
    def test_the_deepest_of_several_paths(self, value: str, path: list[str] | None) -> None:
        made = read_record(
            {**GOOD, "category": value}, parse_mapping('category_list_separator = ","\n' + SMALL)
        ).product
        assert made is not None
        assert made.category == path


def test_size_and_colour_are_options() -> None:
    mapping = parse_mapping(
        'options = [["o1", "v1"], ["o2", "v2"]]\n'
        + SMALL.replace("[fields]", '[fields]\nsize = "size"\ncolour = "tint"\nitem_group = "group"')
    )
    record = {
        **GOOD,
        "size": "M",
        "tint": "deep &amp; red",
        "group": "G1",
        "o1": "Fit",
        "v1": "slim",
        "o2": "T",
        "v2": "",
    }
    made = read_record(record, mapping).product
    assert made is not None
    assert made.item_group == "G1"
    assert json.loads(made.options) == [
        {"name": "size", "value": "M"}, {"name": "color", "value": "deep & red"}, {"name": "fit", "value": "slim"},
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "http://schema.org/", "https://www.schema.org/", "schema.org/"])
@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("InStock", True), ("LimitedAvailability", True), ("OnlineOnly", True), ("MadeToOrder", True),
        ("OutOfStock", False), ("SoldOut", False), ("Discontinued", False), ("InStoreOnly", False),
        ("Reserved", False), ("PreOrder", False), ("PreSale", False), ("BackOrder", False),
    ],
)  # fmt: skip
def test_words_of_schema_org(prefix: str, word: str, answer: bool) -> None:
    assert product(stock=prefix + word).in_stock is answer


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("available for order", True), ("in_stock", True), ("low stock", True), ("onbackorder", False),
        ("pending", False), ("mark_as_sold", False), ("instock", True), ("outofstock", False), ("backordered", False),
    ],
)  # fmt: skip
def test_words_of_google_meta_and_woocommerce(word: str, answer: bool) -> None:
    assert product(stock=word).in_stock is answer


class TestPrice:
    @pytest.mark.parametrize("text", ["19.99", "19.99 GBP", "GBP 19.99", "GBP19.99", "19.990", Decimal("19.99"), 19.99])
    def test_spellings(self, text: object) -> None:
        assert parse_price(text, "GBP") == (1999, "GBP")

    @pytest.mark.parametrize(
        "text",
        ["", "free", "19,99", "£19.99", "1,299.00", "GBP 1 GBP", "1e3", "-1", "0", "0.00", "NaN", "1.999", "XXX 1",
         "10000000.01", "٣", True, None, [], float("nan"), float("inf"), Decimal("sNaN"), Decimal("1E+999999"),
         Decimal("1E-999999"), 10**4000, Decimal("19.990000000000000000000000000000001"), "5 JPY GBP"],
    )  # fmt: skip
    def test_refused(self, text: object) -> None:
        with pytest.raises(BadValue):
            parse_price(text, "GBP")

    @given(st.integers(1, 10**9), st.sampled_from(sorted(EXPONENTS)), st.booleans())
    def test_every_amount_comes_back_exactly(self, minor: int, currency: str, in_front: bool) -> None:
        amount = f"{Decimal(minor).scaleb(-EXPONENTS[currency]):f}"
        text = f"{currency} {amount}" if in_front else f"{amount}{currency.lower()}"
        assert parse_price(text, None) == (minor, currency)
        assert parse_price(Decimal(amount), currency) == (minor, currency)


class TestGtin:
    @pytest.mark.parametrize("text", ["96385074", "036000291452", "4006381333931", "14006381333938", 4006381333931])
    def test_right(self, text: object) -> None:
        assert parse_gtin(text) == str(text)

    @pytest.mark.parametrize(
        "text", ["", "0000000000000", "4006381333930", "123", "9.78043902348e+12", "٤٠٠٦٣٨١٣٣٣٩٣١"]
    )
    def test_wrong(self, text: object) -> None:
        with pytest.raises(BadValue):
            parse_gtin(text)

    @pytest.mark.parametrize(
        ("isbn", "gtin"),
        [("439023483", "9780439023481"), ("0-439-02348-3", "9780439023481"), ("043965548X", "9780439655484")],
    )
    def test_isbn10_is_rebuilt_with_its_lost_zeros(self, isbn: str, gtin: str) -> None:
        assert parse_gtin(isbn, isbn10=True) == gtin

    @given(st.integers(1, 10**13 - 1), st.sampled_from([8, 12, 13, 14]), st.data())
    def test_any_single_wrong_digit_is_found(self, number: int, length: int, data: st.DataObject) -> None:
        body = f"{number % 10 ** (length - 1) or 1:0{length - 1}d}"
        [right] = [body + digit for digit in "0123456789" if _accepted(body + digit)]
        place = data.draw(st.integers(0, length - 1))
        other = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != right[place]))
        assert not _accepted(right[:place] + other + right[place + 1 :])


def _accepted(text: str) -> bool:
    try:
        parse_gtin(text)
    except BadValue:
        return False
    return True


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(st.characters(), max_size=40)
    | st.sampled_from(["<![if x", "<!DOCTYPE [", "<a <b", "&#xD800;", "https://", "https://a.example/\udcff", "1 GBP"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = (
    "sku",
    "title",
    "text",
    "price",
    "currency",
    "url",
    "images",
    "tags",
    "stock",
    "brand",
    "category",
    "codes",
    "stars",
)


# The first draw builds Hypothesis's tables of Unicode, which takes seconds.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING)))
def test_no_record_raises_and_each_is_a_product_or_has_reasons(record: dict[str, object]) -> None:
    reading = read_record({**GOOD, **record}, MAPPING)
    assert (reading.product is None) == bool(reading.rejects)
    if reading.product is not None:
        for value in reading.product:
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    assert "\x00" not in text
                    text.encode()


@settings(deadline=None)
@given(st.text())
def test_slugs_are_kebab_case_and_stable(text: str) -> None:
    slug = slugify(text)
    assert slugify(slug) == slug
    assert slug == "-".join(part for part in slug.split("-") if part)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("1013", "1013"),
        (" 0784 ", "784"),
        ("Toys & Games > Puzzles", "toys-games>puzzles"),
        ("Home & Garden", "home-garden"),
        ("0", None),
        (">", None),
        ("9" * 30, "9" * 9),
    ],
)
def test_google_categories_are_numbers_or_paths(value: str, read: str | None) -> None:
    assert parse_google_category(value) == read


@pytest.mark.parametrize(
    ("pattern", "like"), [("tea", "%-tea-%"), ("candle*", "%-candle%"), ("*spiele", "%spiele-%"), ("*a-b*", "%a-b%")]
)
def test_patterns_of_categories_match_whole_words(pattern: str, like: str) -> None:
    assert like_pattern(pattern) == like
