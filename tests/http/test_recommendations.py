"""Feeds, gift finder, similar products and feedback."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from domain import ids
from tests.client import FEED, Client
from tests.conftest import Shop

GIFTS = """
query ($input: GiftFinderInput!, $first: Int, $after: String) {
  giftFinder(input: $input, first: $first, after: $after) {
    edges { cursor node { id } }
    nodes { id context score confidence reasons { code text weight } product { name category { slug } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
SIMILAR = """
query ($id: ID!, $first: Int! = 10) {
  product(id: $id) {
    similar(first: $first) { id context score reasons { code weight } product { name category { slug } } }
  }
}
"""
FEEDBACK = """
mutation ($input: RecommendationFeedbackInput!) {
  sendRecommendationFeedback(input: $input) { recommendation { id product { id } } userErrors { code field } }
}
"""


async def whole_feed(client: Client, size: int = 20, **variables: Any) -> list[dict[str, Any]]:
    """All pages."""
    seen: list[dict[str, Any]] = []
    after = None
    while True:
        page = await client.feed(first=size, after=after, **variables)
        seen += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return seen


def kinds(nodes: list[dict[str, Any]]) -> list[str]:
    return [node["product"]["category"]["slug"] for node in nodes]


async def test_without_a_token_what_is_popular(shop: Shop) -> None:
    feed = await whole_feed(shop.client())
    rows = await shop.owner.fetch("select id from public.products order by popularity desc, number")
    assert [node["product"]["id"] for node in feed] == [ids.encode("Product", row["id"]) for row in rows]
    assert {reason["code"] for node in feed for reason in node["reasons"]} == {"POPULAR"}
    assert {node["context"] for node in feed} == {"DISCOVER"}
    assert len({datetime.fromisoformat(node["generatedAt"]) for node in feed}) == 1


async def test_a_feed_is_ranked_by_its_score_with_reasons(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    await anna.swipe((await anna.product("Camping 1"))["id"], "UP")
    feed = await whole_feed(anna, size=7)
    assert len(feed) == len({node["product"]["id"] for node in feed}) == 49
    assert feed[0]["score"] == max(node["score"] for node in feed)
    assert all(0 <= node["score"] <= 1 and 0 <= node["confidence"] <= 1 for node in feed)
    for node in feed:
        weights = [reason["weight"] for reason in node["reasons"] if reason["code"] != "POPULAR"]
        assert node["reasons"]
        assert weights == sorted(weights, reverse=True)
    assert kinds(feed[:9]) == ["camping"] * 9
    codes = {reason["code"]: reason["text"] for reason in feed[0]["reasons"]}
    assert codes["TRAIT_ADVENTUROUS"] == "Suits your adventurous side"
    assert codes["LIKED_CATEGORY"] == "You like Camping, like “Camping 1”"


async def test_the_next_feed_follows_quiz_and_swipes(shop: Shop) -> None:
    for trait, kind in (("adv", "camping"), ("int", "books"), ("pra", "tools"), ("cre", "painting"), ("soc", "party")):
        anna = await shop.anonymous()  # quizzes of one person are combined
        await anna.take_quiz({trait})
        assert kinds((await anna.feed(first=5))["nodes"]) == [kind] * 5
    for i in range(1, 6):
        await anna.swipe((await anna.product(f"Party {i}"))["id"], "LEFT")
        await anna.swipe((await anna.product(f"Tools {i}"))["id"], "UP")
    assert "tools" in kinds((await anna.feed(first=3))["nodes"])


async def test_a_feed_leaves_out_what_was_swiped_even_between_pages(shop: Shop) -> None:
    anna = await shop.anonymous()
    before = await whole_feed(anna)
    page = await anna.feed(first=5)
    await anna.swipe(before[7]["product"]["id"], "LEFT")
    await anna.swipe(before[0]["product"]["id"], "DOWN")
    rest = await anna.feed(first=100, after=page["pageInfo"]["endCursor"])
    expected = [node["product"]["id"] for node in before[5:]]
    expected.remove(before[7]["product"]["id"])
    assert [node["product"]["id"] for node in rest["nodes"]] == expected
    again = {node["product"]["id"] for node in await whole_feed(anna)}
    assert again.isdisjoint({before[7]["product"]["id"], before[0]["product"]["id"]})


async def test_pages_of_a_feed(shop: Shop) -> None:
    anna = await shop.anonymous()
    first = await anna.feed()
    assert len(first["nodes"]) == 20
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    last = await anna.feed(first=100, after=first["pageInfo"]["endCursor"])
    assert (last["pageInfo"]["hasNextPage"], last["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert len(last["nodes"]) == 30
    empty = await anna.feed(first=1, after=last["pageInfo"]["endCursor"])
    assert (empty["nodes"], empty["pageInfo"]["startCursor"]) == ([], None)


async def test_a_cursor_fits_its_own_feed_only(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    cursor = (await anna.feed(first=5, filter={"tags": ["gift"]}))["pageInfo"]["endCursor"]
    assert (await anna.feed(first=5, after=cursor, filter={"tags": ["gift"]}))["nodes"]
    assert await ben.code(FEED, after=cursor, filter={"tags": ["gift"]}) == "BAD_USER_INPUT"
    assert await shop.client().code(FEED, after=cursor, filter={"tags": ["gift"]}) == "BAD_USER_INPUT"
    assert await anna.code(FEED, after=cursor) == "BAD_USER_INPUT"
    for variables in ({"after": "forged"}, {"first": 101}, {"first": -1}):
        assert await anna.code(FEED, **variables) == "BAD_USER_INPUT", variables
        assert await anna.code(GIFTS, input={}, **variables) == "BAD_USER_INPUT", variables


async def test_a_cursor_of_a_model_that_is_gone_is_stale(shop: Shop) -> None:
    anna = await shop.anonymous()
    cursor = (await anna.feed(first=5))["pageInfo"]["endCursor"]
    await shop.owner.execute("delete from public.recommendation_models")
    await shop.owner.execute("select private.refresh_model()")
    assert await anna.code(FEED, after=cursor) == "STALE"
    assert len((await anna.feed(first=5))["nodes"]) == 5


async def test_filters_of_a_feed(shop: Shop) -> None:
    anna = await shop.anonymous()
    feed = await whole_feed(anna, filter={"categorySlug": "books", "maxPrice": "12.00"})
    assert sorted(node["product"]["name"] for node in feed) == ["Books 1", "Books 2", "Books 3"]
    await shop.owner.execute("update public.products set in_stock = false where name = 'Books 2'")
    feed = await whole_feed(anna, filter={"categorySlug": "books", "maxPrice": "12.00"})
    assert sorted(node["product"]["name"] for node in feed) == ["Books 1", "Books 3"]
    assert await anna.code(FEED, filter={"minPrice": "-1"}) == "BAD_USER_INPUT"


async def test_gifts_for_somebody_else(shop: Shop) -> None:
    await shop.owner.execute("insert into public.gift_context_rules values ('occasion', 'midsummer', 'together', 1)")
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    gifts = (await anna.ask(GIFTS, input={"traits": ["INTELLECTUAL"]}, first=10))["giftFinder"]
    assert kinds(gifts["nodes"]) == ["books"] * 10
    assert {node["context"] for node in gifts["nodes"]} == {"GIFT_FINDER"}
    assert gifts["nodes"][0]["reasons"][0]["text"] == "Suits their curious side"
    same = (await shop.client().ask(GIFTS, input={"traits": ["INTELLECTUAL"]}, first=10))["giftFinder"]
    assert [n["product"]["name"] for n in same["nodes"]] == [n["product"]["name"] for n in gifts["nodes"]]
    party = (await anna.ask(GIFTS, input={"occasion": "Midsummer"}, first=10))["giftFinder"]["nodes"]
    assert kinds(party) == ["party"] * 10
    assert party[0]["reasons"][0] == {
        "code": "OCCASION_FIT",
        "text": "Right for the occasion: midsummer",
        "weight": party[0]["reasons"][0]["weight"],
    }


async def test_gifts_within_limits_page_by_page(shop: Shop) -> None:
    client = shop.client()
    given = {"minPrice": "12.00", "maxPrice": "13.00", "categorySlugs": ["all-gifts"], "avoidCategorySlugs": ["party"]}
    whole = (await client.ask(GIFTS, input=given))["giftFinder"]
    assert sorted(node["product"]["name"] for node in whole["nodes"]) == sorted(
        f"{kind} {i}" for kind in ("Books", "Camping", "Painting", "Tools") for i in (3, 4)
    )
    page = (await client.ask(GIFTS, input=given, first=3))["giftFinder"]
    rest = (await client.ask(GIFTS, input=given, first=20, after=page["pageInfo"]["endCursor"]))["giftFinder"]
    names = [node["product"]["name"] for node in (*page["nodes"], *rest["nodes"])]
    assert names == [node["product"]["name"] for node in whole["nodes"]]
    other = {**given, "occasion": "birthday"}
    assert await client.code(GIFTS, input=other, after=page["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"
    refused: list[dict[str, Any]] = [
        {"age": -1},
        {"age": 131},
        {"minPrice": "-1"},
        {"maxPrice": "1", "currencyCode": "?"},
    ]
    for wishes in refused:
        assert await client.code(GIFTS, input=wishes) == "BAD_USER_INPUT", wishes


@pytest.mark.parametrize("field", ["categorySlugs", "avoidCategorySlugs"])
async def test_a_nul_in_a_wish_is_named(shop: Shop, field: str) -> None:
    (error,) = (await shop.client().post(GIFTS, input={field: ["tools", "a\0b"]})).json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert f"`{field}` holds a NUL" in error["message"]


async def test_similar_products(shop: Shop) -> None:
    product = await shop.client().product("Books 4")
    found = (await shop.client().ask(SIMILAR, id=product["id"], first=9))["product"]["similar"]
    assert kinds(found) == ["books"] * 9
    assert "Books 4" not in [node["product"]["name"] for node in found]
    assert {node["context"] for node in found} == {"SIMILAR"}
    assert found[0]["reasons"][0]["code"] in {"SAME_CATEGORY", "SHARED_TAGS"}
    scores = [node["score"] for node in found]
    assert scores == sorted(scores, reverse=True)
    assert len((await shop.client().ask(SIMILAR, id=product["id"]))["product"]["similar"]) == 10
    for size in (101, -1):
        assert await shop.client().code(SIMILAR, id=product["id"], first=size) == "BAD_USER_INPUT"


async def test_feedback_is_kept_with_its_recommendation(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown = (await anna.feed(first=2))["nodes"][1]
    payload = await anna.do(
        FEEDBACK, input={"recommendationId": shown["id"], "kind": "HELPFUL", "rating": 4, "comment": "Good"}
    )
    assert payload["recommendation"] == {"id": shown["id"], "product": {"id": shown["product"]["id"]}}
    row = await shop.owner.fetchrow(
        """
        select f.feedback_type, f.rating, f.comment, r.model_version = m.version as is_of_model, r.arm, r.propensity,
          f.product_id
        from public.recommendation_feedback f
        join public.recommendations r on r.user_id = f.user_id and r.id = f.recommendation_id
        cross join public.recommendation_models m
        """
    )
    assert row is not None
    assert tuple(row)[:6] == ("helpful", 4, "Good", True, 0, 1.0)
    assert ids.encode("Product", row["product_id"]) == shown["product"]["id"]


async def test_the_next_feed_follows_feedback(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    feed = await whole_feed(anna)
    for node, kind in zip(
        feed, ("NOT_INTERESTED", "ALREADY_OWNED", "PURCHASED", "NOT_HELPFUL", "HELPFUL"), strict=False
    ):
        await anna.do(FEEDBACK, input={"recommendationId": node["id"], "kind": kind})
    after = {node["product"]["id"]: node["score"] for node in await whole_feed(anna)}
    gone, stays = feed[:3], feed[3:5]
    assert after.keys().isdisjoint({node["product"]["id"] for node in gone})
    assert {node["product"]["id"] for node in stays} <= after.keys()


async def test_feedback_that_cannot_be(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    shown = (await anna.feed(first=1))["nodes"][0]["id"]
    table: list[tuple[Client, dict[str, Any], str, str]] = [
        (anna, {"rating": 0}, "INVALID", "rating"),
        (anna, {"rating": 6}, "INVALID", "rating"),
        (anna, {"comment": "x" * 2001}, "INVALID", "comment"),
        (anna, {"comment": "\0"}, "INVALID", "comment"),
        (anna, {"recommendationId": "forged"}, "NOT_FOUND", "recommendationId"),
        (anna, {"recommendationId": shown[:-1]}, "NOT_FOUND", "recommendationId"),
        (anna, {"recommendationId": ids.encode("Product", uuid4())}, "NOT_FOUND", "recommendationId"),
        (ben, {}, "NOT_FOUND", "recommendationId"),
    ]
    for client, change, code, field in table:
        given = {"recommendationId": shown, "kind": "HELPFUL", **change}
        assert await client.refusal(FEEDBACK, input=given) == {"code": code, "field": [field]}, change
    assert await shop.client().code(FEEDBACK, input={"recommendationId": shown, "kind": "HELPFUL"}) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from public.recommendation_feedback") == 0


async def test_what_was_shown_without_a_token_may_be_answered_with_one(shop: Shop) -> None:
    shown = (await shop.client().feed(first=1))["nodes"][0]["id"]
    anna = await shop.anonymous()
    await anna.do(FEEDBACK, input={"recommendationId": shown, "kind": "PURCHASED"})
    assert await shop.owner.fetchval("select feedback_type from public.recommendation_feedback") == "purchased"


async def test_a_recommendation_by_its_id_says_what_the_feed_said(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    shown = (await anna.feed(first=3))["nodes"][2]
    query = """
    query ($id: ID!) { node(id: $id) { ... on Recommendation {
      id context score confidence generatedAt reasons { code text weight } product { id name category { slug } }
    } } }
    """
    now = (await anna.ask(query, id=shown["id"]))["node"]
    assert now.pop("generatedAt") > shown.pop("generatedAt")
    assert (shown.pop("rank"), shown.pop("isExplored")) == (3, False)
    assert now == shown


async def test_a_recommendation_keeps_its_id_while_it_is_the_same(shop: Shop) -> None:
    anna = await shop.anonymous()
    before = {node["product"]["id"]: node["id"] for node in await whole_feed(anna)}
    await anna.swipe((await anna.product("Camping 1"))["id"], "UP")  # other scores, positions and time
    after = {node["product"]["id"]: node["id"] for node in await whole_feed(anna)}
    assert after == {product: id for product, id in before.items() if product in after}
    await shop.owner.execute("select private.refresh_model()")
    assert not {node["id"] for node in await whole_feed(anna)} & set(after.values())


async def test_two_acts_on_a_recommendation_are_tied_to_one_row(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown = (await anna.feed(first=1))["nodes"][0]
    for kind in ("HELPFUL", "NOT_HELPFUL"):
        await anna.do(FEEDBACK, input={"recommendationId": shown["id"], "kind": kind})
    await anna.swipe(shown["product"]["id"], "RIGHT", recommendationId=shown["id"])
    assert await shop.owner.fetchval("select count(*) from public.recommendations") == 1


async def test_an_id_of_the_gift_finder_is_read_with_the_score_of_anybodys_feed(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    gift = (await anna.ask(GIFTS, input={"traits": ["INTELLECTUAL"]}, first=1))["giftFinder"]["nodes"][0]
    query = "query ($id: ID!) { node(id: $id) { ... on Recommendation { context score reasons { code } } } }"
    popular = {node["product"]["name"]: node["score"] for node in await whole_feed(shop.client())}
    assert (await anna.ask(query, id=gift["id"]))["node"] == {
        "context": "GIFT_FINDER",
        "score": popular[gift["product"]["name"]],
        "reasons": [{"code": "POPULAR"}],
    }


async def test_a_feed_of_nothing_says_whether_there_is_more_and_an_empty_cursor_is_none(shop: Shop) -> None:
    anna = await shop.anonymous()
    fields = "{ edges { cursor } nodes { id } pageInfo { hasNextPage endCursor } }"
    document = f"""
    query ($n: Int!) {{
      recommendations(first: $n, after: "") {fields} giftFinder(input: {{}}, first: $n, after: "") {fields}
    }}
    """
    nothing = {"edges": [], "nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}
    for _ in range(2):  # ranked, then kept
        assert await anna.ask(document, n=0) == {"recommendations": nothing, "giftFinder": nothing}
    assert len((await anna.ask(document, n=2))["recommendations"]["edges"]) == 2


WITHOUT = """
query ($ids: [ID!], $after: String, $filter: ProductFilter) {
  recommendations(first: 20, after: $after, filter: $filter, excludeIds: $ids) {
    nodes { id product { id } } pageInfo { endCursor }
  }
}
"""


async def test_excluded_products_are_left_out_on_every_page(shop: Shop) -> None:
    anna = await shop.anonymous()
    feed = await whole_feed(anna)
    excluded = [feed[0]["product"]["id"], feed[1]["id"], feed[30]["product"]["id"], feed[0]["id"]]
    seen, after = [], None
    for _ in range(3):
        page = (await anna.ask(WITHOUT, ids=excluded, after=after))["recommendations"]
        seen += [node["product"]["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    rest = [node["product"]["id"] for node in feed]
    assert seen == [id for position, id in enumerate(rest) if position not in (0, 1, 30)]


async def test_a_cursor_belongs_to_what_was_excluded(shop: Shop) -> None:
    anna = await shop.anonymous()
    first, second = (node["product"]["id"] for node in (await anna.feed(first=2))["nodes"])
    page = (await anna.ask(WITHOUT, ids=[first, second]))["recommendations"]["pageInfo"]["endCursor"]
    assert await anna.ask(WITHOUT, ids=[second, first, first], after=page)  # the same, said otherwise
    assert await anna.code(WITHOUT, ids=[first], after=page) == "BAD_USER_INPUT"
    assert await anna.code(WITHOUT, after=page) == "BAD_USER_INPUT"


async def test_without_a_token_products_are_excluded_too(shop: Shop) -> None:
    feed = (await shop.client().feed(first=1))["nodes"]
    page = (await shop.client().ask(WITHOUT, ids=[feed[0]["product"]["id"]]))["recommendations"]
    assert feed[0]["product"]["id"] not in str(page)


async def test_what_cannot_be_excluded_is_refused(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    bens = (await ben.feed(first=1))["nodes"][0]["id"]
    for given in (["nonsense"], [""], [ids.encode("Category", uuid4())], [bens], ["x" * 10_000]):
        assert await anna.code(WITHOUT, ids=given) == "BAD_USER_INPUT"
    unknown = [ids.encode("Product", uuid4()) for _ in range(101)]
    assert await anna.code(WITHOUT, ids=unknown) == "BAD_USER_INPUT"
    page = (await anna.ask(WITHOUT, ids=unknown[:100]))["recommendations"]
    assert len(page["nodes"]) == 20
