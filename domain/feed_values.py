"""Parses the values of a product feed: text, keys, URLs, images, tags, categories, GTINs, availability.

Every `parse_` function takes a raw value (text, a number, a JSON value), and returns the clean value or raises
BadValue. Prices are in feed_prices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial

from domain.feed_text import decode_entities, remove_markup, slugify, tag_of
from domain.hosts import BadAddress, clean_https

MAX_DESCRIPTION = 50_000
MAX_KEY = 255
MAX_URL = 2048
MAX_TAGS = 40
MAX_LEVELS = 8
MAX_IMAGES = 20
MAX_CACHED_CHARACTERS = 500  # of a text whose value is cached; a hostile feed has a hundred thousand long ones
MISSING = "missing"


class BadValue(ValueError):
    """A value of a record is refused; the message is the reason that the file of rejects has."""


_NEXT_ADDRESS = re.compile(r"[\s|]+(?=https?://)", re.IGNORECASE)
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#[xX]0*26);")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def is_blank(value: object) -> bool:
    """Whether there is no value; an object of JSON is none."""
    return value is None or value == [] or isinstance(value, dict) or (isinstance(value, str) and not value.strip())


def value_at(record: Mapping[str, object], path: str) -> object:
    """The field with that name, else the value at a dotted path (`meta.barcode`, `images.0`); None if there is none.
    `media.*.url` are those of all items of a list, `media.[type=image].url` of the items with that value."""
    if path in record:
        return record[path]
    if "." not in path:
        return None
    value: object = record
    parts = path.split(".")
    for index, part in enumerate(parts):
        if isinstance(value, list) and (part == "*" or part[:1] == "["):
            name, _, wanted = part.strip("[]").partition("=")
            items = [item for item in value if isinstance(item, dict)]
            chosen = items if part == "*" else [i for i in items if str(i.get(name)).lower() == wanted.lower()]
            rest = ".".join(parts[index + 1 :])
            return [found for item in chosen if not is_blank(found := value_at(item, rest))]
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and len(part) < 6:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def as_text(value: object) -> str:
    """Text or a whole number as text. Lone surrogates (bytes that were not UTF-8) are refused."""
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise BadValue("not valid UTF-8")
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    raise BadValue("not a text")


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
    # Split first, as some separators are control characters.
    text = " ".join(as_text(value).split())
    if not text.isprintable():
        text = _CONTROL.sub("", text).strip()
        text = text if any(map(str.isprintable, text)) else ""  # of invisible signs only
    if not text:
        raise BadValue(MISSING)
    if len(text) > limit:
        raise BadValue(f"longer than {limit} characters")
    return text


def parse_key(value: object) -> str:
    """The shop's own id of the product, unchanged: cleaning could merge two ids."""
    text = as_text(value).strip()
    if _CONTROL.search(text):
        raise BadValue("control characters")
    if len(text) > MAX_KEY:
        raise BadValue(f"longer than {MAX_KEY} characters")
    return text


def parse_text(value: object, limit: int, *, decoded: bool = False) -> str:
    """One line of text without entities and mark-up, which names have too. `decoded`: the format has decoded entities
    already, and those left are meant, unless mark-up says that the text is HTML."""
    text = as_text(value)
    if len(text) > 2 * MAX_DESCRIPTION:
        raise BadValue(f"longer than {limit} characters")
    if "&" in text and not (decoded and "<" not in text):
        text = decode_entities(text)
    return clean_text(remove_markup(text), limit)


def parse_description(value: object, *, decoded: bool = False) -> str:
    """The text of a description, which may be HTML; "" if there is only mark-up."""
    if len(as_text(value)) > MAX_DESCRIPTION:
        raise BadValue(f"longer than {MAX_DESCRIPTION} characters")
    return _or_empty(partial(parse_text, value, MAX_DESCRIPTION, decoded=decoded))


def parse_brand(value: object, *, decoded: bool = False) -> str:
    """Its name or slug; "" if there are only spaces and mark-up (`&nbsp;`)."""
    return _or_empty(partial(parse_named, value, decoded=decoded))


def _or_empty(parse: Callable[[], str]) -> str:
    try:
        return parse()
    except BadValue as reason:
        if str(reason) == MISSING:
            return ""
        raise


def parse_named(value: object, *, decoded: bool = False) -> str:
    """The name, or the slug, of a brand, a shop or a category level."""
    text = as_text(value)
    return _name_of(text, decoded) if len(text) <= MAX_CACHED_CHARACTERS else parse_text(text, 200, decoded=decoded)


@lru_cache(maxsize=16384)  # the names and tags of a feed repeat
def _name_of(text: str, decoded: bool) -> str:
    return parse_text(text, 200, decoded=decoded)


@lru_cache(maxsize=65536)
def _short_tag_in(text: str, decoded: bool) -> str:
    return tag_of(parse_text(text, 100, decoded=decoded))


def _tag_in(text: str, decoded: bool) -> str:
    is_short = len(text) <= MAX_CACHED_CHARACTERS
    return _short_tag_in(text, decoded) if is_short else tag_of(parse_text(text, 100, decoded=decoded))


def parse_category(
    value: object, separator: str | None, list_separator: str | None = None, *, decoded: bool = False
) -> list[str] | None:
    """The names of the levels from the root to the leaf; of several paths the deepest, the first of equally deep ones.

    Levels without a letter (a taxonomy's number) are skipped; None if no level remains.
    """
    paths: list[list[object]] = []
    for text in value if isinstance(value, list) and list_separator else [value]:
        if isinstance(text, list):
            paths.append(text if decoded else [decode_entities(as_text(level)) for level in text])
            continue
        whole = as_text(text) if decoded else decode_entities(as_text(text))
        for path in _split_list(whole, list_separator) if list_separator else [whole]:
            paths.append([*path.split(separator)] if separator else [path])
    found: list[str] = []
    for levels_of_path in paths:
        levels = [
            parse_named(level, decoded=True)
            for level in levels_of_path
            if not is_blank(level) and any(map(str.isalpha, as_text(level)))
        ]
        if len(levels) > MAX_LEVELS:
            raise BadValue(f"more than {MAX_LEVELS} levels")
        found = levels if len(levels) > len(found) else found
    return found or None


def _split_list(text: str, separator: str) -> list[str]:
    """The parts of a list in which a backslash takes its meaning from the separator, as WooCommerce exports it."""
    parts = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return [part.replace("\\" + separator, separator) for part in parts]


def parse_google_category(value: object) -> str | None:
    """A number of Google's product taxonomy as it is, or the levels of a path in kebab-case: 'toys-games>puzzles'."""
    levels = [level.strip() for level in as_text(value).split(">")]
    if len(levels) == 1 and levels[0].isascii() and levels[0].isdecimal():
        return levels[0].lstrip("0")[:9] or None
    return (
        ">".join(slug for level in levels[:MAX_LEVELS] if (slug := slugify(level[:MAX_CACHED_CHARACTERS])))[:MAX_KEY]
        or None
    )


def parse_tags(values: object, separator: str, *, decoded: bool = False) -> list[str]:
    """Kebab-case tags from texts and lists of texts, in order and without duplicates; those beyond 40 are dropped."""
    texts: list[object] = []
    for value in values if isinstance(values, list) else [values]:
        whole = value if isinstance(value, list) or decoded else decode_entities(as_text(value))
        texts.extend(whole if isinstance(whole, list) else as_text(whole).split(separator))
    tags = (_tag_in(as_text(text), decoded) for text in texts if not is_blank(text))
    return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def parse_url(value: object, *, upgrade: bool = False) -> str:
    """An https URL without credentials. Spaces and non-ASCII letters are percent-encoded, international hosts written
    in ASCII; `&amp;`, of exports that escape addresses as HTML, becomes &. `upgrade`: http becomes https."""
    try:
        text = as_text(value)
        text = clean_https(_AMPERSAND.sub("&", text) if "&" in text else text, upgrade=upgrade)
    except BadAddress as reason:
        raise BadValue(str(reason)) from None
    if len(text) > MAX_URL:
        raise BadValue(f"longer than {MAX_URL} characters")
    return text


def split_images(value: object, separator: str | None) -> list[object]:
    """The addresses in one value; without a separator the first. A comma separates only before a space or the next
    address: addresses have commas. A space or | before an address always separates, as no address has them."""
    if isinstance(value, list):
        return [part for item in value for part in split_images(item, separator)]
    if not isinstance(value, str):
        return [value]
    has_next = value.find("http", 1) > 0 or value.find("HTTP", 1) > 0
    parts = _NEXT_ADDRESS.split(value.strip()) if has_next else [value]
    if separator is None:
        return [*parts[:1]]
    if len(parts) > 1:
        return [part for text in parts for part in split_images(text, separator)]
    if separator.isspace():
        return [*value.split()]
    rule = re.escape(separator)
    if separator == ",":
        rule += r"(?=\s|https?:|/|$)"
    return [*filter(None, map(str.strip, re.split(rule, value)))]


def parse_gtin(value: object, *, isbn10: bool = False) -> str:
    """The digits of a GTIN-8, 12, 13 or 14 with a valid check digit.

    With `isbn10` a value of up to ten characters is an ISBN-10, possibly without its leading zeros (spreadsheets drop
    them), and is converted to ISBN-13; such a feed has no GTIN-8.
    """
    digits = re.sub(r"[\s-]", "", as_text(value).removeprefix("'")).upper()  # the apostrophe is a spreadsheet's
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


# What is sent now. A pre-order or back order would not arrive in time for a gift.
_IN_STOCK = {
    "true", "yes", "y", "t", "in_stock", "instock", "available", "available_for_order", "low_stock",
    "limited_availability", "limitedavailability", "online_only", "onlineonly", "made_to_order", "madetoorder",
    "active", "limited", "limited_stock",
}  # fmt: skip
_OUT_OF_STOCK = {
    "false", "no", "n", "f", "out_of_stock", "outofstock", "out", "unavailable", "not_available", "sold_out", "soldout",
    "sold", "discontinued", "mark_as_sold", "preorder", "pre_order", "presale", "pre_sale", "backorder", "back_order",
    "backordered", "on_backorder", "onbackorder", "in_store_only", "instoreonly", "reserved", "pending", "draft",
    "archived", "unlisted", "inactive",
}  # fmt: skip

_SCHEMA_ORG = re.compile(r"^(?:https?:)?(?://)?(?:www\.)?schema\.org/|^schema:")


def parse_in_stock(values: object) -> bool:
    """Numbers above zero, booleans, and words including Google's and schema.org's; with several fields all must
    agree."""
    return all(_is_available(value) for value in (values if isinstance(values, list) else [values]))


def _is_available(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = as_text(value).strip().lower() if isinstance(value, str) else ""
    word = re.sub(r"[\s_-]+", "_", _SCHEMA_ORG.sub("", word)).strip("_/")
    if word in _IN_STOCK or word in _OUT_OF_STOCK:
        return word in _IN_STOCK
    try:
        return as_number(value) > 0
    except BadValue:
        raise BadValue("neither a number nor a known word for in or out of stock") from None


def parse_popularity(value: object, maximum: float) -> float:
    """The number as a share of `maximum`, 0..1."""
    number = as_number(value)
    if not 0 <= number <= Decimal(maximum):
        raise BadValue("not between 0 and popularity_max")
    return float(number) / maximum
