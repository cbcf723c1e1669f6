"""Variants in feeds: lines that continue the product above them, and variants that inherit from a parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Lookup

from domain.feed_mappings import Column, Mapping
from domain.feed_values import MAX_IMAGES, BadValue, is_blank, value_at
from domain.feeds import VARIANT_ID

MAX_PARENTS = 10_000
MAX_PARENTS_CHARACTERS = 50_000_000
"""Of all parents that are kept for their variants; those that came first are forgotten."""
MAX_VARIANTS_CHARACTERS = 10_000_000
"""Of all variants of one record, each of which inherits what its product says."""
# What describes all variants. Prices, numbers and options are each variant's own.
_INHERITED: tuple[Column, ...] = (
    "name", "description", "currency", "image_url", "affiliate_url", "tags", "in_stock", "brand", "category",
    "google_category", "popularity", "retailer", "item_group",
)  # fmt: skip
Record = dict[str, object]
Numbered = tuple[int, Record | None]  # line and record; None: the line continued a product


def with_variants(records: Iterable[tuple[int, Record]], mapping: Mapping) -> Iterator[Numbered]:
    """The products among the records. A product is given after the lines that continue it, whose pictures it gets."""
    if mapping.parents is not None:
        yield from _with_parents(records, mapping)
    elif mapping.continuation is not None:
        yield from _with_continuations(records, mapping)
    else:
        yield from records


def expanded(record: Record, mapping: Mapping) -> list[Record]:
    """The variants that a record of JSON holds in its list `variants`, each with the record as its `parent`; the record
    itself if it holds none. Raises BadValue for more than can be kept."""
    found = record.get(mapping.variants) if mapping.variants else None
    if not isinstance(found, list) or not found:
        return [record]
    parent = {name: value for name, value in record.items() if name != mapping.variants}
    if len(found) > 1 and len(found) * len(str(parent)) > MAX_VARIANTS_CHARACTERS:
        raise BadValue(f"{len(found)} variants, each of which would repeat {len(str(parent))} characters")
    return [{**variant, "parent": parent} if isinstance(variant, dict) else {"parent": parent} for variant in found]


def continues(record: Lookup[str, object], previous: Lookup[str, object] | None, mapping: Mapping) -> bool:
    """Whether the record is another variant or image of the product above it."""
    rule = mapping.continuation
    if rule is None or previous is None or not is_blank(value_at(record, rule.empty)):
        return False
    return any(not is_blank(key := value_at(record, path)) and key == value_at(previous, path) for path in rule.key)


def _with_continuations(records: Iterable[tuple[int, Record]], mapping: Mapping) -> Iterator[Numbered]:
    first: tuple[int, Record] | None = None
    pictures: list[object] = []
    for line, record in records:
        if first is None or not continues(record, first[1], mapping):
            if first is not None:
                yield first[0], _with_pictures(first[1], pictures, mapping)
            first, pictures = (line, record), []
            continue
        found = _values(record, mapping, "image_url")[:1]
        pictures += found if len(pictures) < MAX_IMAGES else []
        yield line, _variant(record, first[1], mapping)
    if first is not None:
        yield first[0], _with_pictures(first[1], pictures, mapping)


def _values(record: Lookup[str, object], mapping: Mapping, column: Column) -> list[object]:
    return [v for path in mapping.fields.get(column, ()) if not is_blank(v := value_at(record, path))]


def _with_pictures(record: Record, pictures: list[object], mapping: Mapping) -> Record:
    fields = mapping.fields.get("image_url")
    if not pictures or not fields:
        return record
    return {**record, fields[0]: [*_values(record, mapping, "image_url")[:1], *pictures]}


def _variant(record: Record, first: Record, mapping: Mapping) -> Record | None:
    """The record as a product, if it has a price and an id of its own."""
    rule = mapping.continuation
    ids = [v for path in (rule.variant if rule else ()) if not is_blank(v := value_at(record, path))]
    above = _values(first, mapping, "external_id")
    if not ids or not above or not _values(record, mapping, "price"):
        return None
    return {**_inherited(record, first, mapping), VARIANT_ID: f"{above[0]}/{str(ids[0]).strip()}"}


def _inherited(record: Record, parent: Lookup[str, object], mapping: Mapping) -> Record:
    merged = dict(record)
    for column in _INHERITED:
        if not _values(record, mapping, column):
            for path in mapping.fields.get(column, ()):
                merged[path] = value_at(parent, path)
    for name, _ in mapping.options:
        if is_blank(value_at(record, name)):
            merged[name] = value_at(parent, name)
    return merged


def _with_parents(records: Iterable[tuple[int, Record]], mapping: Mapping) -> Iterator[Numbered]:
    rule = mapping.parents
    assert rule
    kept = {path for column in _INHERITED for path in mapping.fields.get(column, ())} | {
        name for name, _ in mapping.options
    }
    known: dict[str, tuple[Record, int]] = {}
    total = 0
    for line, record in records:
        if str(value_at(record, rule.field) or "").strip().lower() == rule.value.lower():
            parent = {path: value_at(record, path) for path in kept}
            size = len(str(parent))
            for path in rule.key:
                if not is_blank(key := value_at(record, path)):
                    total -= known.pop(str(key).strip(), (parent, 0))[1]
                    known[str(key).strip()] = parent, size
                    total += size
            while len(known) > MAX_PARENTS or total > MAX_PARENTS_CHARACTERS:
                total -= known.pop(next(iter(known)))[1]
            yield line, None
            continue
        child = str(value_at(record, rule.child) or "").strip().removeprefix("id:")
        yield line, _inherited(record, known[child][0], mapping) if child in known else record
