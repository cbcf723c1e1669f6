"""Products looked at, through GraphQL."""

from __future__ import annotations

import time
import uuid

from tests.conftest import Shop

RECORD = """
mutation ($views: [ProductViewInput!]!) {
  recordProductViews(input: {views: $views}) { recorded userErrors { code message field } }
}
"""
COUNT = "{ me { analytics { views } } }"
DAY = 24 * 3600


def view_id(age_seconds: float = 0) -> str:
    """A UUIDv7 of that long ago."""
    milliseconds = int((time.time() - age_seconds) * 1000)
    random = uuid.uuid4().int & ((1 << 76) - 1)
    return str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (random & ~(0x3 << 62)) | (0x2 << 62)))


async def test_views_are_counted_once_however_often_they_are_sent(shop: Shop) -> None:
    anna = await shop.anonymous()
    products = await anna.products(first=2)
    views = [{"id": view_id(), "productId": p["id"], "durationSeconds": 7, "sourcePage": "feed"} for p in products]

    assert (await anna.do(RECORD, views=views))["recorded"] == 2
    assert (await anna.do(RECORD, views=views))["recorded"] == 0

    assert (await anna.ask(COUNT))["me"]["analytics"]["views"] == 2
    stored = await shop.owner.fetch("select tableoid::regclass::text as part, * from public.product_views")
    assert [(row["view_duration_seconds"], row["source_page"]) for row in stored] == [(7, "feed")] * 2
    assert all(row["part"].startswith("product_views_20") for row in stored), "not in the default partition"


async def test_the_same_id_of_two_people_is_two_views(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    views = [{"id": view_id(), "productId": product}]

    assert (await anna.do(RECORD, views=views))["recorded"] == 1
    assert (await ben.do(RECORD, views=views))["recorded"] == 1
    assert (await ben.ask(COUNT))["me"]["analytics"]["views"] == 1


async def test_ids_of_another_kind_or_time_are_refused_and_nothing_is_stored(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    good = {"id": view_id(), "productId": product}

    for bad in ("nonsense", str(uuid.uuid4()), view_id(-DAY), view_id(31 * DAY)):
        refused = await anna.refusal(RECORD, views=[good, {"id": bad, "productId": product}])
        assert (refused["code"], refused["field"]) == ("INVALID", ["views", "1", "id"])
    assert (await anna.ask(COUNT))["me"]["analytics"]["views"] == 0


async def test_views_need_somebody_and_are_limited(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]

    assert await shop.client().code(RECORD, views=[{"id": view_id(), "productId": product}]) == "UNAUTHENTICATED"
    many = [{"id": view_id(), "productId": product} for _ in range(101)]
    assert (await anna.refusal(RECORD, views=many))["code"] == "LIMIT_REACHED"
