"""What a file of products is: the mapping that fits it, and its first rows as they would come in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from db.feed_files import encoding_of, opened, read_bytes
from db.feed_rows import records_of
from db.product_imports import MAPPINGS, READERS
from domain.feed_detection import Proposal, propose, sketch
from domain.feed_mappings import ImportFailed, Mapping, Shop, parse_mapping
from domain.feeds import Reader, Reading

_START_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Detected:
    """A proposal, and what it makes of the first records, with their lines."""

    proposal: Proposal
    rows: list[tuple[int, Reading]]


def detect(path: Path, shop: Shop, size: int = 5) -> Detected:
    """Reads the beginning of a file. Raises ImportFailed if it cannot be read."""
    with opened(path) as stream:
        encoding = encoding_of(stream, None) or "utf-8"
        text = read_bytes(stream, _START_BYTES, 1).decode(encoding, "replace")
    shipped = {file.stem: file.read_text(encoding="utf-8") for file in sorted(MAPPINGS.glob("*.toml"))}
    proposal = propose(sketch(text), shipped)
    if proposal.missing:
        return Detected(proposal, [])
    try:
        mapping = parse_mapping(proposal.text, shop)
    except ImportFailed:  # what is missing is the shop
        asked = Shop(shop.slug or "my-shop", shop.name, shop.domain or "shop.example", shop.network, shop.currency)
        mapping = parse_mapping(proposal.text, asked)
    return Detected(proposal, list(islice(_readings(path, mapping), size)))


def _readings(path: Path, mapping: Mapping) -> Iterator[tuple[int, Reading]]:
    reader = Reader(mapping, datetime.now(UTC))
    with opened(path) as stream, closing(READERS[mapping.format](stream, mapping)) as rows:
        for line, record in records_of(rows, mapping):
            if record is not None:
                yield line, reader.read(record)
