"""The reference data: loaded once, updated on command, and never over what an administrator wrote."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import reference
from domain.personality import TRAITS

STATE = """
select md5(string_agg(t::text, E'\\n' order by t::text)) from (
  select slug || ' ' || name || ' ' || source || ' ' || google_ids::text || ' ' || updated_at as t
  from public.gift_categories
  union all select pattern || ' ' || taxonomy_id || ' ' || priority || ' ' || source from private.category_rules
  union all select to_jsonb(m)::text from public.personality_gift_mappings m
  union all select to_jsonb(m)::text from public.personality_tag_mappings m
  union all select to_jsonb(r)::text from public.gift_context_rules r
  union all select to_jsonb(r)::text from public.gift_context_categories r) t
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files, to be edited."""
    return Path(shutil.copytree(reference.FOLDER, tmp_path / "reference"))


def edit(path: Path, change: Any) -> None:
    """Rewrites a file with the rows that `change` returns for its rows."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), list(reader.fieldnames or ())
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(change(rows))


async def counts(owner: asyncpg.Connection[Any], folder: Path = reference.FOLDER) -> dict[str, tuple[int, ...]]:
    return {
        found.table: (len(found.added), len(found.changed), len(found.removed), len(found.kept))
        for found in await reference.changes(owner, folder)
        if found.count or found.kept
    }


async def test_every_trait_is_mapped_to_every_gift_category() -> None:
    by_name = {table.name: reference.read(table) for table in reference.TABLES}
    slugs = by_name["taxonomy"]
    parents = {value["parent"] for value in slugs.values()}
    assert 40 <= len([slug for slug in slugs if slug not in parents]) <= 80
    assert set(by_name["mappings"]) == {f"{trait} {slug}" for trait in TRAITS for slug in slugs}
    assert {rule["category"] for rule in by_name["category_rules"].values()} <= set(slugs)
    assert {key.split()[2] for key in by_name["context_categories"]} <= set(slugs)
    numbers = [number for value in slugs.values() for number in value["google_ids"]]
    assert len(numbers) == len(set(numbers)) > 300
    for line in by_name["mappings"].values():
        assert -1 <= line["weight"] <= 1 and all(0 <= value <= 1 for value in line["occasions"].values())


async def test_a_second_load_writes_nothing(owner: asyncpg.Connection[Any]) -> None:
    before = await owner.fetchval(STATE)
    assert await counts(owner) == {}
    assert not await reference.load_missing(owner)
    await reference.load(owner)
    assert await owner.fetchval(STATE) == before


async def test_a_fresh_database_gets_all_of_it(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "update public.gift_categories set parent_id = null; delete from public.gift_categories;"
        " delete from public.personality_tag_mappings; delete from public.gift_context_rules;"
        " delete from private.applied_files where name = 'reference data'"
    )
    assert await reference.load_missing(owner)
    assert await counts(owner) == {}
    assert (
        await owner.fetchval("select count(*) from public.personality_gift_mappings where source <> 'reference'") == 0
    )


async def test_a_new_release_changes_adds_and_removes(owner: asyncpg.Connection[Any], folder: Path) -> None:
    edit(folder / "tags.csv", lambda rows: [{**rows[0], "weight": "-0.4"}, *rows[2:], {**rows[0], "tag": "new-tag"}])
    assert await counts(owner, folder) == {"tags": (1, 1, 1, 0)}
    await reference.load(owner, folder)
    assert await counts(owner, folder) == {}
    assert (
        await owner.fetchval("select weight::float8 from public.personality_tag_mappings where tag = 'adventure'")
        == -0.4
    )


async def test_a_row_that_an_administrator_edited_stays(owner: asyncpg.Connection[Any], folder: Path) -> None:
    await owner.execute("update public.personality_tag_mappings set weight = 0.11 where tag = 'adventure'")
    await owner.execute(
        "insert into public.personality_tag_mappings (personality_type, tag, weight) values ('social', 'own', 1)"
    )
    assert await counts(owner) == {"tags": (0, 0, 0, 2)}
    edit(folder / "tags.csv", lambda rows: [{**row, "weight": "1"} for row in rows if row["tag"] != "adrenaline"])
    await reference.load(owner, folder)
    rows = dict(
        await owner.fetch("select tag, weight::float8 from public.personality_tag_mappings where source = 'admin'")
    )
    assert rows == {"adventure": 0.11, "own": 1}


async def test_a_gift_category_goes_unless_an_administrator_uses_it(
    owner: asyncpg.Connection[Any], folder: Path
) -> None:
    await owner.execute("insert into public.categories (slug, name) values ('barware', 'Bar'), ('baking', 'Baking')")
    await owner.execute(
        "update public.categories set taxonomy_id = taxonomy_id, name = 'Ours' where slug = 'baking';"
        " update public.personality_gift_mappings set recommendation_weight = 1 where taxonomy_id ="
        " (select id from public.gift_categories where slug = 'baking') and personality_type = 'social'"
    )
    for name in ("taxonomy", "category_rules", "mappings", "context_categories"):
        edit(
            folder / f"{name}.csv",
            lambda rows: [row for row in rows if not {"barware", "baking"} & {row.get("category"), row.get("slug")}],
        )
    await reference.load(owner, folder)
    left = [
        row[0]
        for row in await owner.fetch("select slug from public.gift_categories where slug in ('barware', 'baking')")
    ]
    assert left == ["baking"]
    assert await owner.fetchval("select taxonomy_id from public.categories where slug = 'barware'") is None


async def test_new_rules_move_categories_that_nobody_placed(owner: asyncpg.Connection[Any], folder: Path) -> None:
    await owner.execute(
        "insert into public.categories (slug, name) values ('frobs', 'Frobs'), ('tents', 'Tents'), ('zelte', 'Zelte')"
    )
    await owner.execute(
        "update public.categories set taxonomy_id = (select id from public.gift_categories where slug = 'baking')"
        " where slug = 'zelte'"
    )
    edit(
        folder / "category_rules.csv",
        lambda rows: [
            *({**row, "category": "travel-gear"} if row["pattern"] in ("tents", "zelte") else row for row in rows),
            {"pattern": "frob*", "category": "tools-diy", "priority": "2"},
        ],
    )
    await reference.load(owner, folder)
    found = await owner.fetch(
        "select c.slug, g.slug, c.taxonomy_source from public.categories c"
        " join public.gift_categories g on g.id = c.taxonomy_id order by c.slug"
    )
    assert [tuple(row) for row in found] == [
        ("frobs", "tools-diy", "rule"), ("tents", "travel-gear", "rule"), ("zelte", "baking", "admin"),
    ]  # fmt: skip


@pytest.mark.parametrize(("weight", "message"), [("lots", "line 2"), ("", "line 2")])
async def test_a_bad_file_is_named(owner: asyncpg.Connection[Any], folder: Path, weight: str, message: str) -> None:
    edit(folder / "tags.csv", lambda rows: [{**rows[0], "weight": weight}, *rows[1:]])
    with pytest.raises(reference.BadReference, match=rf"tags\.csv, {message}"):
        await reference.load(owner, folder)


async def test_a_key_that_is_there_twice_is_refused(folder: Path) -> None:
    edit(folder / "tags.csv", lambda rows: [rows[0], *rows])
    with pytest.raises(reference.BadReference, match="is there twice"):
        reference.read(next(table for table in reference.TABLES if table.name == "tags"), folder)


@pytest.mark.parametrize(
    ("path", "gift"),
    [
        ("sporting-goods>outdoor-recreation>camping-hiking>tents", "camping-hiking"),
        ("musical-instruments>guitars>accessories", "instruments"),  # a word that says little yields to one above it
        ("home-garden>kitchen-dining>barware", "barware"),  # the deepest of equals
        ("fiction-poetry", "fiction-poetry"),  # the slug itself
        ("heimtextilien>bettwasche", "cushions-bedding"),
        ("frobnication", None),
    ],
)
async def test_the_rules_of_a_path(owner: asyncpg.Connection[Any], path: str, gift: str | None) -> None:
    found = await owner.fetch(
        "select g.slug from private.match_gift_categories(array[$1]) m"
        " join public.gift_categories g on g.id = m.taxonomy_id",
        path,
    )
    assert [row[0] for row in found] == ([gift] if gift else [])
