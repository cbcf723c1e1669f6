"""What each kind of feedback says of the taste, and everybody's feedback as analysts read it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop

SAY = """
mutation ($input: RecommendationFeedbackInput!) {
  sendRecommendationFeedback(input: $input) { recommendation { id } userErrors { code field } }
}
"""
READ = """
query ($first: Int, $after: String, $filter: RecommendationFeedbackFilter) {
  recommendationFeedback(first: $first, after: $after, filter: $filter) {
    edges { cursor }
    nodes { kind reason rating comment context modelVersion createdAt product { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


@pytest.fixture
async def anna(shop: Shop) -> Client:
    return await shop.anonymous()


def staff(shop: Shop, role: str) -> Client:
    return shop.client(shop.token(uuid4(), app_metadata={"role": role}))


async def say(client: Client, shown: dict[str, Any], kind: str, **more: Any) -> None:
    await client.do(SAY, input={"recommendationId": shown["id"], "kind": kind, **more})


async def strengths(shop: Shop, client: Client) -> dict[str, float]:
    """The signals of feedback, by product."""
    user = ids.decode_as("Profile", await client.my_id())
    rows = await shop.owner.fetch(
        "select product_id, strength from private.feedback_signals($1, 'infinity') where strength is not null", user
    )
    return {ids.encode("Product", row["product_id"]): round(row["strength"], 4) for row in rows}


@pytest.mark.parametrize(
    ("given", "strength"),
    [
        ({"kind": "HELPFUL"}, 0.65),
        ({"kind": "NOT_HELPFUL"}, 0.35),
        ({"kind": "ALREADY_OWNED"}, 0.6),
        ({"kind": "PURCHASED"}, 0.95),
        ({"kind": "NOT_INTERESTED"}, 0.1),
        ({"kind": "NOT_INTERESTED", "reason": "NOT_MY_STYLE"}, 0.1),
        ({"kind": "NOT_INTERESTED", "reason": "OTHER"}, 0.1),
        ({"kind": "NOT_INTERESTED", "reason": "TOO_EXPENSIVE"}, None),
        ({"kind": "NOT_INTERESTED", "reason": "ALREADY_HAVE_SIMILAR"}, None),
        ({"kind": "NOT_INTERESTED", "reason": "BAD_QUALITY"}, None),
        ({"kind": "NOT_INTERESTED", "reason": "WRONG_PERSON"}, None),
        ({"kind": "HELPFUL", "rating": 5}, 0.775),
        ({"kind": "HELPFUL", "rating": 1}, 0.375),
        ({"kind": "NOT_INTERESTED", "reason": "TOO_EXPENSIVE", "rating": 5}, 0.9),
    ],
)
async def test_what_feedback_says_of_the_taste(
    shop: Shop, anna: Client, given: dict[str, Any], strength: float | None
) -> None:
    shown = (await anna.feed(first=1))["nodes"][0]
    await say(anna, shown, **given)
    assert await strengths(shop, anna) == ({} if strength is None else {shown["product"]["id"]: strength})


async def test_too_expensive_hides_the_product_and_changes_no_other_score(shop: Shop, anna: Client) -> None:
    before = (await anna.feed(first=50))["nodes"]
    await say(anna, before[0], "NOT_INTERESTED", reason="TOO_EXPENSIVE")
    after = (await anna.feed(first=50))["nodes"]

    def scores(nodes: list[dict[str, Any]]) -> dict[str, float]:
        return {node["product"]["id"]: node["score"] for node in nodes}

    assert scores(after) == scores(before[1:])
    await say(anna, after[0], "NOT_INTERESTED", reason="NOT_MY_STYLE")
    assert scores((await anna.feed(first=50))["nodes"]) != scores(after[1:])


async def test_feedback_that_says_nothing_of_the_taste_takes_nothing_back(shop: Shop, anna: Client) -> None:
    shown = (await anna.feed(first=1))["nodes"][0]
    await say(anna, shown, "HELPFUL")
    await say(anna, shown, "NOT_INTERESTED", reason="TOO_EXPENSIVE")
    assert await strengths(shop, anna) == {shown["product"]["id"]: 0.65}


async def test_what_is_hidden_is_so_without_a_strength_too(shop: Shop, anna: Client) -> None:
    expensive, helpful, both = (await anna.feed(first=3))["nodes"]
    await say(anna, expensive, "NOT_INTERESTED", reason="TOO_EXPENSIVE")
    await say(anna, helpful, "HELPFUL")
    await say(anna, both, "PURCHASED")
    await say(anna, both, "HELPFUL", rating=5)
    rows = await shop.owner.fetch(
        "select * from private.feedback_signals($1, 'infinity')", ids.decode_as("Profile", await anna.my_id())
    )
    found = {ids.encode("Product", row["product_id"]): (row["strength"], row["hides"]) for row in rows}
    assert found == {
        expensive["product"]["id"]: (None, True),
        helpful["product"]["id"]: (pytest.approx(0.65), False),
        both["product"]["id"]: (pytest.approx(0.775), True),
    }


async def test_strengths_are_data_of_the_model(shop: Shop, anna: Client) -> None:
    shown = (await anna.feed(first=1))["nodes"][0]
    await say(anna, shown, "HELPFUL")
    await shop.owner.execute(
        "update public.recommendation_models set parameters = jsonb_set(parameters, '{feedback,kinds,helpful}', '0.75')"
    )
    assert await strengths(shop, anna) == {shown["product"]["id"]: 0.75}
    await shop.owner.execute("update public.recommendation_models set parameters = parameters - 'feedback'")
    assert await strengths(shop, anna) == {shown["product"]["id"]: 0.65}  # a model of an earlier release


async def test_a_reason_goes_with_no_interest_only(shop: Shop, anna: Client) -> None:
    shown = (await anna.feed(first=1))["nodes"][0]
    given = {"recommendationId": shown["id"], "kind": "HELPFUL", "reason": "TOO_EXPENSIVE"}
    assert await anna.refusal(SAY, input=given) == {"code": "INVALID", "field": ["reason"]}
    assert await shop.owner.fetchval("select count(*) from public.recommendation_feedback") == 0


async def some_feedback(shop: Shop, anna: Client) -> list[dict[str, Any]]:
    """What was said, newest first."""
    ben = await shop.anonymous()
    said: list[dict[str, Any]] = [
        {"kind": "HELPFUL", "reason": None, "rating": 4, "comment": "Good"},
        {"kind": "NOT_INTERESTED", "reason": "TOO_EXPENSIVE", "rating": None, "comment": None},
        {"kind": "NOT_INTERESTED", "reason": None, "rating": 1, "comment": "No, “never”"},
    ]
    kept = []
    for client in (anna, ben):
        shown = (await client.feed(first=3))["nodes"]
        for node, given in zip(shown, said, strict=True):
            await say(client, node, **given)
            kept.append({**given, "product": node["product"]["id"]})
    return kept[::-1]


async def read(client: Client, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(READ, **variables))["recommendationFeedback"]
    return found


@pytest.mark.parametrize("role", ["analyst", "admin"])
async def test_analysts_read_everybodys_newest_first_without_the_people(shop: Shop, anna: Client, role: str) -> None:
    said = await some_feedback(shop, anna)
    page = await read(staff(shop, role))
    seen = [
        {**{name: node[name] for name in ("kind", "reason", "rating", "comment")}, "product": node["product"]["id"]}
        for node in page["nodes"]
    ]
    assert seen == said
    assert {node["context"] for node in page["nodes"]} == {"DISCOVER"}
    assert {node["modelVersion"] for node in page["nodes"]} == {
        await shop.owner.fetchval("select max(version) from public.recommendation_models")
    }
    assert await anna.my_id() not in str(page)


async def test_pages_follow_each_other(shop: Shop, anna: Client) -> None:
    await some_feedback(shop, anna)
    analyst = staff(shop, "analyst")
    everything = await read(analyst)
    first = await read(analyst, first=4)
    rest = await read(analyst, first=4, after=first["pageInfo"]["endCursor"])
    assert first["nodes"] + rest["nodes"] == everything["nodes"]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert rest["pageInfo"]["startCursor"] == rest["edges"][0]["cursor"]
    assert (await read(analyst, first=0))["nodes"] == []
    assert (await read(analyst, after=rest["pageInfo"]["endCursor"]))["pageInfo"]["endCursor"] is None
    assert await analyst.code(READ, after="forged") == "BAD_USER_INPUT"
    assert await analyst.code(READ, first=101) == "BAD_USER_INPUT"


async def test_it_is_filtered(shop: Shop, anna: Client) -> None:
    said = await some_feedback(shop, anna)
    analyst = staff(shop, "analyst")

    async def kinds(**wanted: Any) -> list[tuple[str, str | None]]:
        return [(node["kind"], node["reason"]) for node in (await read(analyst, filter=wanted))["nodes"]]

    assert await kinds(kind="NOT_INTERESTED") == [("NOT_INTERESTED", None), ("NOT_INTERESTED", "TOO_EXPENSIVE")] * 2
    assert await kinds(reason="TOO_EXPENSIVE") == [("NOT_INTERESTED", "TOO_EXPENSIVE")] * 2
    expected = [(given["kind"], given["reason"]) for given in said if given["product"] == said[0]["product"]]
    assert await kinds(productId=said[0]["product"]) == expected
    assert await kinds(productId=ids.encode("Product", uuid4())) == []
    assert await analyst.code(READ, filter={"productId": "nonsense"}) == "BAD_USER_INPUT"


async def test_nobody_else_reads_it(shop: Shop, anna: Client) -> None:
    await some_feedback(shop, anna)
    assert await shop.client().code(READ) == "UNAUTHENTICATED"
    assert await anna.code(READ) == "FORBIDDEN"
    visitor = shop.token(UUID(int=7), role="anon", is_anonymous=True, app_metadata={"role": "admin"})
    assert await shop.client(visitor).code(READ) == "FORBIDDEN"
