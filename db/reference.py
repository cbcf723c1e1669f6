"""The reference data of catalogue/reference: loaded once by migrations, and updated by `aclue reference load`.

A row whose source is `admin` was written by an administrator and stays as it is. The files are described in
catalogue/reference/README.md.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from db.product_links import fill_domains
from db.queries import QUERIES

FOLDER = Path(__file__).resolve().parent.parent / "catalogue" / "reference"

MARK = "reference data"

Row = dict[str, str]
Value = dict[str, Any]


class BadReference(ValueError):
    """A file of the reference data is wrong; the message names file and line."""


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """A file and the blocks `reference.<name>_stored`, `_put` and `_remove`. `read`: a line to its key and value."""

    name: str
    read: Callable[[Row], tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class ReferenceChanges:
    """Keys of one table. `kept`: an administrator's rows that differ from the file, or that the file no longer has."""

    table: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    rows: Mapping[str, Value] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.added) + len(self.changed) + len(self.removed)


def _pairs(cell: str) -> dict[str, float]:
    pairs = (part.rpartition(":") for part in cell.split("|") if part)
    return {name: float(value) for name, _, value in pairs}


def _taxonomy(row: Row) -> tuple[str, Value]:
    ids = sorted(int(number) for number in row["google_ids"].split("|") if number)
    return row["slug"], {"name": row["name"], "parent": row["parent"] or None, "google_ids": ids}


def _mapping(row: Row) -> tuple[str, Value]:
    prices = {end: float(row[end]) for end in ("low", "high") if row[end]}
    value = {
        "weight": float(row["weight"]),
        "evidence": row["evidence"],
        "confidence": float(row["confidence"]),
        "occasions": _pairs(row["occasions"]),
        "prices": prices,
    }
    return f"{row['trait']} {row['category']}", value


def _weighted(*key: str) -> Callable[[Row], tuple[str, Value]]:
    return lambda row: (" ".join(row[name] for name in key), {"weight": float(row["weight"])})


def _names(cell: str) -> list[str]:
    return [name for name in cell.split("|") if name]


def _network(row: Row) -> tuple[str, Value]:
    return row["code"], {"name": row["name"], "tracking_hosts": _names(row["tracking_hosts"])}


def _link_rule(row: Row) -> tuple[str, Value]:
    value: Value = {name: row[name] for name in ("host", "path", "place", "parameter", "carries", "characters")}
    lists = {name: _names(row[name]) for name in ("destination", "removes")}
    return f"{row['network']} {row['position']}", value | lists | {"max_length": int(row["max_length"])}


NETWORK_TABLES = (ReferenceTable("networks", _network), ReferenceTable("link_rules", _link_rule))
TABLES = (
    *NETWORK_TABLES,
    ReferenceTable("taxonomy", _taxonomy),
    ReferenceTable(
        "category_rules", lambda row: (row["pattern"], {"category": row["category"], "priority": int(row["priority"])})
    ),
    ReferenceTable("mappings", _mapping),
    ReferenceTable("tags", _weighted("trait", "tag")),
    ReferenceTable("context_rules", _weighted("kind", "value", "tag")),
    ReferenceTable("context_categories", _weighted("kind", "value", "category")),
    ReferenceTable(
        "variant_words", lambda row: (f"{row['kind']} {row['language']}", {"words": row["words"].split("|")})
    ),
)


def read(table: ReferenceTable, folder: Path = FOLDER) -> dict[str, Value]:
    """The rows of a file by key. Raises BadReference."""
    path = folder / f"{table.name}.csv"
    rows: dict[str, Value] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                key, value = table.read(row)
            except (KeyError, ValueError, AttributeError) as error:
                raise BadReference(f"{path.name}, line {line}: {error!r}") from None
            if key in rows:
                raise BadReference(f"{path.name}, line {line}: {key} is there twice")
            rows[key] = value | ({"position": line - 2} if table.name == "taxonomy" else {})
    return rows


def checksum(folder: Path = FOLDER) -> str:
    """Of all files: whether a database has what this release ships."""
    whole = hashlib.sha256()
    for table in TABLES:
        whole.update((folder / f"{table.name}.csv").read_bytes())
    return whole.hexdigest()


async def changes(owner: asyncpg.Connection[Any], folder: Path = FOLDER) -> list[ReferenceChanges]:
    """What a load would change, in the order of TABLES. Raises BadReference."""
    return [await _compare(owner, table, read(table, folder)) for table in TABLES]


async def _compare(owner: asyncpg.Connection[Any], table: ReferenceTable, wanted: dict[str, Value]) -> ReferenceChanges:
    stored = {
        record["key"]: (msgspec.json.decode(record["value"]), record["source"])
        for record in await owner.fetch(QUERIES[f"reference.{table.name}_stored"].sql)
    }
    if table.name == "link_rules":  # rules are tried in order: those of an administrator alone are not added to
        networks = {key.split()[0] for key in stored}
        networks -= {key.split()[0] for key, (_, source) in stored.items() if source == "reference"}
        wanted = {key: rule for key, rule in wanted.items() if key in stored or key.split()[0] not in networks}
    gone = [key for key in stored if key not in wanted]
    differing = [key for key, value in wanted.items() if key in stored and stored[key][0] != value]
    ours = {key for key, (_, source) in stored.items() if source == "reference"}
    removed = [key for key in gone if key in ours]
    if removed and table.name == "taxonomy":
        in_use = {row["slug"] for row in await owner.fetch(QUERIES["reference.taxonomy_in_use"].sql, removed)}
        ours -= in_use
        removed = [key for key in removed if key in ours]
    return ReferenceChanges(
        table.name,
        added=tuple(key for key in wanted if key not in stored),
        changed=tuple(key for key in differing if key in ours),
        removed=tuple(removed),
        kept=tuple(key for key in (*differing, *gone) if key not in ours),
        rows=wanted,
    )


async def load(owner: asyncpg.Connection[Any], folder: Path = FOLDER) -> list[ReferenceChanges]:
    """Brings the tables to the state of the files, in one transaction; categories of shops are matched again, and
    products get features by the new mappings. Returns what changed. Raises BadReference."""
    async with owner.transaction():
        await owner.execute(QUERIES["reference.begin"].sql)
        done = await changes(owner, folder)
        for found in done:
            await _put(owner, found)
        for found in reversed(done):  # what names a gift category goes before it
            await _remove(owner, found)
        await owner.execute(QUERIES["reference.map_categories"].sql)
        await owner.execute(QUERIES["reference.mark"].sql, checksum(folder))
        await owner.execute(
            QUERIES["reference.refresh_model"].sql
        )  # an administrator's edits are no changes of the files
        await owner.execute(QUERIES["reference.end"].sql)
    return done


async def load_missing(owner: asyncpg.Connection[Any]) -> bool:
    """Loads the reference data into a database that never had any. Later releases are loaded by `aclue reference load`,
    when an administrator has seen what they change; but a database without rules of links gets these, as no link would
    be tracked."""
    if await owner.fetchval(QUERIES["reference.loaded"].sql) is None:
        await load(owner)
        return True
    if await owner.fetchval(QUERIES["reference.has_link_rules"].sql):
        return False
    async with owner.transaction():
        await owner.execute(QUERIES["reference.begin"].sql)
        for table in NETWORK_TABLES:
            await _put(owner, await _compare(owner, table, read(table)))
        await fill_domains(owner)
        await owner.execute(QUERIES["reference.end"].sql)
    return True


async def _put(owner: asyncpg.Connection[Any], found: ReferenceChanges) -> None:
    keys = (*found.added, *found.changed)
    # Parents are rows of an earlier statement than those below them.
    for batch in (
        [k for k in keys if not found.rows[k].get("parent")],
        [k for k in keys if found.rows[k].get("parent")],
    ):
        if batch:
            rows = [{"key": key, "value": found.rows[key]} for key in batch]
            await owner.execute(QUERIES[f"reference.{found.table}_put"].sql, msgspec.json.encode(rows).decode())


async def _remove(owner: asyncpg.Connection[Any], found: ReferenceChanges) -> None:
    if found.removed:
        removed = await owner.execute(QUERIES[f"reference.{found.table}_remove"].sql, list(found.removed))
        if found.table == "taxonomy" and not removed.endswith(f" {len(found.removed)}"):
            await owner.execute(QUERIES["reference.taxonomy_remove"].sql, list(found.removed))  # the parents now
