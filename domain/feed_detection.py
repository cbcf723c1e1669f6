"""Proposes a mapping for a file of which only the names of its columns are known."""

from __future__ import annotations

import re
from collections.abc import Mapping as Lookup
from dataclasses import dataclass

import msgspec

from domain.feed_mappings import Column, Mapping, Shop, normal_name, parse_mapping

# Names that shops give their columns, without signs; the most telling first.
_NAMES: dict[Column, tuple[str, ...]] = {
    "external_id": (
        "id",
        "productid",
        "itemid",
        "sku",
        "offerid",
        "externalid",
        "articleid",
        "artikelnummer",
        "handle",
    ),
    "name": ("title", "name", "productname", "producttitle", "label", "titel", "bezeichnung"),
    "description": ("description", "longdescription", "productdescription", "shortdescription", "body", "beschreibung"),
    "affiliate_url": ("link", "url", "deeplink", "producturl", "productlink", "affiliateurl", "trackingurl", "buyurl"),
    "image_url": ("imagelink", "imageurl", "image", "picture", "pictureurl", "images", "imagesrc", "bildurl"),
    "price": ("price", "currentprice", "searchprice", "amount", "preis", "retailprice"),
    "sale_price": ("saleprice", "specialprice"),
    "regular_price": ("regularprice", "originalprice", "listprice", "compareatprice", "oldprice"),
    "sale_price_effective_date": ("salepriceeffectivedate",),
    "currency": ("currency", "currencycode", "waehrung"),
    "in_stock": ("availability", "instock", "stock", "stockstatus", "stockavailability", "quantity", "verfuegbarkeit"),
    "brand": ("brand", "brandname", "manufacturer", "vendor", "marke", "hersteller"),
    "gtin": ("gtin", "ean", "upc", "barcode", "ean13", "isbn"),
    "category": ("producttype", "category", "categories", "categorypath", "productcategory", "kategorie", "type"),
    "google_category": ("googleproductcategory",),
    "item_group": ("itemgroupid", "parentid", "groupid", "parentsku"),
    "size": ("size", "groesse"),
    "color": ("color", "colour", "farbe"),
    "tags": ("tags", "keywords", "labels"),
    "retailer": ("merchantname", "programname", "retailer", "shop"),
}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_NEEDED: tuple[Column, ...] = ("external_id", "name", "affiliate_url", "price")


@dataclass(frozen=True, slots=True)
class Sketch:
    """What the beginning of a file shows: its format, the delimiter and the names of its columns."""

    format: str
    delimiter: str | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A shipped mapping by `name`, or a new one; `text` is its TOML. `missing`: needed columns that were not found."""

    name: str | None
    text: str
    missing: tuple[Column, ...] = ()


def sketch(text: str) -> Sketch:
    """What the first part of a file is."""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return Sketch("xml", None, tuple(dict.fromkeys(re.findall(r"<(?:\w+:)?(\w+)", start))))
    if start.startswith(("[", "{")):
        names = tuple(dict.fromkeys(re.findall(r'"([^"\\]{1,60})"\s*:', start)))
        return Sketch("json" if start.startswith("[") else "jsonl", None, names)
    lines = [line for line in start.splitlines() if line.strip() and not line.startswith(("#", '"#'))]
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        delimiter, lines = lines[0].strip()[4], lines[1:]
    else:
        delimiter = max("\t|;,", key=lines[0].count) if lines else ","
    names = tuple(name.strip().strip('"') for name in lines[0].split(delimiter)) if lines else ()
    return Sketch("tsv" if delimiter == "\t" else "csv", delimiter, names)


def propose(found: Sketch, shipped: Lookup[str, str]) -> Proposal:
    """The shipped mapping (name: TOML) that knows most of the columns, if it finds all it needs; else a new one. Of
    several the one whose own names these are, and not other names that it takes, too; then the one with fewer."""
    best: tuple[tuple[int, int, int], str] | None = None
    for name, text in shipped.items():
        mapping = parse_mapping(text, Shop(slug="shop", domain="shop.example", currency="GBP"))
        if known := _known(found, mapping):
            rank = known, _own(found, mapping), -len(mapping.fields)
            best = max(best or (rank, name), (rank, name))
    if best is not None:
        return Proposal(best[1], shipped[best[1]])
    return _new(found)


def _own(found: Sketch, mapping: Mapping) -> int:
    """How many columns of the file are the mapping's first choice."""
    names = {normal_name(name) for name in found.names}
    return sum(_root(paths[0]) in names for paths in mapping.fields.values())


def _known(found: Sketch, mapping: Mapping) -> int:
    """How many columns of the file the mapping uses; 0 if it is of another format or misses a column."""
    if found.format != mapping.format:
        return 0
    if found.delimiter is not None and found.delimiter != mapping.separator:
        return 0
    if mapping.columns is not None:
        return len(found.names) if found.names[:1] == ("HDR",) and mapping.last_line == "TRL" else 0
    names = {normal_name(name) for name in found.names}
    for column in ("external_id", "name", "affiliate_url", "price", "retailer"):
        paths = mapping.fields.get(column)
        if paths and column not in mapping.constants and not any(_root(path) in names for path in paths):
            return 0
    return len({_root(path) for paths in mapping.fields.values() for path in paths} & names)


def _root(path: str) -> str:
    return normal_name(path.split(".")[0])


def _new(found: Sketch) -> Proposal:
    plain = {re.sub(r"[^a-z0-9]", "", normal_name(name).translate(_UMLAUTS)): name for name in reversed(found.names)}
    fields = {
        column: hit for column, names in _NAMES.items() if (hit := next((plain[n] for n in names if n in plain), None))
    }
    lines = [f'format = "{found.format}"']
    if found.delimiter not in (None, ",", "\t"):
        lines.append(f"delimiter = {_quoted(str(found.delimiter))}")
    lines += ['category_separator = ">"', 'wrong_gtin = "drop"', "", "[fields]"]
    lines += [f"{column} = {_quoted(name)}" for column, name in fields.items()]
    if found.format == "xml":
        lines += ["", "[xml]", 'item = "rss/channel/item"  # the path from the root to the products']
    lines += ["", "[retailer]", 'slug = "my-shop"', 'network = "direct"', 'domain = "shop.example"', ""]
    return Proposal(None, "\n".join(lines), tuple(column for column in _NEEDED if column not in fields))


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
