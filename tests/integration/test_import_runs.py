"""Runs of imports: what is kept of them, and taking them back exactly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from db import feed_rows, import_runs
from db.embedded import Dsns
from db.import_runs import Undone, UndoRefused
from db.product_imports import ImportReport, import_products
from domain.feed_mappings import ImportFailed, Mapping, parse_mapping
from tests.integration.waiting import until

MAPPING = parse_mapping("""
format = "jsonl"
category_separator = ">"
[fields]
external_id = "id"
name = "title"
description = "text"
price = "price"
sale_price = "sale"
sale_price_effective_date = "during"
affiliate_url = "url"
image_url = "picture"
in_stock = "stock"
brand = "brand"
category = "category"
tags = "tags"
item_group = "group"
size = "size"
[constants]
currency = "GBP"
[retailer]
slug = "shop"
name = "The Shop"
network = "awin"
domain = "shop.example"
""")
OTHER = msgspec.structs.replace(
    MAPPING, retailer=msgspec.structs.replace(MAPPING.retailer, slug="other", name="Other", domain="other.example")
)
# What follows from the rest, and when a row was written.
DERIVED = "- 'updated_at' - 'popularity' - 'last_seen_at'"
TABLES = ("retailers", "brands", "categories", "products", "product_offers", "product_prices", "product_origins")


def record(number: int, **changes: object) -> dict[str, object]:
    return {
        "id": f"S{number}",
        "title": f"Product {number}",
        "price": "9.99",
        "url": f"https://shop.example/{number}",
        "brand": "Acme",
        "category": "Home > Kitchen",
        **changes,
    }


class Importer:
    def __init__(self, owner: Any, folder: Path) -> None:
        self.owner = owner
        self.feed = folder / "feed.jsonl"

    async def load(self, *records: dict[str, object], mapping: Mapping = MAPPING, **options: Any) -> ImportReport:
        self.feed.write_text("\n".join(map(json.dumps, records)))
        return await import_products(self.owner, self.feed, mapping, **options)

    async def undo(self, report: ImportReport | Undone) -> Undone:
        number = report.run if isinstance(report, ImportReport) else report.number
        assert number is not None
        return await import_runs.undo(self.owner, number)

    async def state(self) -> dict[str, list[str]]:
        """All that an import writes."""
        return {
            table: [r[0] for r in await self.owner.fetch(
                f"select (to_jsonb(t) {DERIVED})::text from public.{table} t order by 1")]
            for table in TABLES
        }  # fmt: skip

    async def changes(self, report: ImportReport) -> list[Any]:
        return await self.owner.fetch(
            "select c.* from private.import_changes c join import_runs r on r.id = c.run_id where r.number = $1",
            report.run,
        )


@pytest.fixture
def importer(owner: Any, tmp_path: Path) -> Importer:
    return Importer(owner, tmp_path)


async def test_a_run_is_kept_with_file_mapping_counts_and_who(importer: Importer) -> None:
    report = await importer.load(record(1), record(2, price="none"), started_by="alice")
    [run] = await import_runs.newest(importer.owner, 10)
    assert (run["number"], run["outcome"], run["started_by"]) == (report.run, "done", "alice")
    assert run["file_name"] == "feed.jsonl"
    assert run["file_hash"] == hashlib.sha256(importer.feed.read_bytes()).hexdigest()
    counts = json.loads(run["counts"])
    assert (counts["read"], counts["inserted"], counts["rejected"]) == (2, 1, 1)
    mapping = json.loads(await importer.owner.fetchval("select mapping from import_runs"))
    assert mapping["retailer"]["slug"] == "shop"
    assert run["finished_at"] >= run["started_at"]


async def test_a_failed_import_is_kept_with_its_reason(importer: Importer) -> None:
    with pytest.raises(ImportFailed):
        await import_products(importer.owner, importer.feed, MAPPING)  # there is no such file
    [run] = await import_runs.newest(importer.owner, 10)
    assert (run["outcome"], run["file_hash"]) == ("failed", None)
    assert "No such file" in run["error"]


async def test_a_run_whose_process_was_killed_is_interrupted(importer: Importer, dsns: Dsns) -> None:
    assert dsns.owner
    other = await asyncpg.connect(dsns.owner)
    begun = import_runs.begun(other, started_by="anna")
    await begun.__aenter__()
    [run] = await import_runs.newest(importer.owner, 10)
    assert run["outcome"] == "running"
    with pytest.raises(UndoRefused, match="still running"):
        await import_runs.undo(importer.owner, run["number"])
    # In the middle of a statement: the server has to notice that nobody waits for it.
    sleeping = asyncio.ensure_future(other.execute("select pg_sleep(600)"))
    await until(importer.owner, "exists (select from pg_stat_activity where query = 'select pg_sleep(600)')")
    other.terminate()
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await sleeping
    await until(importer.owner, "private.interrupted_imports() = 1")
    [run] = await import_runs.newest(importer.owner, 10)
    assert (run["outcome"], run["error"]) == ("interrupted", None)
    with contextlib.suppress(asyncpg.InterfaceError):
        await begun.__aexit__(None, None, None)


async def test_a_dry_run_is_no_run(importer: Importer) -> None:
    report = await importer.load(record(1), dry_run=True)
    assert report.run is None
    assert await import_runs.newest(importer.owner, 10) == []


async def test_an_import_that_changes_nothing_records_no_change(importer: Importer) -> None:
    await importer.load(record(1), record(2))
    report = await importer.load(record(1), record(2))
    assert await importer.changes(report) == []
    with pytest.raises(UndoRefused, match="changed nothing"):
        await importer.undo(report)


async def test_only_changed_columns_are_recorded(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(5)))
    report = await importer.load(*(record(n, **({"price": "12.50"} if n == 3 else {})) for n in range(5)))
    [offer] = [c for c in await importer.changes(report) if c["table_name"] == "public.product_offers"]
    assert offer["operation"] == "update"
    silent = {"last_seen_at", "link_checked_at", "link_failures"}
    assert {k: v for k, v in json.loads(offer["before"]).items() if k not in silent} == {"price_minor": 999}
    assert {k: v for k, v in json.loads(offer["after"]).items() if k not in silent} == {"price_minor": 1250}


async def test_a_first_import_is_taken_back_to_an_empty_catalogue(importer: Importer) -> None:
    before = await importer.state()
    report = await importer.load(record(1), record(2, category="Home > Garden > Pots", brand="Birch"))
    undone = await importer.undo(report)
    assert await importer.state() == before
    assert undone.removed == {"products": 2, "categories": 4, "brands": 2, "retailers": 1}
    assert undone.kept == 0


async def test_a_second_import_is_taken_back_exactly(importer: Importer) -> None:
    await importer.load(
        *(record(n, group="g" if n < 3 else None, size="M", tags="tea, gift", text="Old") for n in range(10))
    )
    before = await importer.state()
    report = await importer.load(
        record(0, price="5.00", sale="4.00", title="Renamed", text="", tags="tea, чай"),
        record(1, stock="out of stock", brand="Birch", category="Garden", group="other", size="L"),
        record(2, picture="https://shop.example/2.jpg"),
        *(record(n, group=None, size="M", tags="tea, gift", text="Old") for n in range(3, 9)),
        record(11, brand="Cedar"),
        mapping=msgspec.structs.replace(MAPPING, retailer=msgspec.structs.replace(MAPPING.retailer, network="rakuten")),
    )
    assert (report.inserted, report.updated, report.deactivated) == (1, 3, 1)
    assert await importer.state() != before
    undone = await importer.undo(report)
    assert await importer.state() == before
    assert undone.removed == {"products": 1, "categories": 1, "brands": 2}
    assert undone.restored == {"products": 4, "retailers": 1}


async def test_taking_back_what_was_taken_back_brings_all_of_it_again(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(5)))
    before = await importer.state()
    report = await importer.load(
        *(record(n, price="5.00", brand="Birch", tags="a,b") for n in range(4)), record(9, category="Garden")
    )
    after = await importer.state()
    undone = await importer.undo(report)
    again = await importer.undo(undone)
    assert await importer.state() == after
    await importer.undo(report)  # it is in force again, and can be taken back again
    assert await importer.state() == before
    with pytest.raises(UndoRefused, match=f"import {undone.number} was taken back already, by import {again.number}"):
        await importer.undo(undone)


async def test_a_second_undo_of_the_same_run_says_so(importer: Importer) -> None:
    report = await importer.load(record(1))
    undone = await importer.undo(report)
    with pytest.raises(UndoRefused, match=f"import {report.run} was taken back already, by import {undone.number}"):
        await importer.undo(report)
    assert len(await import_runs.newest(importer.owner, 10)) == 2


async def test_what_was_imported_again_is_not_brought_back_twice(importer: Importer) -> None:
    undone = await importer.undo(await importer.load(record(1), record(2)))
    await importer.load(record(2), record(3))
    before = await importer.state()
    with pytest.raises(UndoRefused) as refused:
        await importer.undo(undone)
    assert "retailers shop: exists again" in map(str, refused.value.conflicts)
    assert {conflict.reason for conflict in refused.value.conflicts} == {"exists again"}
    assert await importer.state() == before


async def test_an_undo_is_a_run_and_audited(importer: Importer) -> None:
    report = await importer.load(record(1))
    undone = await import_runs.undo(importer.owner, report.run or 0, started_by="bob")
    run, first = await import_runs.newest(importer.owner, 10)
    assert (run["number"], run["undoes"], run["started_by"]) == (undone.number, report.run, "bob")
    assert (first["undone_by"], first["outcome"]) == (undone.number, "done")
    entry = await importer.owner.fetchrow("select * from audit_log where changes ? 'undone'")
    assert (entry["operation"], json.loads(entry["changes"])["undone"]) == ("import", report.run)


async def test_what_a_later_run_wrote_is_not_taken_back(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(5)))
    second = await importer.load(*(record(n, price="5.00", stock="out of stock") for n in range(5)))
    third = await importer.load(
        *(record(n, price="6.00" if n == 2 else "5.00", stock="out of stock") for n in range(5))
    )
    before = await importer.state()
    with pytest.raises(UndoRefused) as refused:
        await importer.undo(second)
    [conflict] = refused.value.conflicts
    assert str(conflict) == f"product_offers S2: price_minor was set to 500 and is 600 (import {third.run})"
    assert await importer.state() == before
    runs = await import_runs.newest(importer.owner, 10)
    assert (runs[0]["outcome"], runs[2]["undone_by"]) == ("failed", None)
    await importer.undo(third)
    await importer.undo(second)
    assert {r["price_minor"] for r in await importer.owner.fetch("select price_minor from products")} == {999}


async def test_what_an_administrator_wrote_is_not_taken_back(importer: Importer) -> None:
    report = await importer.load(record(1), record(2))
    await importer.owner.execute("update products set name = 'Mended' where external_id = 'S2'")
    with pytest.raises(UndoRefused, match="1 of its values were written since") as refused:
        await importer.undo(report)
    assert [str(c) for c in refused.value.conflicts] == ["products S2: changed (outside of imports)"]


async def test_other_values_of_the_same_row_stay_as_they_are(importer: Importer) -> None:
    await importer.load(record(1), record(2))
    report = await importer.load(record(1, price="5.00"), record(2))
    await importer.owner.execute("update products set name = 'Mended' where external_id = 'S1'")
    await importer.undo(report)
    row = await importer.owner.fetchrow("select * from products where external_id = 'S1'")
    assert (row["name"], row["price_minor"]) == ("Mended", 999)


async def test_a_sale_that_began_since_is_nobodys_change(importer: Importer) -> None:
    report = await importer.load(record(1, sale="5.00", during="2026-01-01T00:00Z/2199-01-01T00:00Z"))
    await importer.owner.execute("update products set sale_starts_at = '2100-01-01', price_minor = regular_price_minor")
    with pytest.raises(UndoRefused):
        await importer.undo(report)  # an administrator moved the sale
    await importer.owner.execute("update products set sale_starts_at = '2026-01-01', price_minor = regular_price_minor")
    await importer.undo(report)
    assert await importer.owner.fetchval("select count(*) from products") == 0


async def test_brands_and_categories_that_others_use_stay(importer: Importer) -> None:
    first = await importer.load(record(1), record(2, brand="Birch"))
    await importer.load(record(1, url="https://other.example/1"), mapping=OTHER)
    undone = await importer.undo(first)
    assert undone.removed == {"products": 2, "brands": 1, "retailers": 1}
    assert await importer.owner.fetchval("select count(*) from brands where name = 'Acme'") == 1
    assert await importer.owner.fetchval("select count(*) from products") == 1


async def test_a_product_that_people_swiped_stays_off_sale(importer: Importer) -> None:
    report = await importer.load(record(1), record(2))
    person = await importer.owner.fetchval(
        "insert into profiles (id, is_anonymous) values (gen_random_uuid(), true) returning id"
    )
    await importer.owner.execute(
        "insert into gift_links (user_id, product_id) select $1, id from products where external_id = 'S1'", person
    )
    undone = await importer.undo(report)
    assert (undone.kept, undone.removed) == (1, {"products": 1})
    row = await importer.owner.fetchrow("select * from products")
    assert (row["external_id"], row["is_active"]) == ("S1", False)
    assert await importer.owner.fetchval("select is_active from product_offers") is False
    await importer.undo(undone)
    assert await importer.owner.fetchval("select count(*) from products where is_active") == 2


async def test_a_click_keeps_its_offer_though_the_import_of_it_is_taken_back_and_again(importer: Importer) -> None:
    owner, fields = importer.owner, {**MAPPING.fields, "gtin": ("gtin",)}
    mapping, other = [msgspec.structs.replace(each, fields=fields) for each in (MAPPING, OTHER)]
    await importer.load(record(1, gtin="9520000001001"), mapping=mapping)
    later = await importer.load(
        record(1, url="https://other.example/1", gtin="9520000001001", price="5.00"),
        record(2, url="https://other.example/2"),
        mapping=other,
    )
    assert later.merged == 1
    person = await owner.fetchval(
        "insert into profiles (id, is_anonymous) values (gen_random_uuid(), true) returning id"
    )
    product = await owner.fetchval("select id from products where merged_into is null and external_id = 'S1'")
    await owner.execute("select private.insert_affiliate_click($1, $2, null, null, null, null)", person, product)
    offer = "select o.is_active, o.price_minor from affiliate_clicks c join product_offers o on o.id = c.offer_id"
    assert tuple(await owner.fetchrow(offer)) == (True, 500)
    undone = await importer.undo(later)
    assert (undone.kept, undone.removed["products"]) == (1, 1)
    assert tuple(await owner.fetchrow(offer)) == (False, 500)
    assert await owner.fetchval("select price_minor from products where id = $1 and is_active", product) == 999
    await importer.undo(undone)
    assert tuple(await owner.fetchrow(offer)) == (True, 500)
    assert await owner.fetchval("select price_minor from products where id = $1", product) == 500


async def test_an_offer_that_was_deactivated_since_stays_so(importer: Importer) -> None:
    await importer.load(*(record(n) for n in range(5)))
    report = await importer.load(*(record(n) for n in range(1, 5)))
    assert report.deactivated == 1
    await importer.owner.execute(
        "update product_offers set edited = '{inactive}' where id = (select id from products where external_id = 'S0')"
    )
    await importer.undo(report)
    found = await importer.owner.fetchrow(
        "select o.is_active, p.is_active from product_offers o join products p using (id) where p.external_id = 'S0'"
    )
    assert tuple(found) == (False, False)


async def test_products_know_the_run_and_line_that_last_set_them(importer: Importer) -> None:
    first = await importer.load(record(1), record(2), record(3), record(4))
    second = await importer.load(record(2), record(1, price="5.00"), record(3))

    async def origins() -> dict[str, tuple[int, int | None]]:
        rows = await importer.owner.fetch("""
            select p.external_id, r.number, o.line from product_origins o
            join products p on p.id = o.product_id join import_runs r on r.id = o.run_id""")
        return {row["external_id"]: (row["number"], row["line"]) for row in rows}

    assert await origins() == {
        "S1": (second.run, 2), "S2": (first.run, 2), "S3": (first.run, 3), "S4": (second.run, None)
    }  # fmt: skip
    await importer.undo(second)
    assert await origins() == {"S1": (first.run, 1), "S2": (first.run, 2), "S3": (first.run, 3), "S4": (first.run, 4)}


async def test_changes_of_old_runs_are_forgotten(importer: Importer) -> None:
    old, new = await importer.load(record(1)), await importer.load(record(1, price="5.00"))
    await importer.owner.execute(
        "update import_runs set finished_at = now() - interval '91 days' where number = $1", old.run
    )
    assert await importer.owner.fetchval("select private.purge_import_changes(90, 3)") == 3
    with pytest.raises(UndoRefused, match="too old"):
        await importer.undo(old)
    while await importer.owner.fetchval("select private.purge_import_changes(90, 3)"):
        pass
    assert await importer.changes(old) == []
    assert await importer.changes(new) != []


async def test_runs_of_before_a_migration_added_columns_are_taken_back(importer: Importer) -> None:
    before = await importer.state()
    first = await importer.load(record(1), record(2))
    between = await importer.state()
    second = await importer.load(record(1, price="5.00", brand="Other"), record(3))
    for table in ("products", "product_offers", "brands", "product_prices"):
        await importer.owner.execute(f"alter table public.{table} add column extra text not null default 'x'")

    async def state() -> dict[str, list[str]]:
        for table in ("products", "product_offers", "brands", "product_prices"):
            await importer.owner.execute(f"alter table public.{table} drop column extra")
        return await importer.state()

    await importer.undo(second)
    await importer.owner.execute("begin")
    assert await state() == between
    await importer.owner.execute("rollback")
    undone = await importer.undo(first)
    assert undone.removed["products"] == 2
    assert await state() == before


async def test_what_was_written_since_is_found_though_columns_were_added(importer: Importer) -> None:
    report = await importer.load(record(1), record(2))
    await importer.owner.execute("alter table public.products add column extra text not null default 'x'")
    await importer.owner.execute("update products set name = 'Another' where external_id = 'S2'")
    with pytest.raises(UndoRefused) as refused:
        await importer.undo(report)
    assert [(c.table, c.label) for c in refused.value.conflicts] == [("public.products", "S2")]


async def test_what_a_run_refused_is_kept_with_it(importer: Importer) -> None:
    report = await importer.load(record(1), record(2, price="none"), record(3, picture="no address"), record(1))
    assert report.run is not None
    rows = await import_runs.rejects(importer.owner, report.run)
    assert rows is not None
    assert [(r["line"], r["external_id"], r["field"], r["value"], r["kind"]) for r in rows] == [
        (2, "S2", "price", "none", "rejected"),
        (3, "S3", "image_url", "no address", "warning"),
        (4, "S1", "external_id", "S1", "rejected"),
    ]
    await importer.load(record(1), record(2, price="none"), dry_run=True)
    assert await importer.owner.fetchval("select count(*) from private.import_rejects") == 3
    assert await import_runs.rejects(importer.owner, report.run + 1) is None
    await importer.owner.execute("update import_runs set finished_at = now() - interval '91 days'")
    while await importer.owner.fetchval("select private.purge_import_changes(90, 2)"):
        pass
    assert await import_runs.rejects(importer.owner, report.run) == []


async def test_of_many_rejects_the_first_are_kept(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_rows, "MAX_KEPT_REJECTS", 2)
    report = await importer.load(*(record(number, price="none") for number in range(1, 6)))
    assert report.run is not None
    assert report.rejected == 5
    assert len(await import_runs.rejects(importer.owner, report.run) or []) == 2
