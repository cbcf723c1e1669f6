"""Reads what products have in common from a file of products."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from training.content import Content, make
from training.events import BadEvents, read_rows

MIN_LETTERS, MIN_PRODUCTS = 3, 3  # of a word that is a tag


def read(
    path: Path,
    *,
    category: str | None = None,
    brand: str | None = None,
    tags: str | None = None,
    words: str | None = None,
) -> Content:
    """Of the products of a file, in its order, by the names of its columns. A brand is the text up to the first comma;
    tags are separated by commas; of `words`, each that is in three products is a tag. Raises BadEvents."""
    rows = read_rows(path, ("item", *(name for name in (category, brand, tags, words) if name)))
    if any(None in row.values() for row in rows):
        raise BadEvents(f"{path}: a row has fewer columns than the first one")

    def values(name: str | None) -> list[str]:
        return [row[name] if name else "" for row in rows]

    found = [_parts(text) for text in values(tags)]
    split = [set(re.findall(rf"[^\W\d_]{{{MIN_LETTERS},}}", text.lower())) for text in values(words)]
    common = Counter(word for found_words in split for word in found_words)
    return make(
        [text.strip() or None for text in values(category)],
        [next(iter(_parts(text)), None) for text in values(brand)],
        [
            [*listed, *sorted(word for word in found_words if common[word] >= MIN_PRODUCTS)]
            for listed, found_words in zip(found, split, strict=True)
        ],
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
