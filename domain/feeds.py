"""Product feeds: a mapping assigns fields of a shop's records to columns, and records are converted to products.

Pure: db/product_imports.py reads files and writes rows. The format is documented in catalogue/mappings/README.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from domain.feed_values import (
    BadValue,
    as_text,
    clean_text,
    is_blank,
    parse_category,
    parse_currency,
    parse_description,
    parse_google_category,
    parse_gtin,
    parse_in_stock,
    parse_key,
    parse_named,
    parse_popularity,
    parse_price,
    parse_tags,
    parse_url,
    slugify,
)

MAX_NAME = 500

_PATTERN = re.compile(r"^\*?[a-z0-9]+(-[a-z0-9]+)*\*?$")
_TEMPLATE = re.compile(r"\{([^{}]+)\}")

Column = Literal[
    "external_id", "name", "description", "price", "currency", "image_url", "affiliate_url", "tags", "in_stock",
    "brand", "category", "google_category", "gtin", "popularity", "retailer",
]  # fmt: skip
_T = TypeVar("_T")


class ImportFailed(ValueError):
    """The whole import failed, because of the file or the mapping. Nothing was written."""


class Retailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shop of the feed, or, without a slug, defaults for the shops named by the `retailer` field."""

    slug: str | None = None
    name: str | None = None
    network: str | None = None
    domain: str | None = None


class Continuation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that continue the product above them: they have the same `key`, and nothing in the fields `empty`."""

    key: str
    empty: str


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read one kind of feed; created by `parse_mapping`."""

    format: Literal["jsonl", "csv", "tsv"]
    fields: dict[Column, tuple[str, ...]]
    constants: dict[Column, str] = {}
    retailer: Retailer = Retailer()
    continuation: Continuation | None = None
    delimiter: str | None = None
    tag_separator: str = ","
    category_separator: str | None = None
    popularity_max: float = 1.0
    wrong_gtin: Literal["reject", "drop"] = "reject"
    isbn10: bool = False
    categories: dict[str, str] = {}


def parse_mapping(text: str) -> Mapping:
    """Parses a mapping in TOML. Raises ImportFailed, which names what is unknown, missing or of the wrong type."""
    try:
        data = tomllib.loads(text)
        if isinstance(fields := data.get("fields"), dict):
            data["fields"] = {column: [paths] if isinstance(paths, str) else paths for column, paths in fields.items()}
        mapping = msgspec.convert(data, Mapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ImportFailed(f"mapping: {error}") from None
    for column in ("external_id", "name", "affiliate_url"):
        if column not in mapping.fields and column not in mapping.constants:
            raise ImportFailed(f"mapping: neither [fields] nor [constants] gives {column}")
    slug = mapping.retailer.slug
    if slug is None and "retailer" not in mapping.fields and "retailer" not in mapping.constants:
        raise ImportFailed("mapping: no retailer: give [retailer] slug, or the field that names it")
    if slug is not None and slugify(slug) != slug:
        raise ImportFailed("mapping: [retailer] slug is not in kebab-case")
    if not mapping.tag_separator or mapping.category_separator == "" or not mapping.popularity_max > 0:
        raise ImportFailed("mapping: separators must not be empty, popularity_max must be above 0")
    if mapping.delimiter is not None and (len(mapping.delimiter) != 1 or mapping.delimiter in '"\r\n'):
        raise ImportFailed("mapping: delimiter must be one character")
    for pattern in mapping.categories:
        if not _PATTERN.match(pattern):
            raise ImportFailed(f"mapping: [categories] {pattern!r} is not words in kebab-case, with * at an end at most")
    return mapping


def like_pattern(pattern: str) -> str:
    """A pattern of [categories] as one for SQL's LIKE, to match a level of a category between hyphens."""
    start, end = ("%" if pattern.startswith("*") else "%-"), ("%" if pattern.endswith("*") else "-%")
    return start + pattern.strip("*") + end


class Product(NamedTuple):
    """A validated record. Retailer, brand and category are slugs; category_slugs goes from root to leaf."""

    retailer_slug: str
    retailer_name: str
    external_id: str
    name: str
    description: str | None
    price_minor: int
    currency: str
    image_url: str | None
    affiliate_url: str
    tags: list[str]
    in_stock: bool
    brand_slug: str | None
    brand_name: str | None
    category_slugs: list[str]
    category_names: list[str]
    gtin: str | None
    feed_popularity: float | None
    google: str | None


class Reject(NamedTuple):
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The result for one record: a product or rejects, and its key (retailer slug, external id)."""

    product: Product | None
    rejects: tuple[Reject, ...]
    warnings: tuple[Reject, ...]
    key: tuple[str, str] | None


def continues(record: Lookup[str, object], previous: Lookup[str, object] | None, mapping: Mapping) -> bool:
    """Whether the record is another variant or image of the product above it."""
    rule = mapping.continuation
    if rule is None or previous is None or not is_blank(value_at(record, rule.empty)):
        return False
    key = value_at(record, rule.key)
    return not is_blank(key) and key == value_at(previous, rule.key)


def read_record(record: Lookup[str, object], mapping: Mapping) -> Reading:
    """Validates one record. Never raises for invalid content."""
    rejects: list[Reject] = []
    warnings: list[Reject] = []

    def read(column: Column, parse: Callable[[object], _T], required: bool = False) -> _T | None:
        try:
            values = _values(record, mapping, column)
            if values:
                return parse(values if column in ("tags", "in_stock") else values[0])
            if required:
                raise BadValue("missing")
        except BadValue as reason:
            lenient = column == "gtin" and mapping.wrong_gtin == "drop"
            (warnings if lenient else rejects).append(Reject(column, str(reason)))
        return None

    fixed = mapping.retailer
    shop = (fixed.slug, fixed.name or fixed.slug) if fixed.slug else read("retailer", parse_named, required=True)
    external_id = read("external_id", parse_key, required=True)
    name = read("name", lambda value: clean_text(value, MAX_NAME), required=True)
    currency = read("currency", parse_currency)
    stated = bool(_values(record, mapping, "currency", constant=False))
    price = None
    if not any(reject.field == "currency" for reject in rejects):
        price = read("price", lambda value: parse_price(value, currency, fixed_currency=stated), required=True)
    affiliate_url = read("affiliate_url", parse_url, required=True)
    description = read("description", parse_description)
    image_url = read("image_url", parse_url)
    tags = read("tags", lambda value: parse_tags(value, mapping.tag_separator)) or []
    in_stock = read("in_stock", parse_in_stock)
    brand = read("brand", parse_named)
    google = read("google_category", parse_google_category)
    category = read("category", lambda value: parse_category(value, mapping.category_separator))
    gtin = read("gtin", lambda value: parse_gtin(value, isbn10=mapping.isbn10))
    popularity = read("popularity", lambda value: parse_popularity(value, mapping.popularity_max))

    key = (str(shop[0]), external_id) if shop and external_id else None
    if rejects or not (shop and external_id and name and price and affiliate_url):
        return Reading(None, tuple(rejects), tuple(warnings), key)
    slugs, names = category or (["uncategorised"], ["Uncategorised"])
    product = Product(
        retailer_slug=str(shop[0]),
        retailer_name=str(shop[1]),
        external_id=external_id,
        name=name,
        description=description or None,
        price_minor=price[0],
        currency=price[1],
        image_url=image_url,
        affiliate_url=affiliate_url,
        tags=tags,
        in_stock=in_stock is not False,
        brand_slug=brand and brand[0],
        brand_name=brand and brand[1],
        category_slugs=slugs,
        category_names=names,
        gtin=gtin,
        feed_popularity=popularity,
        google=google,
    )
    return Reading(product, (), tuple(warnings), key)


def value_at(record: Lookup[str, object], path: str) -> object:
    """The field with that name, else the value at a dotted path (`meta.barcode`, `images.0`); None if there is none."""
    if path in record:
        return record[path]
    value: object = record
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and len(part) < 6:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def _values(record: Lookup[str, object], mapping: Mapping, column: Column, constant: bool = True) -> list[object]:
    """The values of a column's fields, or its constant if they are empty."""
    values = [v for path in mapping.fields.get(column, ()) if not is_blank(v := value_at(record, path))]
    template = mapping.constants.get(column) if constant and not values else None
    if template is None:
        return values
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        value = value_at(record, match[1])
        missing = missing or is_blank(value)
        text = "" if missing else as_text(value)
        return quote(text, safe="") if column.endswith("_url") else text

    filled = _TEMPLATE.sub(fill, template)
    return [] if missing else [filled]
