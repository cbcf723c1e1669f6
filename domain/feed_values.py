"""Parses the values of a product feed: text, keys, prices, URLs, tags, categories, GTINs.

Every `parse_` function takes a raw value (text, a number, a JSON value), and returns the clean value or raises
BadValue.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import quote

from domain.money import EXPONENTS

MAX_DESCRIPTION = 50_000
MAX_KEY = 255
MAX_URL = 2048
MAX_TAGS = 40
MAX_LEVELS = 8
# 10 million at two decimals. In minor units, so that it does not restrict the dong or the won.
MAX_PRICE_MINOR = 10**9


class BadValue(ValueError):
    """A value of a record is refused; the message is the reason that the file of rejects has."""


_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_APOSTROPHE = re.compile("['\u2019`]")
_WORD = re.compile("[a-z0-9]+")
_OPEN_TAG = re.compile("<(?![^<>]*>)")


def is_blank(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


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
    # Split first, as some separators are control characters.
    text = _CONTROL.sub("", " ".join(as_text(value).split())).strip()
    if not text:
        raise BadValue("missing")
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
    """The text of a description, which may be HTML; "" if there is only mark-up."""
    text = as_text(value)
    if len(text) > MAX_DESCRIPTION:
        raise BadValue(f"longer than {MAX_DESCRIPTION} characters")
    if "<" in text or "&" in text:
        # Unclosed comments and tags take the parser quadratic time (a hostile line would take a minute): comments are
        # removed first, and a < without its > is text.
        head, *comments = text.split("<!--")
        text = head + "".join(
            after if closed else part for part in comments for _, closed, after in [part.partition("-->")]
        )
        text = _OPEN_TAG.sub("&lt;", text)
        parser = _Text()
        try:
            parser.feed(text)
            parser.close()
        except AssertionError:  # raised by the parser for some malformed declarations
            raise BadValue("unreadable HTML") from None
        text = "".join(parser.parts)
    return clean_text(text, MAX_DESCRIPTION) if text.strip() else ""


@lru_cache(maxsize=16384)  # the brands, categories and tags of a feed repeat
def slugify(text: str) -> str:
    """Kebab-case: accents and apostrophes are removed (Levi's: levis), ASCII letters and digits stay."""
    text = _APOSTROPHE.sub("", text)
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "-".join(_WORD.findall(text.casefold()))


def parse_named(value: object) -> tuple[str, str]:
    """(slug, name) of a brand, a shop or a category level. The slug of a name without Latin letters is its code
    points."""
    name = clean_text(value, 200)
    return slugify(name) or "-".join(f"u{ord(c):x}" for c in name if not c.isspace()), name


def parse_category(value: object, separator: str | None) -> tuple[list[str], list[str]] | None:
    """Slugs and names from the root to the leaf. A slug includes those of its parents (men-shoes is not women-shoes).

    Levels without a letter (a taxonomy's number) are skipped; None if no level remains.
    """
    if not isinstance(value, list):
        value = as_text(value).split(separator) if separator else [value]
    named = [parse_named(level) for level in value if not is_blank(level) and any(c.isalpha() for c in as_text(level))]
    if len(named) > MAX_LEVELS:
        raise BadValue(f"more than {MAX_LEVELS} levels")
    slugs = ["-".join(slug for slug, _ in named[: depth + 1]) for depth in range(len(named))]
    if slugs and len(slugs[-1]) > MAX_KEY:
        raise BadValue(f"slug longer than {MAX_KEY} characters")
    return (slugs, [name for _, name in named]) if slugs else None


def parse_google_category(value: object) -> str | None:
    """A number of Google's product taxonomy as it is, or the levels of a path in kebab-case: 'toys-games>puzzles'."""
    levels = [level.strip() for level in as_text(value).split(">")]
    if len(levels) == 1 and levels[0].isascii() and levels[0].isdecimal():
        return levels[0].lstrip("0")[:9] or None
    return ">".join(slug for level in levels[:MAX_LEVELS] if (slug := slugify(level)))[:MAX_KEY] or None


def parse_tags(values: object, separator: str) -> list[str]:
    """Kebab-case tags from texts and lists of texts, in order and without duplicates; those beyond 40 are dropped."""
    texts: list[object] = []
    for value in values if isinstance(values, list) else [values]:
        texts.extend(value if isinstance(value, list) else as_text(value).split(separator))
    tags = (slugify(clean_text(text, 100)) for text in texts if not is_blank(text))
    return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


_HOST = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9](?::\d{1,5})?", re.IGNORECASE | re.ASCII
)
_AUTHORITY = re.compile("[^/?#]*")
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F))).translate({ord(c): None for c in '"<>\\^`{|}'})


def parse_url(value: object) -> str:
    """An https URL without credentials. Spaces and non-ASCII letters are percent-encoded."""
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

    `currency` applies if the price names none; with `fixed_currency` a price in another one is refused. Decimal commas,
    thousands separators and symbols are refused as ambiguous.
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
    # Beyond 25 digits scaleb would round, and hide surplus decimals.
    minor = amount.scaleb(EXPONENTS[code])
    if len(amount.as_tuple().digits) > 25 or minor != minor.to_integral_value():
        raise BadValue(f"more decimals than {code} has")
    if minor > MAX_PRICE_MINOR:
        raise BadValue("absurdly high")
    return int(minor), code


def parse_gtin(value: object, *, isbn10: bool = False) -> str:
    """The digits of a GTIN-8, 12, 13 or 14 with a valid check digit.

    With `isbn10` a value of up to ten characters is an ISBN-10, possibly without its leading zeros (spreadsheets drop
    them), and is converted to ISBN-13; such a feed has no GTIN-8.
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


# Available now: a pre-order would not arrive in time for a gift.
_IN_STOCK = {"true", "yes", "y", "in stock", "instock", "available", "low stock", "limited availability", "active"}
_OUT_OF_STOCK = {
    "false", "no", "n", "out of stock", "outofstock", "unavailable", "sold out", "soldout", "discontinued",
    "preorder", "pre order", "backorder", "back order", "draft", "archived",
}  # fmt: skip


def parse_in_stock(values: object) -> bool:
    """Numbers above zero, booleans, and words including Google's and schema.org's; with several fields all must
    agree."""
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
    """The number as a share of `maximum`, 0..1."""
    number = as_number(value)
    if not 0 <= number <= Decimal(maximum):
        raise BadValue("not between 0 and popularity_max")
    return float(number) / maximum
