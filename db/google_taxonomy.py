"""Stores Google's product taxonomy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from db.queries import QUERIES
from domain.feed_mappings import ImportFailed
from domain.google_taxonomy import parse_taxonomy

MAX_BYTES = 1 << 24


async def load(owner: asyncpg.Connection[Any], path: Path) -> int:
    """Replaces the taxonomy by that of the file; returns the number of categories. Raises ImportFailed."""
    found = _read(path)
    async with owner.transaction():
        await owner.execute(QUERIES["product_imports.clear_google_taxonomy"].sql)
        paths = [">".join(levels) for levels in found.values()]
        await owner.execute(QUERIES["product_imports.add_google_taxonomy"].sql, [*found], paths)
    return len(found)


def _read(path: Path) -> dict[int, list[str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImportFailed(f"{path}: longer than {MAX_BYTES} bytes")
        return parse_taxonomy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: {error}") from None
