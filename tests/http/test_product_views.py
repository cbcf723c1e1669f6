"""Products looked at, through GraphQL."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta

from tests.client_ids import uuid7
from tests.conftest import Shop

RECORD = """
mutation ($views: [ProductViewInput!]!, $sentAt: DateTime) {
  recordProductViews(input: {views: $views, sentAt: $sentAt}) { recorded userErrors { code message field } }
}
"""
COUNT = "{ me { analytics { views } } }"
DAY = 24 * 3600


async def test_views_are_counted_once_however_often_they_are_sent(shop: Shop) -> None:
    anna = await shop.anonymous()
    products = await anna.products(first=2)
    views = [{"id": uuid7(), "productId": p["id"], "durationSeconds": 7, "sourcePage": "feed"} for p in products]

    assert (await anna.do(RECORD, views=views))["recorded"] == 2
    assert (await anna.do(RECORD, views=views))["recorded"] == 0

    assert (await anna.ask(COUNT))["me"]["analytics"]["views"] == 2
    stored = await shop.owner.fetch("select tableoid::regclass::text as part, * from public.product_views")
    assert [(row["view_duration_seconds"], row["source_page"]) for row in stored] == [(7, "feed")] * 2
    assert all(row["part"].startswith("product_views_20") for row in stored), "not in the default partition"


async def test_the_same_id_of_two_people_is_two_views(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    views = [{"id": uuid7(), "productId": product}]

    assert (await anna.do(RECORD, views=views))["recorded"] == 1
    assert (await ben.do(RECORD, views=views))["recorded"] == 1
    assert (await ben.ask(COUNT))["me"]["analytics"]["views"] == 1


async def test_ids_of_another_kind_or_time_are_refused_and_the_others_are_stored(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    bad = ["nonsense", str(uuid.uuid4()), uuid7(-DAY), uuid7(31 * DAY)]

    views = [{"id": id, "productId": product} for id in (uuid7(), *bad)]
    payload = (await anna.ask(RECORD, views=views))["recordProductViews"]
    assert [error["field"] for error in payload["userErrors"]] == [["views", str(i), "id"] for i in range(1, 5)]
    assert payload["recorded"] == 1
    assert (await anna.ask(COUNT))["me"]["analytics"]["views"] == 1


async def test_views_of_a_wrong_clock_are_stored_once_at_the_servers_time(shop: Shop) -> None:
    anna = await shop.anonymous()
    views = [{"id": uuid7(-DAY), "productId": (await anna.products(first=1))[0]["id"]}]
    for later, recorded in ((0, 1), (7, 0)):
        clock = (datetime.now(UTC) + timedelta(days=1, seconds=later)).isoformat()
        assert (await anna.do(RECORD, views=views, sentAt=clock))["recorded"] == recorded
    (stored,) = await shop.owner.fetch("select id from public.product_views")
    assert abs(time.time() - (stored["id"].int >> 80) / 1000) < 60


async def test_views_sent_again_without_the_clock_are_no_new_ones(shop: Shop) -> None:
    anna = await shop.anonymous()
    views = [{"id": uuid7(DAY), "productId": (await anna.products(first=1))[0]["id"]}]
    clock = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert (await anna.do(RECORD, views=views, sentAt=clock))["recorded"] == 1
    assert (await anna.do(RECORD, views=views))["recorded"] == 0
    early = [{**views[0], "id": uuid7(-DAY)}]
    clock = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await anna.do(RECORD, views=early, sentAt=clock))["recorded"] == 1
    assert (await anna.do(RECORD, views=early))["recorded"] == 0


async def test_views_need_somebody_and_are_limited(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]

    assert await shop.client().code(RECORD, views=[{"id": uuid7(), "productId": product}]) == "UNAUTHENTICATED"
    many = [{"id": uuid7(), "productId": product} for _ in range(101)]
    assert (await anna.refusal(RECORD, views=many))["code"] == "LIMIT_REACHED"
