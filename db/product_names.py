"""The shops, brands and categories that a feed names: which rows they are, and new rows for new names.

Names are compared by `name_key`, so that neither the order of the lines nor a slug that loses letters decides what is
one. A name in kebab-case may be a slug. Runs in the transaction of an import, whose lock keeps out other imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import asyncpg

from db.queries import QUERIES
from domain.feed_mappings import Mapping
from domain.feed_text import name_key, slugify, spare_slug
from domain.feed_values import MAX_KEY

UNCATEGORISED = "uncategorised"


def _query(block: str) -> str:
    return QUERIES[f"product_imports.{block}"].sql


def _is_slug(name: str) -> bool:
    # Of one word it is as likely a name, which the key finds.
    return "-" in name and slugify(name) == name


def _free_slug(slug: str, name: str, is_taken: Callable[[str], object]) -> str:
    slug = slug[: MAX_KEY - 10].strip("-") or "x"
    return spare_slug(slug, name) if is_taken(slug) else slug


class _Known:
    """The rows of a table that have names, by slug and by key."""

    def __init__(self, rows: Iterable[asyncpg.Record]) -> None:
        self.slugs: dict[str, UUID] = {}
        self._keys: dict[str, UUID] = {}
        for row in rows:
            self.slugs[row["slug"]] = row["id"]
            self._keys.setdefault(name_key(row["name"]), row["id"])

    def find(self, name: str) -> UUID | None:
        by_slug = self.slugs.get(name) if _is_slug(name) else None
        return by_slug or self._keys.get(name_key(name))

    def new(self, names: Iterable[str]) -> dict[str, str]:
        """Slugs and names of those that no row has yet, each once."""
        found: dict[str, str] = {}
        keys: set[str] = set()
        for name in names:
            key = name_key(name)
            if key in keys or self.find(name) is not None:
                continue
            keys.add(key)
            found[_free_slug(slugify(name), name, lambda slug: slug in self.slugs or slug in found)] = name
        return found

    def add(self, names: dict[str, str], rows: Iterable[asyncpg.Record]) -> None:
        for row in rows:
            self.slugs[row["slug"]] = row["id"]
            self._keys[name_key(names[row["slug"]])] = row["id"]


async def resolve_retailers(connection: asyncpg.Connection[Any], mapping: Mapping) -> None:
    """The mapping's own shop is the one with its slug; others are found by name."""
    shop = mapping.retailer
    named = await connection.fetch(_query("retailer_names"))
    known = _Known(await connection.fetch(_query("known_retailers")))
    wanted = [row["name"] for row in named if row["is_wanted"]]
    if shop.slug is not None:
        new = {shop.slug: shop.name or shop.slug} if wanted and shop.slug not in known.slugs else {}
    else:
        new = known.new(wanted)
    if new:
        known.add(
            new, await connection.fetch(_query("add_retailers"), [*new], [*new.values()], shop.network, shop.domain)
        )
    find = known.slugs.get if shop.slug is not None else known.find
    pairs = [(row["name"], id) for row in named if (id := find(row["name"])) is not None]
    await connection.copy_records_to_table("product_import_retailers", records=pairs)


async def resolve_brands(connection: asyncpg.Connection[Any]) -> None:
    names = [row["name"] for row in await connection.fetch(_query("brand_names"))]
    known = _Known(await connection.fetch(_query("known_brands")))
    if new := known.new(names):
        known.add(new, await connection.fetch(_query("add_brands"), [*new], [*new.values()]))
    await connection.copy_records_to_table(
        "product_import_brands", records=[(name, known.find(name)) for name in names]
    )


async def resolve_categories(connection: asyncpg.Connection[Any]) -> None:
    """Level by level, because parents need ids first."""
    paths = [(row["names"], row["slugs"]) for row in await connection.fetch(_query("category_paths"))]
    tree = _Tree(await connection.fetch(_query("known_categories")))
    ids: list[UUID | None] = [None] * len(paths)
    for depth in range(max((len(names) for names, _ in paths), default=0)):
        here = [
            (index, _Level(ids[index], names[depth], slugs[depth] if slugs else None))
            for index, (names, slugs) in enumerate(paths)
            if depth < len(names)
        ]
        if new := tree.new(level for _, level in here):
            parents, names = [level.parent for level in new.values()], [level.name for level in new.values()]
            tree.add(new, await connection.fetch(_query("add_categories"), parents, [*new], names))
        for index, level in here:
            ids[index] = tree.find(level)
    nothing = tree.slugs[UNCATEGORISED]
    records = [(names, slugs, id or nothing) for (names, slugs), id in zip(paths, ids, strict=True)]
    await connection.copy_records_to_table("product_import_categories", records=records)


class _Level:
    """A category below a parent (None: a root), by name; `slug` if a gift category chose it."""

    __slots__ = ("key", "name", "parent", "slug")

    def __init__(self, parent: UUID | None, name: str, slug: str | None) -> None:
        self.parent = parent
        self.name = name
        self.slug = slug
        self.key = name_key(name)


class _Tree:
    def __init__(self, rows: Iterable[asyncpg.Record]) -> None:
        self.slugs: dict[str, UUID] = {}
        self._slug_of: dict[UUID, str] = {}
        self._key_of: dict[UUID, str] = {}
        self._children: dict[tuple[UUID | None, str], UUID] = {}
        for row in rows:
            self._put(row["id"], row["slug"], row["parent_id"], name_key(row["name"]))

    def _put(self, id: UUID, slug: str, parent: UUID | None, key: str) -> None:
        self.slugs[slug] = id
        self._slug_of[id] = slug
        self._key_of.setdefault(id, key)  # of its earlier names, which come last, none
        self._children.setdefault((parent, key), id)

    def find(self, level: _Level) -> UUID | None:
        if level.slug is not None:
            return self.slugs.get(level.slug)
        if level.parent is not None:
            return self._children.get((level.parent, level.key))
        if _is_slug(level.name) and level.name in self.slugs:
            return self.slugs[level.name]
        if (root := self._children.get((None, level.key))) is not None:
            return root
        # A single name is a category further down, if its slug says so; in small letters it may be that slug.
        below = self.slugs.get(slugify(level.name))
        if below is None or (self._key_of[below] != level.key and slugify(level.name) != level.name):
            return None
        return below

    def new(self, levels: Iterable[_Level]) -> dict[str, _Level]:
        found: dict[str, _Level] = {}
        seen: set[tuple[UUID | None, str, str | None]] = set()
        for level in levels:
            identity = (level.parent, level.key, level.slug)
            if identity in seen or self.find(level) is not None:
                continue
            seen.add(identity)
            if level.slug is not None:
                found[level.slug] = level
                continue
            # Includes the slugs above it: men-shoes is not women-shoes.
            above = self._slug_of[level.parent] + "-" if level.parent is not None else ""
            slug = above + slugify(level.name)
            found[_free_slug(slug, above + level.name, lambda s: s in self.slugs or s in found)] = level
        return found

    def add(self, new: dict[str, _Level], rows: Iterable[asyncpg.Record]) -> None:
        for row in rows:
            level = new[row["slug"]]
            self._put(row["id"], row["slug"], level.parent, level.key)
