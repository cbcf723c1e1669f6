"""Feeds of a hostile shop: a small file takes neither the memory nor the time of the imports of others."""

from __future__ import annotations

import gzip
import json
import struct
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from db import feed_files
from db.feed_rows import FeedRows, records_of
from db.product_imports import READERS
from domain.feed_mappings import ImportFailed, Mapping, parse_mapping
from domain.feed_values import BadValue, parse_google_category, parse_named, parse_tags
from domain.feed_variants import MAX_PARENTS_CHARACTERS, with_variants

FIELDS = """
tag_separator = "|"
[fields]
external_id = "id"
name = "title"
description = "text"
affiliate_url = "link"
price = "price"
tags = "tags"
[constants]
currency = "GBP"
[retailer]
slug = "shop"
"""
XML = parse_mapping(f'format = "xml"\n{FIELDS}[xml]\nitem = "rss/channel/item"\n')
LINES = parse_mapping(f'format = "jsonl"\nvariants = "variants"\n{FIELDS}')


def taken(path: Path, mapping: Mapping) -> tuple[FeedRows, int, float]:
    """The rows of a file, the peak of memory in bytes while they are read, and the seconds."""
    feed = FeedRows(mapping, None)
    started = time.monotonic()
    tracemalloc.start()
    try:
        with (
            feed_files.opened(path) as stream,
            closing(READERS[mapping.format](stream, mapping)) as records,
        ):
            for _ in feed.rows(records):
                pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return feed, peak, time.monotonic() - started


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"<a{number:x}/>" for number in range(50_000)),
        "".join(f'<a b{number:x}=""/>' for number in range(50_000)),
        f'<a {"b" * 1000}=""/>',
    ],
    ids=["elements", "attributes", "a long attribute"],
)
def test_names_in_xml_are_few_and_short(tmp_path: Path, content: str) -> None:
    """Expat keeps each to the end of the file, in twenty times the memory that it takes there."""
    (tmp_path / "feed").write_text(f"<rss><channel>{content}<item><id>1</id></item></channel></rss>")
    with pytest.raises(ImportFailed, match=r"different names|a name longer"):
        taken(tmp_path / "feed", XML)


def test_attributes_in_xml_have_no_defaults(tmp_path: Path) -> None:
    """A megabyte that each of a million empty elements would copy."""
    top = f'<!DOCTYPE rss [<!ATTLIST a b CDATA "{"x" * 100_000}">]>'
    (tmp_path / "feed").write_bytes(gzip.compress(f"{top}<rss><channel>{'<a/>' * 10_000}</channel></rss>".encode()))
    with pytest.raises(ImportFailed, match="declares"):
        taken(tmp_path / "feed", XML)


def test_the_directory_of_an_archive_is_small(tmp_path: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, *(0,) * 6) + b"a"
    count = 60_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, count * len(entry), 30, 0)
    (tmp_path / "feed").write_bytes(b"PK\3\4" + bytes(26) + entry * count + end)
    with pytest.raises(ImportFailed, match="directory"):
        taken(tmp_path / "feed", XML)


def test_long_names_and_tags_are_not_remembered() -> None:
    """Of a hundred thousand characters of a comment remains a word, and the caches have ten thousands of places."""
    tracemalloc.start()
    for number in range(100):
        text = f"{number}<!--{'-' * 70_000}-->x"
        assert parse_named(text) == f"{number} x"
        assert parse_tags(text, "|") == [f"{number}-x"]
        with pytest.raises(BadValue):
            parse_named(text * 2)
        assert parse_google_category(f"{text} > y") is not None
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 1_000_000


def test_a_record_has_no_variants_that_would_take_a_hundred_times_its_size(tmp_path: Path) -> None:
    def product(id: str, count: int) -> dict[str, Any]:
        variants = [{"id": f"{id}-{number}", "price": "5"} for number in range(count)]
        return {"id": id, "title": "T", "text": "d" * 40_000, "link": "https://shop.example/1", "variants": variants}

    lines = [json.dumps(product("A", 5_000)), json.dumps(product("B", 100)), json.dumps(product("C", 1))]
    (tmp_path / "feed").write_text("\n".join(lines))
    feed, peak, _ = taken(tmp_path / "feed", LINES)
    assert (feed.read, feed.rejected) == (102, 1 + 101), "their ids are in their parents"
    assert feed.fault_line == 1, "products of it are not taken for gone"
    assert peak < 50_000_000
    with feed_files.opened(tmp_path / "feed") as stream, closing(READERS["jsonl"](stream, LINES)) as rows:
        assert sum(record is not None for _, record in records_of(rows, LINES)) == 101


def test_parents_that_wait_for_their_variants_are_bounded_by_size() -> None:
    mapping = parse_mapping(
        FIELDS.replace(
            "[fields]", '[parents]\nfield = "kind"\nvalue = "parent"\nkey = ["id"]\nchild = "of"\n[fields]'
        ).replace("tag_separator", 'format = "csv"\ntag_separator')
    )
    size = MAX_PARENTS_CHARACTERS // 50
    parents = [(n, {"kind": "parent", "id": f"P{n}", "title": f"N{n}", "text": "x" * size}) for n in range(60)]
    asked = [(60 + n, {"kind": "variant", "of": f"P{of}"}) for n, of in enumerate((0, 59))]
    *_, first, last = with_variants([*parents, *asked], mapping)
    assert [(record or {}).get("title") for _, record in (first, last)] == [None, "N59"]
