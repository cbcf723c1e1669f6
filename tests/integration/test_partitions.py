"""Monthly partitions: made ahead, and an alarm when a row finds none."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from services import housekeeping
from tests.conftest import Shop

LATE = "2009-06-15T12:00Z"
VIEW = """
insert into public.product_views (user_id, id, product_id)
select $1, private.uuid_v7_floor($2), id from public.products limit 1
"""


async def test_this_month_and_the_next_three_have_partitions(owner: asyncpg.Connection[Any]) -> None:
    found = await owner.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'product_views'::regclass"
    )
    months = await owner.fetch(
        "select to_char(m, '\"product_views_\"YYYYMM') from generate_series("
        "date_trunc('month', now() at time zone 'UTC'), now() at time zone 'UTC' + interval '3 months', '1 month') m"
    )
    assert {row[0] for row in months} <= {row[0] for row in found}
    assert await owner.fetchval("select private.ensure_partitions()") == 0


async def test_a_partition_of_any_month_can_be_made(owner: asyncpg.Connection[Any]) -> None:
    make = "select private.ensure_partition('product_views', $1::text::timestamptz)"
    assert await owner.fetchval(make, LATE) is True
    assert await owner.fetchval(make, LATE) is False
    secured = "select relrowsecurity from pg_class where relname = 'product_views_200906'"
    assert await owner.fetchval(secured) is True


async def alarms(shop: Shop) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as logs:
        await housekeeping.check_default_partitions(shop.services)
    return [dict(log) for log in logs]


def repair() -> str:
    """What docs/scale.md says to run."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "scale.md").read_text()
    return re.findall(r"      begin;.*?commit;", text, re.DOTALL)[0]


async def test_a_row_without_a_partition_raises_the_alarm_until_it_is_moved(shop: Shop) -> None:
    assert await alarms(shop) == []
    person = uuid.uuid4()
    await shop.owner.execute("insert into public.profiles (id) values ($1)", person)
    late = await shop.owner.fetchval("select $1::text::timestamptz", LATE)
    await shop.owner.execute(VIEW, person, late)
    assert await alarms(shop) == [
        {"event": "partition default not empty", "partition": "product_views_default", "rows": 1, "log_level": "error"}
    ]

    await shop.owner.execute(repair())
    assert await alarms(shop) == []
    part = "select tableoid::regclass::text from public.product_views where user_id = $1"
    assert await shop.owner.fetchval(part, person) == "product_views_200906"
