"""The demo catalogue and the demo account of a development installation."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.product_imports import import_products, load_mapping
from db.queries import QUERIES
from domain import emails

FOLDER = Path(__file__).resolve().parent.parent / "catalogue"
MARK = "demo catalogue"
EMAIL = "demo@aclue.example"


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / "demo" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


async def load_names(owner: asyncpg.Connection[Any]) -> None:
    """Loads categories, brands and shops; existing rows stay unchanged."""
    async with owner.transaction():
        categories = _rows("categories")
        for row in sorted(categories, key=lambda row: bool(row["parent_slug"])):  # parents first
            await owner.execute(QUERIES["demo.add_category"].sql, row["slug"], row["name"], row["parent_slug"] or None)
        for row in _rows("brands"):
            await owner.execute(QUERIES["demo.add_brand"].sql, row["slug"], row["name"])
        for row in _rows("retailers"):
            hosts = row["tracking_hosts"].split()
            await owner.execute(
                QUERIES["demo.add_retailer"].sql, row["slug"], row["name"], row["domain"], row["network"], hosts
            )


def products() -> Iterator[dict[str, Any]]:
    """The products of the demo catalogue's file."""
    with (FOLDER / "demo" / "products.jsonl").open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


async def load_catalogue(owner: asyncpg.Connection[Any], on_progress: Callable[[int], None] | None = None) -> bool:
    """Loads the demo catalogue, once per database. False if it was loaded before, or there are products already."""
    if await owner.fetchval(QUERIES["demo.is_unwanted"].sql, MARK):
        return False
    await load_names(owner)
    mapping = load_mapping(FOLDER / "mappings" / "demo.toml")
    await import_products(
        owner,
        FOLDER / "demo" / "products.jsonl",
        mapping,
        rejects_path=None,
        force=False,
        on_progress=on_progress,
    )
    await owner.execute(QUERIES["demo.mark"].sql, MARK)
    return True


async def ensure_account(owner: asyncpg.Connection[Any], email: str) -> UUID:
    """The id of the account with this e-mail, which is created without a password if it does not exist. Raises
    ValueError for an invalid e-mail address."""
    known = emails.parse(email)
    if known is None:
        raise ValueError(f"{email}: not an e-mail address")
    account: UUID = await owner.fetchval(
        QUERIES["demo.ensure_account"].sql, known.address, known.canonical, known.spellings
    )
    return account
