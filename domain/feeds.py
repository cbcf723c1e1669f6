"""Product feeds: records of a shop are converted to products, or rejected with the reasons.

Pure: db/feed_readers.py reads files, db/product_imports.py writes rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from domain.feed_mappings import TEMPLATE, Column, Mapping
from domain.feed_prices import NOT_POSITIVE, Period, parse_currency, parse_period, parse_price
from domain.feed_values import (
    MAX_IMAGES,
    BadValue,
    as_text,
    is_blank,
    parse_brand,
    parse_category,
    parse_description,
    parse_google_category,
    parse_gtin,
    parse_in_stock,
    parse_key,
    parse_named,
    parse_popularity,
    parse_tags,
    parse_text,
    parse_url,
    split_images,
    value_at,
)

MAX_NAME = 500
MAX_OPTION = 100
MAX_OPTIONS = 10
VARIANT_ID = "\0id"  # of a record that is a variant of another: its own id
MAX_SHOWN = 100

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_T = TypeVar("_T")


class Product(NamedTuple):
    """A validated record. `retailer`, `brand` and the levels of `category` (root to leaf) are names or slugs;
    `price_minor` is what is paid now; `options` is JSON."""

    retailer: str
    external_id: str
    name: str
    description: str | None
    price_minor: int
    currency: str
    image_url: str | None
    images: list[str]
    affiliate_url: str
    tags: list[str]
    in_stock: bool
    regular_price_minor: int | None
    sale_price_minor: int | None
    sale_starts_at: datetime | None
    sale_ends_at: datetime | None
    shipping_minor: int | None
    item_group: str | None
    options: str
    brand: str | None
    category: list[str] | None
    gtin: str | None
    feed_popularity: float | None
    google: str | None


class Reject(NamedTuple):
    """Why a value was refused; `value` is cut and without control characters."""

    field: str
    reason: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result for one record: a product or rejects, and what names it: the shop and the shop's id."""

    product: Product | None
    rejects: tuple[Reject, ...]
    warnings: tuple[Reject, ...]
    retailer: str | None
    external_id: str | None


def shown(value: object) -> str:
    """A value for the list of rejects: one line of printable characters, cut."""
    if isinstance(value, list):
        value = ", ".join(map(str, value[:MAX_SHOWN]))
    text = _UNPRINTABLE.sub(" ", str(value)[: 2 * MAX_SHOWN]).strip()
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


class Reader:
    """Validates the records of one feed, with the prices of this time. `taxonomy`: the names of Google's categories by
    number; None for a number without names."""

    def __init__(self, mapping: Mapping, now: datetime, taxonomy: Lookup[int, list[str] | None] | None = None) -> None:
        self.mapping = mapping
        self._now = now
        self._taxonomy = taxonomy or {}
        self._notation = mapping.notation
        self._columns = _Columns(mapping)
        decoded = mapping.has_decoded_text
        self._named = partial(parse_named, decoded=decoded)
        self._name = partial(parse_text, limit=MAX_NAME, decoded=decoded)
        self._description = partial(parse_description, decoded=decoded)
        self._tags = partial(parse_tags, separator=mapping.tag_separator, decoded=decoded)
        self._brand = partial(parse_brand, decoded=decoded)
        self._gtin = partial(parse_gtin, isbn10=mapping.isbn10)
        self._option = partial(parse_text, limit=MAX_OPTION, decoded=decoded)
        self._url = partial(parse_url, upgrade=mapping.upgrade_http)
        self._popularity = partial(parse_popularity, maximum=mapping.popularity_max)
        self._has_sales = bool(self._columns.used & {"sale_price", "regular_price"})
        self._has_options = bool(mapping.options or self._columns.used & {"size", "color"})

    def key_of(self, record: Lookup[str, object]) -> tuple[str | None, str | None]:
        """The shop and the shop's id of a record that may lack the rest."""
        values = _Values(record, self._columns)
        return self._retailer(values), values.read("external_id", parse_key)

    def _retailer(self, values: _Values) -> str | None:
        return self.mapping.retailer.slug or values.read("retailer", self._named, required=True)

    def read(self, record: Lookup[str, object]) -> Reading:
        """Validates one record. Never raises for invalid content."""
        values = _Values(record, self._columns)
        read = values.read

        retailer = self._retailer(values)
        external_id = read("external_id", parse_key, required=True)
        name = read("name", self._name, required=True)
        currency = read("currency", parse_currency)
        stated = bool(values.of("currency", constant=False))
        price = None
        if not values.rejects or all(reject.field != "currency" for reject in values.rejects):
            price = read(
                "price",
                lambda value: parse_price(value, currency, self._notation, fixed_currency=stated),
                required=True,
            )
        sale = self._sale(values, price, currency) if price and self._has_sales else None
        affiliate_url = read("affiliate_url", self._url, required=True)
        description = read("description", self._description)
        images = self._images(values)
        tags = read("tags", self._tags, whole=True) or []
        in_stock = read("in_stock", parse_in_stock, whole=True)
        brand = read("brand", self._brand)
        google = read("google_category", parse_google_category)
        category = read("category", partial(self._category, values))
        if category is not None and category[1] is not None and google is None:
            google = str(category[1])
        gtin = read("gtin", self._gtin, lenient=self.mapping.wrong_gtin == "drop")
        item_group = read("item_group", parse_key, lenient=True)
        options = self._options(values) if self._has_options else "[]"
        popularity = read("popularity", self._popularity)
        shipping = self._shipping(values, price[1]) if price else None

        rejects, warnings = tuple(values.rejects), tuple(values.warnings)
        if rejects or not (retailer and external_id and name and price and affiliate_url):
            return Reading(None, rejects, warnings, retailer, external_id)
        product = Product(
            retailer=retailer,
            external_id=external_id,
            name=name,
            description=description or None,
            price_minor=price[0] if sale is None else sale[1] if sale[2].holds(self._now) else sale[0],
            currency=price[1],
            image_url=images[0] if images else None,
            images=images if len(images) > 1 else [],
            affiliate_url=affiliate_url,
            tags=tags,
            in_stock=in_stock is not False,
            regular_price_minor=sale[0] if sale else None,
            sale_price_minor=sale[1] if sale else None,
            sale_starts_at=sale[2].start if sale else None,
            sale_ends_at=sale[2].end if sale else None,
            shipping_minor=shipping,
            item_group=item_group,
            options=options,
            brand=brand or None,
            category=category[0] if category else None,
            gtin=gtin,
            feed_popularity=popularity,
            google=google,
        )
        return Reading(product, (), warnings, retailer, external_id)

    def _category(self, values: _Values, value: object) -> tuple[list[str] | None, int | None]:
        """The names from root to leaf; and the number, if the value is one of Google's taxonomy."""
        text = value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
        if text.isascii() and text.isdecimal() and len(text) < 10:
            number = int(text)
            if number in self._taxonomy:
                return self._taxonomy[number], number
            values.warnings.append(Reject("category", "not a number of Google's taxonomy that is known here", text))
            return None, None
        separators = self.mapping.category_separator, self.mapping.category_list_separator
        return parse_category(value, *separators, decoded=self.mapping.has_decoded_text), None

    def _regular(self, values: _Values, currency: str) -> tuple[int, str] | None:
        """The price before a reduction; shops that do not reduce write 0."""

        def parse(value: object) -> tuple[int, str] | None:
            try:
                return parse_price(value, currency, self._notation)
            except BadValue as reason:
                if str(reason) == NOT_POSITIVE:
                    return None
                raise

        return values.read("regular_price", parse, lenient=True)

    def _shipping(self, values: _Values, currency: str) -> int | None:
        """The price, or the first one of Google's `country:region:service:price,...`; 0 is free shipping."""

        def parse(value: object) -> int:
            text = re.split(r",(?=\s*[A-Z]{2}:)", as_text(value))[0].rpartition(":")[2].strip()
            try:
                minor, code = parse_price(text, currency, self._notation)
            except BadValue as reason:
                if str(reason) == NOT_POSITIVE and "-" not in text:
                    return 0
                raise
            if code != currency:
                raise BadValue("another currency than the price's")
            return minor

        return values.read("shipping", parse, lenient=True)

    def _sale(self, values: _Values, price: tuple[int, str], currency: str | None) -> tuple[int, int, Period] | None:
        """The price without and with a sale, and when that holds. A sale that is not one is dropped with a warning.
        If the feed has a regular price, its price is that of the sale."""

        def below(value: object) -> int:
            minor, code = parse_price(value, currency or price[1], self._notation)
            if code != price[1]:
                raise BadValue("another currency than the price's")
            if minor > price[0]:
                raise BadValue("above the price")
            return minor

        regular = self._regular(values, currency or price[1])
        if regular is not None and regular[1] == price[1] and regular[0] > price[0]:
            return regular[0], price[0], Period()
        sale = values.read("sale_price", below, lenient=True)
        warned = len(values.warnings)
        period = values.read("sale_price_effective_date", parse_period, lenient=True)
        # Without a period that can be read nobody knows whether it holds. One at the full price is none.
        if sale is None or sale == price[0] or len(values.warnings) > warned:
            return None
        return price[0], sale, period or Period()

    def _options(self, values: _Values) -> str:
        """What tells a product from its variants, as JSON."""
        named: list[tuple[str, str | None]] = [
            (column, values.read(column, self._option, lenient=True)) for column in ("size", "color")
        ]
        named += values.named_options(self._option) if self.mapping.options else []
        found = [{"name": name, "value": value} for name, value in named if value][:MAX_OPTIONS]
        return msgspec.json.encode(found).decode() if found else "[]"

    def _images(self, values: _Values) -> list[str]:
        """The valid addresses, each once. Of several fields the first that is not empty counts, unless the mapping has
        an image_separator; a wrong address drops the picture, not the product."""
        found = values.of("image_url")
        if not found:
            return []
        if self.mapping.image_separator is None:
            found = found[:1]
        images: dict[str, None] = {}
        for value in split_images(found, self.mapping.image_separator):
            try:
                images[self._url(value)] = None
            except BadValue as reason:
                values.warnings.append(Reject("image_url", str(reason), shown(value)))
        return list(images)[:MAX_IMAGES]


class _Columns:
    """What the mapping says of the columns: those it gives, and the field of those with one only."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.used: frozenset[Column] = frozenset((*mapping.fields, *mapping.constants))
        # The id may be that of a variant.
        self.single: dict[Column, str] = {
            column: names[0] for column, names in mapping.fields.items() if len(names) == 1 and column != "external_id"
        }


class _Values:
    """The values of one record, and what was wrong with them."""

    def __init__(self, record: Lookup[str, object], columns: _Columns) -> None:
        self._record = record
        self._columns = columns
        self._mapping = columns.mapping
        self.rejects: list[Reject] = []
        self.warnings: list[Reject] = []

    def of(self, column: Column, constant: bool = True) -> list[object]:
        """The values of a column's fields that are not empty, or its constant if there are none."""
        path = self._columns.single.get(column)
        if path is not None and type(text := self._record.get(path)) is str and text and not text.isspace():
            return [text]
        if column == "external_id" and (id := self._record.get(VARIANT_ID)) is not None:
            return [id]
        fields = self._mapping.fields.get(column)
        found = [v for path in fields if not is_blank(v := value_at(self._record, path))] if fields else []
        if found or not constant:
            return found
        template = self._mapping.constants.get(column)
        return [] if template is None else self._filled(template, column)

    def named_options(self, parse: Callable[[object], str]) -> list[tuple[str, str | None]]:
        """The options whose names the record has, too: `Option1 Name`, `Option1 Value`."""
        found: list[tuple[str, str | None]] = []
        for name_field, value_field in self._mapping.options:
            name, value = value_at(self._record, name_field), value_at(self._record, value_field)
            if is_blank(name) or is_blank(value) or value == "Default Title":
                continue
            try:
                found.append((parse(name).lower(), parse(value)))
            except BadValue as reason:
                self.warnings.append(Reject("options", str(reason), shown(value)))
        return found

    def _filled(self, template: str, column: Column) -> list[object]:
        """The text of a constant, if the record has all fields that it names; of a period one is enough."""
        is_url, is_period = column.endswith("_url"), column == "sale_price_effective_date"
        missing = False

        def fill(match: re.Match[str]) -> str:
            nonlocal missing
            found = (value_at(self._record, path) for path in match[1].split("|"))
            value = next((value for value in found if not is_blank(value)), None)
            missing = missing or (is_blank(value) and not is_period)
            text = "" if missing or is_blank(value) else as_text(value)
            return quote(text, safe="") if is_url else text

        filled = TEMPLATE.sub(fill, template)
        return [] if missing or (is_period and filled == "/") else [filled]

    def read(
        self,
        column: Column,
        parse: Callable[[object], _T],
        *,
        required: bool = False,
        lenient: bool = False,
        whole: bool = False,
    ) -> _T | None:
        """The parsed value; None if there is none or it was refused. `lenient`: a wrong value is dropped with a
        warning. `whole`: all the values of the column are parsed together, not the first."""
        if column not in self._columns.used and not required:
            return None
        value: object = None
        try:
            values = self.of(column)
            if values:
                value = values if whole else self._first(values, column)
                return parse(value)
            if required:
                raise BadValue("missing")
        except BadValue as reason:
            (self.warnings if lenient else self.rejects).append(
                Reject(column, str(reason), "" if value is None else shown(value))
            )
        return None

    def _first(self, values: list[object], column: Column) -> object:
        """Of an element that XML repeats the first counts, but for lists of categories."""
        first = values[0]
        if self._mapping.format == "xml" and isinstance(first, list):
            return first if column == "category" and self._mapping.category_list_separator else first[0]
        return first
