"""What the swipes say of somebody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop

PREFERENCES = """
{
  me {
    preferences {
      id totalSwipes rightSwipes confidence updatedAt
      categories { slug name score } brands { slug name score } styles { slug name score }
      minPrice { amount currencyCode } maxPrice { amount currencyCode }
    }
  }
}
"""


async def preferences(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(PREFERENCES))["me"]["preferences"]
    return found


async def test_none_before_the_first_swipe(shop: Shop) -> None:
    assert await preferences(await shop.anonymous()) is None


async def test_preferences_say_what_their_row_says(shop: Shop) -> None:
    anna = await shop.anonymous()
    for name, direction in (("Camping 1", "RIGHT"), ("Camping 2", "UP"), ("Books 3", "LEFT"), ("Tools 1", "DOWN")):
        await anna.swipe((await anna.product(name))["id"], direction)
    found = await preferences(anna)
    row = await shop.owner.fetchrow("select * from public.user_preferences")
    assert row is not None
    assert found["id"] == ids.encode("Preferences", row["id"])
    assert (found["totalSwipes"], found["rightSwipes"]) == (4, 2)
    assert datetime.fromisoformat(found["updatedAt"]) == row["updated_at"]
    assert found["confidence"] == pytest.approx(row["confidence"])
    for field, column in (
        ("categories", "category_preferences"),
        ("brands", "brand_preferences"),
        ("styles", "style_preferences"),
    ):
        assert found[field] == msgspec.json.decode(row[column])
        scores = [affinity["score"] for affinity in found[field]]
        assert scores == sorted(scores, reverse=True)
        assert all(-1 <= score <= 1 for score in scores)


async def test_likes_raise_dislikes_lower_and_a_skip_says_nothing(shop: Shop) -> None:
    anna = await shop.anonymous()
    for name, direction in (("Camping 1", "RIGHT"), ("Books 1", "LEFT"), ("Tools 1", "DOWN")):
        await anna.swipe((await anna.product(name))["id"], direction)
    scores = {affinity["slug"]: affinity["score"] for affinity in (await preferences(anna))["categories"]}
    assert scores["camping"] > 0 > scores["books"]
    assert scores.get("tools", 0) == 0
    styles = {affinity["slug"]: affinity["score"] for affinity in (await preferences(anna))["styles"]}
    assert styles["outdoors"] > 0 > styles["reading"]


async def test_a_super_like_says_more_than_a_like(shop: Shop) -> None:
    scores = []
    for direction in ("RIGHT", "UP"):
        client = await shop.anonymous()
        await client.swipe((await client.product("Camping 1"))["id"], direction)
        scores.append((await preferences(client))["categories"][0]["score"])
    assert 0 < scores[0] < scores[1] <= 1


async def test_confidence_grows_with_the_products_judged(shop: Shop) -> None:
    anna = await shop.anonymous()
    seen = []
    for product in await anna.products(first=4):
        await anna.swipe(product["id"])
        seen.append((await preferences(anna))["confidence"])
    assert seen == sorted(seen)
    assert len(set(seen)) == 4
    assert all(0 < confidence < 1 for confidence in seen)


async def test_a_price_range_from_three_likes_on(shop: Shop) -> None:
    anna = await shop.anonymous()
    for name in ("Camping 1", "Camping 4"):
        await anna.swipe((await anna.product(name))["id"])
    assert (await preferences(anna))["minPrice"] is None
    await anna.swipe((await anna.product("Camping 9"))["id"])
    found = await preferences(anna)
    assert found["minPrice"] == {"amount": "10.00", "currencyCode": "GBP"}
    assert found["maxPrice"] == {"amount": "18.00", "currencyCode": "GBP"}


async def test_nobody_sees_somebody_elses(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    await anna.swipe((await anna.product("Camping 1"))["id"])
    assert await preferences(ben) is None
    key = (await preferences(anna))["id"]
    assert (await ben.ask("query ($id: ID!) { node(id: $id) { id } }", id=key))["node"] is None
