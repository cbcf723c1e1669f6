"""Loads the reference data."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings
from db import google_taxonomy, instruments, reference
from db.embedded import Dsns
from db.reference import BadReference, ReferenceChanges
from domain.feed_mappings import ImportFailed
from domain.instruments import BadInstrument

MAX_LISTED = 20


def load(
    diff: Annotated[bool, typer.Option("--diff", help="Say what would change; change nothing.")] = False,
) -> None:
    """Bring gift categories, mappings, rules and the quiz to the state of catalogue/reference. Rows that an
    administrator edited stay as they are."""
    with databases(load_settings()) as dsns:
        try:
            found = asyncio.run(_load(dsns, diff))
        except (BadReference, BadInstrument) as error:
            fail(str(error))
    for table in found:
        counts = {name: len(getattr(table, name)) for name in ("added", "changed", "removed", "kept")}
        print(f"{table.table:20}" + "".join(f"{count:>6} {name}" for name, count in counts.items()))
        if diff:
            for sign, keys in (("+", table.added), ("~", table.changed), ("-", table.removed), ("=", table.kept)):
                for key in keys[:MAX_LISTED]:
                    print(f"  {sign} {key}")
                if len(keys) > MAX_LISTED:
                    print(f"  {sign} and {len(keys) - MAX_LISTED} more")


def taxonomy(
    file: Annotated[Path, typer.Argument(help="Google's taxonomy-with-ids, as text.")],
) -> None:
    """Load Google's product taxonomy, so that the numbers in feeds become categories. Google publishes the file."""
    with databases(load_settings()) as dsns:
        try:
            count = asyncio.run(_taxonomy(dsns, file))
        except ImportFailed as error:
            fail(str(error))
    print(f"{count} categories")


async def _taxonomy(dsns: Dsns, file: Path) -> int:
    async with connected_as_owner(dsns) as owner:
        return await google_taxonomy.load(owner, file)


async def _load(dsns: Dsns, diff: bool) -> list[ReferenceChanges]:
    async with connected_as_owner(dsns) as owner:
        if diff:
            return [*await reference.changes(owner), await instruments.reference_changes(owner)]
        return [*await reference.load(owner), await instruments.load_reference(owner)]
