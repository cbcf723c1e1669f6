"""Product feeds: a mapping says which field of a shop's record feeds which column; a record becomes a product.

Pure: reading files and writing rows is db/product_imports.py. The format is described in catalogue/mappings/README.md.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from html.parser import HTMLParser
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from domain.money import EXPONENTS

MAX_NAME = 500
MAX_DESCRIPTION = 50_000
MAX_KEY = 255
MAX_URL = 2048
MAX_TAGS = 40
MAX_LEVELS = 8
# 10 million at two decimals. Counted in minor units, so that it is no limit for the dong or the won.
MAX_PRICE_MINOR = 10**9

Column = Literal[
    "external_id", "name", "description", "price", "currency", "image_url", "affiliate_url", "tags", "in_stock",
    "brand", "category", "gtin", "popularity", "retailer",
]  # fmt: skip
_T = TypeVar("_T")


class ImportFailed(ValueError):
    """The import as a whole cannot be done: the file or the mapping is at fault. Nothing was written."""


class BadValue(ValueError):
    """One value of one record is refused; its text is the reason a reject gives."""


class Retailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shop of the feed, or (without a slug) what the shops named by the `retailer` field have in common."""

    slug: str | None = None
    name: str | None = None
    network: str | None = None
    domain: str | None = None


class Continuation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that go on with the product above them: the same `key`, and nothing in `empty`."""

    key: str
    empty: str


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read one kind of feed. `parse_mapping` makes it."""

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


def parse_mapping(text: str) -> Mapping:
    """The mapping of a TOML text. ImportFailed says what is unknown, missing or of the wrong type."""
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
    return mapping


class Product(NamedTuple):
    """A validated record. Slugs stand for the retailer, brand and category; category_slugs runs from root to leaf."""

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


class Reject(NamedTuple):
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record says: a product or rejects, and the (retailer slug, external id) it stands for."""

    product: Product | None
    rejects: tuple[Reject, ...]
    warnings: tuple[Reject, ...]
    key: tuple[str, str] | None


def continues(record: Lookup[str, object], previous: Lookup[str, object] | None, mapping: Mapping) -> bool:
    """Whether the record is a further variant or image of the product of the record above it."""
    rule = mapping.continuation
    if rule is None or previous is None or not _blank(value_at(record, rule.empty)):
        return False
    key = value_at(record, rule.key)
    return not _blank(key) and key == value_at(previous, rule.key)


def read_record(record: Lookup[str, object], mapping: Mapping) -> Reading:
    """Validates one record. Never raises for what the record holds."""
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
    )
    return Reading(product, (), tuple(warnings), key)


def value_at(record: Lookup[str, object], path: str) -> object:
    """The field of that name, else what the dotted path leads to (`meta.barcode`, `images.0`); None: nothing there."""
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


def _blank(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _values(record: Lookup[str, object], mapping: Mapping, column: Column, constant: bool = True) -> list[object]:
    """What the fields of the column hold, or its constant where they hold nothing."""
    values = [v for path in mapping.fields.get(column, ()) if not _blank(v := value_at(record, path))]
    template = mapping.constants.get(column) if constant and not values else None
    if template is None:
        return values
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        value = value_at(record, match[1])
        missing = missing or _blank(value)
        text = "" if missing else as_text(value)
        return quote(text, safe="") if column.endswith("_url") else text

    filled = _TEMPLATE.sub(fill, template)
    return [] if missing else [filled]


_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_APOSTROPHE = re.compile("['\u2019`]")
_WORD = re.compile("[a-z0-9]+")
_OPEN_TAG = re.compile("<(?![^<>]*>)")
_TEMPLATE = re.compile(r"\{([^{}]+)\}")


def as_text(value: object) -> str:
    """Text or a whole number as text. Lone surrogates (bytes that were not UTF-8) are refused."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    if not isinstance(value, str):
        raise BadValue("not a text")
    if _SURROGATE.search(value):
        raise BadValue("not valid UTF-8")
    return value


def as_number(value: object) -> Decimal:
    """A finite number, or the text of one in plain decimal notation."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", value.strip(), re.ASCII):
        return Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise BadValue("not a number")
    number = Decimal(str(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise BadValue("not a number")
    return number


def clean_text(value: object, limit: int) -> str:
    """One line of text: control characters are dropped, runs of space become one."""
    # Split first: some of what parts words is a control character.
    text = _CONTROL.sub("", " ".join(as_text(value).split())).strip()
    if not text:
        raise BadValue("missing")
    if len(text) > limit:
        raise BadValue(f"longer than {limit} characters")
    return text


def parse_key(value: object) -> str:
    """The shop's own id of the product. Taken as it is: cleaning could make two ids one."""
    text = as_text(value).strip()
    if _CONTROL.search(text):
        raise BadValue("control characters")
    if len(text) > MAX_KEY:
        raise BadValue(f"longer than {MAX_KEY} characters")
    return text


class _Text(HTMLParser):
    """Collects the text of HTML, without scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden = tag in ("script", "style")
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def parse_description(value: object) -> str:
    """The text of a description, which may be HTML; "" where only mark-up was there."""
    text = as_text(value)
    if len(text) > MAX_DESCRIPTION:
        raise BadValue(f"longer than {MAX_DESCRIPTION} characters")
    if "<" in text or "&" in text:
        # Open comments and tags cost the parser quadratic time (a hostile line would take a minute): comments are cut
        # out first, and a < without its > is text.
        head, *comments = text.split("<!--")
        text = head + "".join(
            after if closed else part for part in comments for _, closed, after in [part.partition("-->")]
        )
        text = _OPEN_TAG.sub("&lt;", text)
        parser = _Text()
        try:
            parser.feed(text)
            parser.close()
        except AssertionError:  # how the parser answers some malformed declarations
            raise BadValue("unreadable HTML") from None
        text = "".join(parser.parts)
    return clean_text(text, MAX_DESCRIPTION) if text.strip() else ""


@lru_cache(maxsize=16384)  # the brands, categories and tags of a feed repeat
def slugify(text: str) -> str:
    """Kebab-case: accents go, apostrophes vanish (Levi's: levis), the letters and digits of ASCII stay."""
    text = _APOSTROPHE.sub("", text)
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "-".join(_WORD.findall(text.casefold()))


def parse_named(value: object) -> tuple[str, str]:
    """(slug, name) of a brand, a shop or a level of a category. A name without Latin letters has its codes as slug."""
    name = clean_text(value, 200)
    return slugify(name) or "-".join(f"u{ord(c):x}" for c in name if not c.isspace()), name


def parse_category(value: object, separator: str | None) -> tuple[list[str], list[str]] | None:
    """Slugs and names from the root to the leaf. A slug holds those of its parents (men-shoes is not women-shoes).

    Levels without a letter (a taxonomy's number) are left out; None: no level is left.
    """
    if not isinstance(value, list):
        value = as_text(value).split(separator) if separator else [value]
    named = [parse_named(level) for level in value if not _blank(level) and any(c.isalpha() for c in as_text(level))]
    if len(named) > MAX_LEVELS:
        raise BadValue(f"more than {MAX_LEVELS} levels")
    slugs = ["-".join(slug for slug, _ in named[: depth + 1]) for depth in range(len(named))]
    if slugs and len(slugs[-1]) > MAX_KEY:
        raise BadValue(f"slug longer than {MAX_KEY} characters")
    return (slugs, [name for _, name in named]) if slugs else None


def parse_tags(values: object, separator: str) -> list[str]:
    """Kebab-case tags of texts and lists of texts, each once, in their order; those beyond 40 are left out."""
    texts: list[object] = []
    for value in values if isinstance(values, list) else [values]:
        texts.extend(value if isinstance(value, list) else as_text(value).split(separator))
    tags = (slugify(clean_text(text, 100)) for text in texts if not _blank(text))
    return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


_HOST = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9](?::\d{1,5})?", re.IGNORECASE | re.ASCII
)
_AUTHORITY = re.compile("[^/?#]*")
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F))).translate({ord(c): None for c in '"<>\\^`{|}'})


def parse_url(value: object) -> str:
    """An https address without credentials. Spaces and letters beyond ASCII in it are percent-encoded."""
    text = as_text(value).strip()
    if _CONTROL.search(text):
        raise BadValue("control characters")
    if text[:8].lower() != "https://":
        raise BadValue("not an https address")
    text = "https://" + quote(text[8:], safe=_URL_CHARACTERS)
    if len(text) > MAX_URL:
        raise BadValue(f"longer than {MAX_URL} characters")
    host = _AUTHORITY.match(text, 8)[0]  # type: ignore[index]
    if "@" in host:
        raise BadValue("credentials in the address")
    if not _HOST.fullmatch(host):
        raise BadValue("no valid host name")
    return text


def parse_currency(value: object) -> str:
    """The upper-case code of a known currency."""
    code = as_text(value).strip().upper()
    if code not in EXPONENTS:
        raise BadValue("unknown currency")
    return code


_PRICE = re.compile(r"(?:([A-Z]{3})\s*)?(\d{1,12}(?:\.\d{1,12})?)(?:(?(1)$|\s*([A-Z]{3})))?", re.IGNORECASE | re.ASCII)


def parse_price(value: object, currency: str | None, *, fixed_currency: bool = False) -> tuple[int, str]:
    """Minor units and currency of 19.99, "19.99", "19.99 GBP" or "GBP 19.99".

    `currency` holds where the price names none; with `fixed_currency` a price that names another one is refused.
    Decimal commas, thousands separators and symbols are refused: they cannot be told apart with certainty.
    """
    match = _PRICE.fullmatch(value.strip()) if isinstance(value, str) else None
    named = match and (match[1] or match[3])
    amount = as_number(match[2] if match else value)
    if named:
        named = parse_currency(named)
        if fixed_currency and currency and named != currency:
            raise BadValue("the price names another currency than the currency field")
    code = named or currency
    if code is None:
        raise BadValue("no currency")
    if amount <= 0:
        raise BadValue("zero or negative")
    if amount.adjusted() > 12:
        raise BadValue("absurdly high")
    # Beyond 25 digits scaleb would round, and what was too much would be gone.
    minor = amount.scaleb(EXPONENTS[code])
    if len(amount.as_tuple().digits) > 25 or minor != minor.to_integral_value():
        raise BadValue(f"more decimals than {code} has")
    if minor > MAX_PRICE_MINOR:
        raise BadValue("absurdly high")
    return int(minor), code


def parse_gtin(value: object, *, isbn10: bool = False) -> str:
    """A GTIN-8, 12, 13 or 14 whose check digit is right, as its digits.

    With `isbn10` a value of up to ten characters is an ISBN-10, if need be without its leading zeros (spreadsheets
    drop them), and becomes the ISBN-13; such a feed has no GTIN-8.
    """
    digits = re.sub(r"[\s-]", "", as_text(value)).upper()
    if isbn10 and len(digits) <= 10:
        digits = digits.zfill(10)
        if not re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII) or not int(digits[:9]):
            raise BadValue("not an ISBN")
        if sum((10 - i) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11:
            raise BadValue("wrong check digit")
        digits = "978" + digits[:9]
        return digits + _check_digit(digits)
    if not re.fullmatch(r"\d{8}|\d{12,14}", digits, re.ASCII) or not int(digits):
        raise BadValue("not 8, 12, 13 or 14 digits")
    if digits[-1] != _check_digit(digits[:-1]):
        raise BadValue("wrong check digit")
    return digits


def _check_digit(body: str) -> str:
    return str(-sum(int(c) * (1 if i % 2 else 3) for i, c in enumerate(reversed(body))) % 10)


# What can be sent now: a pre-order is no gift for next week.
_IN_STOCK = {"true", "yes", "y", "in stock", "instock", "available", "low stock", "limited availability", "active"}
_OUT_OF_STOCK = {
    "false", "no", "n", "out of stock", "outofstock", "unavailable", "sold out", "soldout", "discontinued",
    "preorder", "pre order", "backorder", "back order", "draft", "archived",
}  # fmt: skip


def parse_in_stock(values: object) -> bool:
    """Numbers above zero, booleans and words, Google's and schema.org's among them; several fields must all say yes."""
    return all(_is_available(value) for value in (values if isinstance(values, list) else [values]))


def _is_available(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = as_text(value).strip().lower() if isinstance(value, str) else ""
    word = re.sub(r"[\s_-]+", " ", re.sub(r"^https?://schema\.org/", "", word))
    if word in _IN_STOCK or word in _OUT_OF_STOCK:
        return word in _IN_STOCK
    try:
        return as_number(value) > 0
    except BadValue:
        raise BadValue("neither a number nor a known word for in or out of stock") from None


def parse_popularity(value: object, maximum: float) -> float:
    """0..1: the number as a share of `maximum`."""
    number = as_number(value)
    if not 0 <= number <= Decimal(maximum):
        raise BadValue("not between 0 and popularity_max")
    return float(number) / maximum
