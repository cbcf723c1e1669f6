"""What reading a feed costs: the peak memory of a process that reads a generated file and makes rows of it, and how
many rows it makes a second.

    make bench-feeds                    20 MB of CSV, TSV, XML and JSON each; fails over 300 MB of memory
    make bench-feeds SIZE_MB=1000
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from db.feed_files import opened  # noqa: E402
from db.feed_rows import FeedRows  # noqa: E402
from db.product_imports import READERS  # noqa: E402
from domain.feed_mappings import parse_mapping  # noqa: E402

MAX_MB = 300.0
FORMATS = ("csv", "tsv", "xml", "json")
FIELDS = {
    "external_id": "id", "name": "title", "description": "description", "affiliate_url": "link", "image_url": "image",
    "price": "price", "in_stock": "availability", "brand": "brand", "category": "product_type", "tags": "tags",
}  # fmt: skip


def mapping_text(format: str) -> str:
    fields = "\n".join(f'{column} = "{name}"' for column, name in FIELDS.items())
    xml = '[xml]\nitem = "rss/channel/item"\n' if format == "xml" else ""
    return (
        f'format = "{format}"\ncategory_separator = ">"\n[fields]\n{fields}\n{xml}'
        '[retailer]\nslug = "bench"\nnetwork = "direct"\n'
    )


def rows(seed: int = 1) -> Iterator[dict[str, str]]:
    chance = random.Random(seed)
    words = [f"word{n}" for n in range(3000)]
    number = 0
    while True:
        number += 1
        yield {
            "id": f"P{number}", "title": " ".join(chance.choices(words, k=5)),
            "description": f"<p>{' '.join(chance.choices(words, k=60))} &amp; more</p>",
            "link": f"https://bench.example/{number}", "image": f"https://bench.example/{number}.jpg",
            "price": f"{chance.randint(1, 300)}.{chance.randint(0, 99):02d} GBP", "availability": "in_stock",
            "brand": f"Brand {chance.randint(1, 400)}",
            "product_type": f"Home > Room {chance.randint(1, 20)} > Kind {chance.randint(1, 30)}",
            "tags": ", ".join(chance.choices(words[:200], k=4)),
        }  # fmt: skip


def write(path: Path, format: str, size: int, count: int = sys.maxsize, edited: int = 0) -> int:
    """A file of this format with about `size` bytes, or `count` rows if these are fewer; returns how many it has.
    `edited`: one price in so many differs."""
    written = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        names = list(FIELDS.values())
        separator = "\t" if format == "tsv" else ","
        head = {"xml": "<rss><channel>", "json": "["}.get(format, separator.join(names) + "\n")
        file.write(head)
        writer = csv.writer(file, delimiter=separator)
        for number, row in enumerate(rows()):
            if number >= count or (number % 100 == 0 and file.tell() >= size):
                break
            if edited and number % edited == edited - 1:
                row["price"] = "999" + row["price"]
            written += 1
            if format == "xml":
                file.write("<item>" + "".join(f"<{k}>{escape(v)}</{k}>" for k, v in row.items()) + "</item>\n")
            elif format == "json":
                file.write((",\n" if number else "") + json.dumps(row))
            else:
                writer.writerow(row.values())
        file.write({"xml": "</channel></rss>", "json": "]"}.get(format, ""))
    return written


def read(path: Path, format: str) -> None:
    """In a process of its own: prints the rows, the seconds of CPU and the peak of memory."""
    mapping = parse_mapping(mapping_text(format))
    with opened(path) as stream, closing(READERS[format](stream, mapping)) as records:
        feed = FeedRows(mapping, None)
        count = sum(1 for _ in feed.rows(records))
    assert count == feed.read, f"{feed.read} read, {count} rows"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(count, time.process_time(), peak)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=20)
    parser.add_argument("--read", nargs=2, metavar=("FILE", "FORMAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(Path(options.read[0]), options.read[1])
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for format in FORMATS:
            path = Path(folder) / f"feed.{format}"
            write(path, format, options.size_mb * 1_000_000)
            command = [sys.executable, __file__, "--read", str(path), format]
            count, seconds, peak = map(float, subprocess.check_output(command, text=True).split())
            path.unlink()
            print(
                f"{format:6}{options.size_mb:>6} MB {count:>10.0f} rows {count / seconds:>8.0f} rows/s {peak:>6.0f} MB"
            )
            failed = failed or peak > MAX_MB
    if failed:
        print(f"more than {MAX_MB:.0f} MB of memory", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
