"""Mappings: how to read one kind of product feed. The format is documented in catalogue/mappings/README.md.

Column names are compared without regard to case and to Google's prefix `g:`; the keys of JSON are taken to the letter.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec

from domain.feed_prices import Notation
from domain.feed_text import slugify
from domain.hosts import BadAddress
from domain.links import (
    DEFAULT_PLACEMENT,
    MAX_CLICK_WINDOW_HOURS,
    MAX_PLACEMENTS,
    MAX_TRACKING_HOSTS,
    normal_domain,
    placement_name,
)

Column = Literal[
    "external_id", "name", "description", "price", "currency", "image_url", "affiliate_url", "tags", "in_stock",
    "brand", "category", "google_category", "gtin", "popularity", "retailer", "sale_price",
    "sale_price_effective_date", "item_group", "size", "color", "regular_price", "shipping",
]  # fmt: skip
Format = Literal["jsonl", "json", "csv", "tsv", "xml"]

_DOMAIN = "{retailer.domain}"
_ALIASES = {"colour": "color"}
TEMPLATE = re.compile(r"\{([^{}]+)\}")
_SECRET_NAME = re.compile(r"SOURCE_[A-Z0-9_]{1,100}")
_SECRET = re.compile(r"\{(SOURCE_[A-Z0-9_]{1,100})\}")
_PERIOD = re.compile(r"[1-9][0-9]{0,5}[mhd]", re.ASCII)
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}
_PERIODS = range(5 * 60, 31 * 86400 + 1)
_PATTERN = re.compile(r"^\*?[a-z0-9]+(-[a-z0-9]+)*\*?$")


class ImportFailed(ValueError):
    """The whole import failed, because of the file or the mapping. Nothing was written."""


class Retailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shop of the feed, or, without a slug, defaults for the shops named by the `retailer` field.
    `commission_rate`: the shop's share of a sale that is paid to us, 0..1; `click_window_hours`: how long after a click
    it is paid."""

    slug: str | None = None
    name: str | None = None
    network: str | None = None
    domain: str | None = None
    commission_rate: float | None = None
    click_window_hours: int | None = None
    click_parameter: str | None = None
    tracking_hosts: tuple[str, ...] = ()
    tracking_ids: dict[str, str] = {}


class Continuation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that continue the product above them: they have the same `key`, and nothing in the fields `empty`. With a
    price and one of the fields `variant` they are a variant of it, a product of its own."""

    key: tuple[str, ...]
    empty: str
    variant: tuple[str, ...] = ()


class Parents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records that describe their variants, and are no products: `field` has this `value`. Variants name one of the
    fields `key` of theirs in their field `child`."""

    field: str
    value: str
    key: tuple[str, ...]
    child: str


class Shop(msgspec.Struct, frozen=True):
    """What replaces the mapping's own [retailer] and currency."""

    slug: str | None = None
    name: str | None = None
    domain: str | None = None
    network: str | None = None
    currency: str | None = None


class Xml(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`item`: the path from the root to the elements that are products, or several such paths."""

    item: tuple[str, ...]


def period_seconds(text: str) -> int | None:
    """How many seconds `30m`, `6h` or `1d` are; None if it is no period from 5m to 31d."""
    seconds = int(text[:-1]) * _UNIT_SECONDS[text[-1]] if _PERIOD.fullmatch(text) else 0
    return seconds if seconds in _PERIODS else None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a feed is fetched from. `{SOURCE_X}` in the path or query of the URL, and `authorization`, name variables
    of the environment with secrets; those of the server itself do not begin so. `every`: `30m`, `6h`, `1d`."""

    url: str
    every: str | None = None
    authorization: str | None = None

    @property
    def every_seconds(self) -> int | None:
        """Seconds between two fetches; None: by hand only."""
        return None if self.every is None else period_seconds(self.every)

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return urlsplit(self.url).path.rpartition("/")[2]

    def filled(self, secret: Callable[[str], str | None]) -> tuple[str, str | None]:
        """The URL and the header Authorization with their secrets. Raises ImportFailed for one that is not set."""

        def read(name: str) -> str:
            if not (value := secret(name)):
                raise ImportFailed(f"[source] names the variable {name}, which is not set")
            if not value.isprintable():
                raise ImportFailed(f"{name} has characters that a request cannot have")
            return value

        url = _SECRET.sub(lambda match: quote(read(match[1]), safe=""), self.url)
        return url, None if self.authorization is None else read(self.authorization)

    def complaints(self) -> list[str]:
        found = []
        try:
            parts = urlsplit(self.url)
            is_usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
            is_usable = is_usable and "@" not in parts.netloc and self.url.isprintable() and " " not in self.url
            is_usable = is_usable and not set("{}") & set(parts.netloc)
        except ValueError:
            is_usable = False
        if not is_usable:
            found.append("[source] url must be https://host/path, without credentials")
        if set("{}") & set(_SECRET.sub("", self.url)):
            found.append("[source] url may name secrets as {SOURCE_...} only")
        if self.authorization is not None and not _SECRET_NAME.fullmatch(self.authorization):
            found.append("[source] authorization must name a variable that begins with SOURCE_")
        if self.every is not None and self.every_seconds is None:
            found.append("[source] every must be a number and m, h or d: 5m to 31d")
        return found


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read one kind of feed; created by `parse_mapping`."""

    format: Format
    fields: dict[Column, tuple[str, ...]]
    constants: dict[Column, str] = {}
    retailer: Retailer = Retailer()
    continuation: Continuation | None = None
    parents: Parents | None = None
    options: tuple[tuple[str, str], ...] = ()
    variants: str | None = None
    xml: Xml | None = None
    source: Source | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    columns: tuple[str, ...] | None = None
    skip_lines: int = 0
    trailer: str | None = None
    decimal: str = "."
    thousands: str | None = None
    currency_symbols: bool = False
    minor_units: bool = False
    image_separator: str | None = None
    upgrade_http: bool = False
    tag_separator: str = ","
    category_separator: str | None = None
    category_list_separator: str | None = None
    popularity_max: float = 1.0
    wrong_gtin: Literal["reject", "drop"] = "reject"
    isbn10: bool = False
    categories: dict[str, str] = {}

    @property
    def separator(self) -> str:
        """The delimiter of the fields of a line."""
        return self.delimiter or ("\t" if self.format == "tsv" else ",")

    @property
    def quoted_by(self) -> str | None:
        """The quote sign, if fields may be quoted: tab- and pipe-separated files do not quote unless they say so."""
        if self.quote is not None:
            return self.quote or None
        return None if self.separator in "\t|" else '"'

    @property
    def last_line(self) -> str | None:
        """How the first field of a closing line begins, which is no product."""
        return self.trailer or ("TRL" if self.columns else None)

    @property
    def notation(self) -> Notation:
        """How prices are written."""
        return Notation(self.decimal, self.thousands, self.currency_symbols, self.minor_units)

    @property
    def has_decoded_text(self) -> bool:
        """Whether the parser of the format has decoded entities already."""
        return self.format == "xml"


def normal_name(name: str) -> str:
    """A column's name as it is compared. Files that were joined or edited have byte order marks in it."""
    return name.strip("\ufeff\u200b").strip().lower().removeprefix("g:").strip()


def parse_mapping(text: str, shop: Shop = Shop()) -> Mapping:
    """Parses a mapping in TOML. Raises ImportFailed, which names what is unknown, missing or of the wrong type."""
    try:
        data = tomllib.loads(text)
        if isinstance(fields := data.get("fields"), dict):
            data["fields"] = {
                _ALIASES.get(column, column): [paths] if isinstance(paths, str) else paths
                for column, paths in fields.items()
            }
        for table, key in (("xml", "item"), ("continuation", "key")):
            if isinstance(found := data.get(table), dict) and isinstance(found.get(key), str):
                found[key] = [found[key]]
        mapping = msgspec.convert(data, Mapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ImportFailed(f"mapping: {error}") from None
    mapping = _of_shop(mapping, shop)
    for complaint in _complaints(mapping):
        raise ImportFailed(f"mapping: {complaint}")
    return _with_normal_names(mapping)


def _of_shop(mapping: Mapping, shop: Shop) -> Mapping:
    own = mapping.retailer
    # What the mapping says is of its own shop, but for the network.
    mine = own if shop.slug in (None, own.slug) else Retailer(network=own.network)
    retailer = msgspec.structs.replace(
        mine,
        slug=shop.slug or own.slug,
        name=shop.name or mine.name,
        network=shop.network or own.network,
        domain=shop.domain or mine.domain,
    )
    retailer = _with_normal_hosts(retailer)
    constants = dict(mapping.constants)
    if shop.currency:
        constants["currency"] = shop.currency
    if retailer.domain:
        constants = {column: text.replace(_DOMAIN, retailer.domain) for column, text in constants.items()}
    return msgspec.structs.replace(mapping, retailer=retailer, constants=constants)


def _with_normal_hosts(retailer: Retailer) -> Retailer:
    try:
        return msgspec.structs.replace(
            retailer,
            domain=normal_domain(retailer.domain) if retailer.domain else None,
            tracking_hosts=tuple(dict.fromkeys(map(normal_domain, retailer.tracking_hosts))),
            tracking_ids={placement_name(name): id for name, id in retailer.tracking_ids.items()},
        )
    except BadAddress as reason:
        raise ImportFailed(f"mapping: domain and tracking_hosts of the shop: {reason}") from None


def _link_complaints(retailer: Retailer) -> list[str]:
    found = []
    parameter, ids = retailer.click_parameter, retailer.tracking_ids
    if parameter is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", parameter):
        found.append("click_parameter must be 1 to 64 letters, digits and the signs _ . -")
    hours = retailer.click_window_hours
    if hours is not None and not 1 <= hours <= MAX_CLICK_WINDOW_HOURS:
        found.append(f"[retailer] click_window_hours is a whole number from 1 to {MAX_CLICK_WINDOW_HOURS}")
    if (parameter or retailer.tracking_hosts or ids or hours is not None) and retailer.slug is None:
        found.append(
            "click_parameter, click_window_hours, tracking_hosts and tracking_ids are of one shop: give --shop, or "
            "[retailer] slug"
        )
    if len(retailer.tracking_hosts) > MAX_TRACKING_HOSTS:
        found.append(f"more than {MAX_TRACKING_HOSTS} tracking_hosts")
    if len(ids) > MAX_PLACEMENTS:
        found.append(f"more than {MAX_PLACEMENTS} tracking_ids")
    if ids and DEFAULT_PLACEMENT not in ids:
        found.append(f"tracking_ids need one called {DEFAULT_PLACEMENT}, for clicks elsewhere")
    if len(set(ids.values())) < len(ids):
        found.append("tracking_ids has one id for two placements")
    for name in ids:
        if not re.fullmatch(r"[^\s/?#](?:[^?#]{0,98}[^\s/?#])?", name):
            found.append(f"tracking_ids {name!r} is no placement: give 1 to 100 characters without ? and #")
    return found


def _complaints(mapping: Mapping) -> list[str]:
    found = [
        f"neither [fields] nor [constants] gives {column}"
        for column in ("external_id", "name", "affiliate_url")
        if column not in mapping.fields and column not in mapping.constants
    ]
    rate = mapping.retailer.commission_rate
    if rate is not None and not 0 <= rate <= 1:
        found.append("[retailer] commission_rate is a share from 0 to 1, such as 0.05 for 5 %")
    slug = mapping.retailer.slug
    if slug is None and "retailer" not in mapping.fields and "retailer" not in mapping.constants:
        found.append("no retailer: give --shop, [retailer] slug, or the field that names it")
    if any(_DOMAIN in text for text in mapping.constants.values()):
        found.append("no domain of the shop: give --domain, or [retailer] domain")
    if slug is not None and slugify(slug) != slug:
        found.append("[retailer] slug is not in kebab-case")
    separators = (mapping.tag_separator, mapping.category_separator, mapping.category_list_separator,
                  mapping.image_separator)  # fmt: skip
    if "" in separators or not mapping.popularity_max > 0:
        found.append("separators must not be empty, popularity_max must be above 0")
    if mapping.delimiter is not None and (len(mapping.delimiter) != 1 or mapping.delimiter in '"\r\n'):
        found.append("delimiter must be one character")
    if mapping.quote is not None and (len(mapping.quote) > 1 or mapping.quote in (mapping.separator, "\r", "\n")):
        found.append('quote must be one character other than the delimiter, or "" for none')
    if len(mapping.decimal) != 1 or mapping.decimal not in ".,":
        found.append('decimal must be "." or ","')
    if mapping.thousands is not None and (
        len(mapping.thousands) != 1
        or mapping.thousands not in ".,' \u00a0\u202f\u2019"
        or mapping.thousands == mapping.decimal
    ):
        found.append("thousands must be a point, comma, space or apostrophe, and not the decimal separator")
    if (mapping.format == "xml") != (mapping.xml is not None):
        found.append('format = "xml" needs [xml] item, and no other format has it')
    if mapping.skip_lines < 0:
        found.append("skip_lines must not be negative")
    of_lines = mapping.format in ("csv", "tsv")
    if not of_lines and (mapping.columns or mapping.skip_lines or mapping.trailer or mapping.quote):
        found.append("columns, skip_lines, trailer and quote are for csv and tsv")
    if mapping.variants is not None and mapping.format not in ("json", "jsonl"):
        found.append("variants is for json and jsonl")
    if mapping.source is not None:
        found.extend(mapping.source.complaints())
    found.extend(_link_complaints(mapping.retailer))
    if mapping.encoding is not None:
        found.extend(_encoding_complaints(mapping.encoding))
    for pattern in mapping.categories:
        if not _PATTERN.match(pattern):
            found.append(f"[categories] {pattern!r} is not words in kebab-case, with * at an end at most")
    return found


def _encoding_complaints(encoding: str) -> list[str]:
    try:
        "".encode(encoding)
    except (LookupError, ValueError):
        return [f"encoding {encoding!r} is unknown"]
    return []


def _with_normal_names(mapping: Mapping) -> Mapping:
    """The mapping with the names of fields as the records of its format have them."""
    if mapping.format in ("jsonl", "json"):
        return mapping

    def normal(name: str) -> str:
        name = normal_name(name)
        return ".".join(map(normal_name, re.split("[/.]", name))) if mapping.format == "xml" else name

    after: dict[str, Any] = {
        "fields": {column: tuple(map(normal, names)) for column, names in mapping.fields.items()},
        "constants": {
            column: TEMPLATE.sub(lambda match: "{" + "|".join(map(normal, match[1].split("|"))) + "}", text)
            for column, text in mapping.constants.items()
        },
    }
    if mapping.continuation is not None:
        rule = mapping.continuation
        after["continuation"] = Continuation(
            tuple(map(normal, rule.key)), normal(rule.empty), tuple(map(normal, rule.variant))
        )
    if mapping.parents is not None:
        parents = mapping.parents
        after["parents"] = Parents(
            normal(parents.field), parents.value, tuple(map(normal, parents.key)), normal(parents.child)
        )
    after["options"] = tuple((normal(name), normal(value)) for name, value in mapping.options)
    if mapping.columns is not None:
        after["columns"] = tuple(map(normal_name, mapping.columns))
    return msgspec.structs.replace(mapping, **after)


def like_pattern(pattern: str) -> str:
    """A pattern of [categories] as one for SQL's LIKE, to match a level of a category between hyphens."""
    start, end = ("%" if pattern.startswith("*") else "%-"), ("%" if pattern.endswith("*") else "-%")
    return start + pattern.strip("*") + end
