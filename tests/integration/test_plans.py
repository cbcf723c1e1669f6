"""bench/plans.py: nothing of the API is left out, and a scan of a whole table is seen, inside functions too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import plans
from db.claims import ANONYMOUS
from schema.schema import build
from tests.conftest import Shop


def test_every_root_field_is_asked() -> None:
    schema = build()._schema
    assert schema.query_type
    assert schema.mutation_type
    fields = {*schema.query_type.fields, *schema.mutation_type.fields}
    source = "".join(file.read_text() for file in Path(plans.__file__).parent.glob("*operations.py"))
    assert {field for field in fields if not re.search(rf"\b{field}\b", source)} == set()


@pytest.fixture
async def watch(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> plans.Watch:
    """Counts scans of the shop's 50 products as those of a large table."""
    monkeypatch.setattr(plans, "LARGE", 40)
    await shop.owner.execute("analyze public.products")
    return plans.Watch(await plans.large_tables(shop.owner))


async def asked(shop: Shop, watch: plans.Watch, *statements: str) -> int:
    with plans.watching(watch):
        for sql in statements:
            async with shop.services.database.session(ANONYMOUS, read_only=True) as session:
                await session.run(sql, [])
    return plans.report(watch)


async def test_a_sequential_scan_is_found_once_and_where_it_was(shop: Shop, watch: plans.Watch) -> None:
    scan = "select count(*) from public.products where description like '%nothing%'"
    assert await asked(shop, watch, scan, "select 1") == 1
    assert [table for _, table in watch.scans] == ["products"]


async def test_a_scan_inside_a_function_is_found_too(shop: Shop, watch: plans.Watch) -> None:
    await shop.owner.execute(
        "create function public.hidden() returns bigint language plpgsql as $$ begin "
        "return (select count(*) from public.products where description like '%nothing%'); end $$"
    )
    await shop.owner.execute("grant execute on function public.hidden() to anon")
    assert await asked(shop, watch, "select public.hidden()") == 1


async def test_a_look_up_by_index_is_no_scan(shop: Shop, watch: plans.Watch) -> None:
    with plans.watching(watch):
        async with shop.services.database.session(ANONYMOUS, read_only=True) as session:
            await session.run("select set_config('enable_seqscan', 'off', true)", [])
            await session.run("select name from public.products where id = (select private.uuid_v7())", [])
    assert plans.report(watch) == 0
