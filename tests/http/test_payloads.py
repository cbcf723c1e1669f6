"""What a mutation did stays done, and done once, when a part of its payload cannot be written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Shop

SWIPE = """
mutation ($product: ID!, $first: Int) {
  recordSwipe(input: {productId: $product, direction: RIGHT, clientSwipeId: "one"}) {
    swipe { id product { category { products(first: $first) { nodes { id } } } } }
  }
}
"""
SIGN_UP = """
mutation ($order: ProductOrder, $first: Int) {
  signUp(input: {email: "anna@people.example", password: "a long enough password"}) {
    accessToken
    userErrors { code }
    profile { swipes(first: $first) { nodes { product { category { products(orderBy: $order) { nodes { id } } } } } } }
  }
}
"""


async def test_a_swipe_is_kept_though_a_page_below_it_is_refused(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Books 1"))["id"]
    body = (await anna.post(SWIPE, product=product, first=1000)).json()
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["path"] == ["recordSwipe", "swipe", "product", "category", "products"]
    assert await shop.owner.fetchval("select count(*) from swipes") == 1
    assert shop.engine.counts["payload"] == 1


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize("wrong", [{"order": None}, {"first": 1000}], ids=["an argument", "a page"])
async def test_who_signed_up_gets_the_tokens_though_the_profile_cannot_be_shown(
    shop: Shop, wrong: dict[str, Any]
) -> None:
    body = (await shop.client().post(SIGN_UP, **wrong)).json()
    payload = body["data"]["signUp"]
    assert payload["accessToken"]
    assert payload["userErrors"] == []
    assert await shop.owner.fetchval("select count(*) from profiles where not is_anonymous") == 1


async def test_many_columns_of_a_row_below_the_payload_are_written_otherwise(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Books 1"))["id"]
    counts = " ".join(f"c{i}: products(first: {i + 1}) {{ totalCount }}" for i in range(60))
    query = (
        "mutation ($product: ID!) { recordSwipe(input: {productId: $product, direction: RIGHT, clientSwipeId: "
        f'"one"}}) {{ swipe {{ product {{ category {{ {counts} }} }} }} }} }}'
    )
    body = (await anna.post(query, product=product)).json()
    assert "errors" not in body
    assert len(body["data"]["recordSwipe"]["swipe"]["product"]["category"]) == 60


async def test_the_largest_int_is_written(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Books 1"))["id"]
    query = """
    mutation ($product: ID!) {
      createGiftLink(input: {productId: $product, maxUses: 2147483647}) { giftLink { maxUses } userErrors { message } }
    }
    """
    payload = await anna.do(query, product=product)
    assert payload["giftLink"]["maxUses"] == 2_147_483_647
