"""Feeds: what is in them, in which order, and that their reasons are the arithmetic of the score."""

from __future__ import annotations

from typing import Any

import pytest

from domain.personality import TRAITS
from tests.client import EXPLAINED_FEED, FEED, QUIZ, SUBMIT, Client
from tests.conftest import Shop

FEEDBACK = """
mutation ($id: ID!, $kind: FeedbackKind!) {
  sendRecommendationFeedback(input: {recommendationId: $id, kind: $kind}) { userErrors { message } }
}
"""
ITEMS = "nodes { score confidence context reasons { code text weight } product { id } }"
CLAMPED = """
query ($input: GiftFinderInput!) {
  giftFinder(input: $input, first: 40) { nodes { score explanation { code weight } product { name } } }
}
"""
GIFTS = f"query ($input: GiftFinderInput!, $first: Int) {{ giftFinder(input: $input, first: $first) {{ {ITEMS} }} }}"
SIMILAR = "query ($id: ID!) { product(id: $id) { similar { score reasons { code text weight } product { id } } } }"
SHARES = ("score", "confidence")
# Scores and weights are rounded to six decimals.
PRECISION = 1.5e-6


async def walk(client: Client, size: int, after: str | None = None, document: str = FEED) -> list[dict[str, Any]]:
    """All of a feed from here on, page by page."""
    seen: list[dict[str, Any]] = []
    while True:
        page = await client.feed(document, first=size, after=after)
        seen += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return seen


def places(nodes: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(node["product"]["id"], node["score"]) for node in nodes]


async def scores(client: Client) -> dict[str, float]:
    return dict(places(await walk(client, 100)))


async def taste(shop: Shop) -> Client:
    """Somebody with a personality, likes and dislikes."""
    client = await shop.anonymous()
    await client.take_quiz({"adv", "cre"})
    for name, way in (
        ("Camping 1", "RIGHT"), ("Camping 2", "UP"), ("Books 3", "LEFT"), ("Tools 4", "RIGHT"), ("Party 5", "DOWN")
    ):  # fmt: skip
        await client.swipe((await client.product(name))["id"], way)
    return client


async def answer(client: Client, answers: dict[str, int]) -> None:
    given = [{"questionId": question, "value": value} for question, value in answers.items()]
    await client.do(SUBMIT, input={"version": "2.0", "answers": given})


async def test_a_swiped_product_is_on_no_page(shop: Shop) -> None:
    client = await taste(shop)
    names = {node["product"]["name"] for node in await walk(client, 7)}
    assert len(names) == 45
    assert not names & {"Camping 1", "Camping 2", "Books 3", "Tools 4", "Party 5"}


@pytest.mark.parametrize("size", [1, 7, 45])
async def test_pages_neither_repeat_nor_skip(shop: Shop, size: int) -> None:
    client = await taste(shop)
    assert places(await walk(client, size)) == places((await client.feed(first=100))["nodes"])


async def test_a_feed_runs_from_the_best_down_between_0_and_1(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv", "soc"})
    for product in (await client.products(first=100))[::2]:
        await client.swipe(product["id"], "UP" if product["category"]["slug"] in ("camping", "party") else "LEFT")
    nodes = await walk(client, 7)
    assert nodes[0]["score"] == max(node["score"] for node in nodes)
    assert [node["rank"] for node in nodes] == list(range(1, len(nodes) + 1))
    assert all(0 <= node[share] <= 1 for node in nodes for share in SHARES)


async def test_what_is_swiped_meanwhile_is_left_out_and_the_rest_stays(shop: Shop) -> None:
    client = await taste(shop)
    whole = (await client.feed(first=100))["nodes"]
    first = await client.feed(first=7)
    swiped = [whole[position]["product"]["id"] for position in (3, 6, 7, 20, 44)]
    for product in swiped:
        await client.swipe(product, "UP")
    rest = await walk(client, 7, after=first["pageInfo"]["endCursor"])
    assert places(rest) == [place for place in places(whole[7:]) if place[0] not in swiped]


async def test_the_terms_of_an_explanation_add_up_to_the_score(shop: Shop) -> None:
    client = await taste(shop)
    nodes = await walk(client, 20, document=EXPLAINED_FEED)
    kinds = {term["code"].partition("_")[0] for node in nodes for term in node["explanation"]}
    assert kinds == {"BASE", "TRAIT", "LIKED", "DISLIKED", "POPULAR"}
    for node in nodes:
        assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)
        raising = {term["code"]: term["weight"] for term in node["explanation"] if term["weight"] >= 0.0005}
        assert {reason["code"] for reason in node["reasons"]} <= set(raising)


DISMISS = """
mutation ($source: ReasonSourceInput!) {
  dismissReason(input: {source: $source}) { dismissedReason { id } userErrors { message } }
}
"""
RESTORE = "mutation ($id: ID!) { restoreReason(input: {id: $id}) { userErrors { message } } }"


def weights_of(nodes: list[dict[str, Any]], source: dict[str, str]) -> dict[str, float]:
    """{product: weight of the term that comes from this source}"""
    return {
        node["product"]["id"]: term["weight"]
        for node in nodes
        for term in node["explanation"]
        if term["source"] == source
    }


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "CATEGORY", "key": "camping"}, {"kind": "TAG", "key": "outdoors"},
        {"kind": "TRAIT", "key": "adventurous"},
    ],
    ids=lambda source: source["kind"],
)  # fmt: skip
async def test_a_dismissed_reason_counts_nothing_until_it_is_restored(shop: Shop, source: dict[str, str]) -> None:
    client = await taste(shop)
    before = await walk(client, 20, document=EXPLAINED_FEED)
    weights = weights_of(before, source)
    assert weights
    dismissed = (await client.do(DISMISS, source=source))["dismissedReason"]["id"]
    after = await walk(client, 20, document=EXPLAINED_FEED)
    assert weights_of(after, source) == {}
    now = dict(places(after))
    dropped = {product: score - now[product] for product, score in places(before)}
    assert dropped == pytest.approx({product: weights.get(product, 0.0) for product in dropped}, abs=1e-8)
    await client.do(RESTORE, id=dismissed)
    assert places(await walk(client, 20, document=EXPLAINED_FEED)) == places(before)


async def test_a_dismissed_product_says_nothing_and_stays_out_of_the_feed(shop: Shop) -> None:
    client = await taste(shop)
    without = await scores(client)
    kayak = await client.product("Painting 1")
    await client.swipe(kayak["id"], "UP")
    liked = await scores(client)
    assert liked != {product: score for product, score in without.items() if product in liked}
    await client.do(DISMISS, source={"kind": "PRODUCT", "key": kayak["id"]})
    nodes = await walk(client, 20, document=EXPLAINED_FEED)
    assert kayak["id"] not in {node["product"]["id"] for node in nodes}
    assert not any("Painting 1" in term["text"] for node in nodes for term in node["explanation"])


BOOSTED = """
query ($boost: [RecommendationBoost!]) {
  recommendations(first: 45, boost: $boost) {
    nodes { score explanation { code weight } product { id category { slug } } }
  }
}
"""


async def test_a_boost_raises_or_lowers_what_it_names_alone_within_bounds(shop: Shop) -> None:
    client = await taste(shop)
    places = []
    for factor in (0.5, 1, 2):
        nodes = (await client.ask(BOOSTED, boost={"category": "party", "factor": factor}))["recommendations"]["nodes"]
        party = [node["product"]["category"]["slug"] == "party" for node in nodes]
        places.append(sum(place for place, is_party in enumerate(party) if is_party))
        for node, is_party in zip(nodes, party, strict=True):
            assert 0 <= node["score"] <= 1
            assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)
            boosted = [term["weight"] for term in node["explanation"] if term["code"] == "BOOSTED"]
            assert boosted == ([pytest.approx({0.5: -0.1, 2: 0.1}[factor])] if is_party and factor != 1 else [])
    assert places[0] > places[1] > places[2]


@pytest.mark.parametrize(
    "boost",
    [
        {"category": "party", "factor": 2.1}, {"category": "party", "factor": 0.4}, {"factor": 1.5},
        {"category": "party", "tag": "gift", "factor": 2}, {"category": "nowhere", "factor": 2},
        [{"tag": str(number), "factor": 1.5} for number in range(11)],
    ],
)  # fmt: skip
async def test_a_boost_that_cannot_be_is_refused(shop: Shop, boost: Any) -> None:
    assert await (await shop.anonymous()).code(BOOSTED, boost=boost) == "BAD_USER_INPUT"


async def test_a_favourite_that_was_stated_raises_its_products(shop: Shop) -> None:
    client = await shop.anonymous()
    before = await scores(client)
    await client.do(
        "mutation ($said: JSON!) { updateProfile(input: {statedPreferences: $said}) { userErrors { message } } }",
        said={"favouriteCategories": ["party"]},
    )
    nodes = await walk(client, 20, document=EXPLAINED_FEED)
    weights = weights_of(nodes, {"kind": "CATEGORY", "key": "party"})
    assert len(weights) == 10
    now = dict(places(nodes))
    assert {product: now[product] - before[product] for product in weights} == pytest.approx(weights, abs=1e-8)


async def test_a_reason_says_what_it_comes_from(shop: Shop) -> None:
    client = await taste(shop)
    best = next(node for node in await walk(client, 20, None, EXPLAINED_FEED) if node["product"]["name"] == "Camping 3")
    sources = {reason["code"]: (reason["text"], reason["source"]) for reason in best["explanation"]}
    assert sources["LIKED_CATEGORY"] == (
        "You like Camping, like “Camping 2”", {"kind": "CATEGORY", "key": "camping"}
    )  # fmt: skip
    assert sources["TRAIT_ADVENTUROUS"][1] == {"kind": "TRAIT", "key": "adventurous"}
    assert sources["LIKED_TAG"][1]["kind"] == "TAG"
    assert sources["POPULAR"][1] is None


@pytest.mark.parametrize("trait", TRAITS)
async def test_the_weight_of_a_trait_is_what_the_score_loses_at_the_median(shop: Shop, trait: str) -> None:
    client = await shop.anonymous()
    questions = [question["id"] for question in (await client.ask(QUIZ))["quiz"]["questions"]]
    answers = {question: 1 + (7 * position) % 5 for position, question in enumerate(sorted(questions))}
    answers |= {f"{trait[:3]}-1": 5, f"{trait[:3]}-2": 2, f"{trait[:3]}-3": 5, f"{trait[:3]}-4": 1}
    await answer(client, answers)
    await client.swipe((await client.product("Camping 1"))["id"])
    weights = {
        node["product"]["id"]: reason["weight"]
        for node in await walk(client, 100)
        for reason in node["reasons"]
        if reason["code"] == f"TRAIT_{trait.upper()}"
    }
    assert weights
    before = await scores(client)
    # The same person, but for a score of the median: another quiz would be combined with this one.
    await shop.owner.execute(
        "update public.personality_assessment_history set assessment_timestamp = clock_timestamp(),"
        " combined_scores = combined_scores || jsonb_build_object($1::text, 50)",
        trait,
    )
    after = await scores(client)
    assert {id: before[id] - after[id] for id in weights} == pytest.approx(weights, abs=PRECISION)


async def test_reasons_are_sorted_and_never_generic_where_there_is_a_specific_one(shop: Shop) -> None:
    for node in await walk(await taste(shop), 100):
        own = [reason["weight"] for reason in node["reasons"]]
        assert own == sorted(own, reverse=True)
        codes = [reason["code"] for reason in node["reasons"]]
        assert codes == ["POPULAR"] or "POPULAR" not in codes
        assert 1 <= len(node["reasons"]) <= 5


async def test_two_people_of_the_same_answers_get_the_same_feed(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.account()
    await one.take_quiz({"int", "soc"})
    await other.take_quiz({"int", "soc"})
    assert places(await walk(one, 100)) == places(await walk(other, 7))


@pytest.mark.parametrize("high", [{"adv"}, {"adv", "int"}, {"pra", "soc"}], ids=lambda high: "+".join(sorted(high)))
async def test_opposite_people_share_little(shop: Shop, high: set[str]) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    await one.take_quiz(high)
    await other.take_quiz({"adv", "int", "pra", "cre", "soc"} - high)
    best = [{id for id, _ in places((await client.feed(first=10))["nodes"])} for client in (one, other)]
    assert len(best[0] & best[1]) <= 3


async def test_without_a_token_a_feed_is_what_is_popular(shop: Shop) -> None:
    rows = await shop.owner.fetch("select name from products order by popularity desc, number")
    nodes = await walk(shop.client(), 7)
    assert [node["product"]["name"] for node in nodes] == [row["name"] for row in rows]
    assert {reason["code"] for node in nodes for reason in node["reasons"]} == {"POPULAR"}


async def cursor_of(client: Client, **arguments: Any) -> str:
    found: str = (await client.feed(first=1, **arguments))["pageInfo"]["endCursor"]
    return found


async def test_a_forged_cursor_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    cursor = await cursor_of(client)
    forged = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    for after in (forged, cursor[:-1], "nonsense", " "):
        assert await client.code(FEED, after=after) == "BAD_USER_INPUT", after


async def test_the_cursor_of_somebody_else_is_refused(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    for client in (other, shop.client()):
        assert await client.code(FEED, after=await cursor_of(one)) == "BAD_USER_INPUT"


async def test_the_cursor_of_another_filter_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    cursor = await cursor_of(client, filter={"categorySlug": "camping"})
    for other in (None, {"categorySlug": "books"}, {"categorySlug": "camping", "inStock": True}):
        assert await client.code(FEED, after=cursor, filter=other) == "BAD_USER_INPUT"


async def test_the_cursor_of_another_connection_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    query = "{ products(first: 1) { pageInfo { endCursor } } }"
    cursor = (await client.ask(query))["products"]["pageInfo"]["endCursor"]
    assert await client.code(FEED, after=cursor) == "BAD_USER_INPUT"


async def test_a_filter_holds_on_every_page(shop: Shop) -> None:
    client, wanted, after = await taste(shop), {"categorySlug": "camping"}, None
    slugs: list[str] = []
    for _ in range(3):
        page = await client.feed(first=3, after=after, filter=wanted)
        slugs += [node["product"]["category"]["slug"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert slugs == ["camping"] * 8


async def test_a_new_model_does_not_change_a_feed_that_is_being_read(shop: Shop) -> None:
    client = await taste(shop)
    whole = (await client.feed(first=100))["nodes"]
    cursor = (await client.feed(first=7))["pageInfo"]["endCursor"]
    await shop.owner.execute("update products set feed_popularity = 1 - feed_popularity")
    await shop.owner.execute("update personality_gift_mappings set recommendation_weight = 0.3")
    for _ in range(2):
        await shop.owner.execute("select private.refresh_model()")
    assert places((await client.feed(first=100))["nodes"]) != places(whole)
    assert places(await walk(client, 7, after=cursor)) == places(whole[7:])


async def test_the_cursor_of_a_retired_model_is_stale(shop: Shop) -> None:
    client = await shop.anonymous()
    cursor = await cursor_of(client)
    for _ in range(3):
        await shop.owner.execute("select private.refresh_model()")
    assert await client.code(FEED, after=cursor) == "STALE"


async def after_feedback(shop: Shop, kind: str | None) -> dict[str, float]:
    """The feed of a newcomer who said this of Camping 1."""
    client = await shop.anonymous()
    nodes = await walk(client, 100)
    if kind is not None:
        shown = next(node for node in nodes if node["product"]["name"] == "Camping 1")
        await client.do(FEEDBACK, id=shown["id"], kind=kind)
    return {node["product"]["name"]: node["score"] for node in await walk(client, 100)}


@pytest.mark.parametrize(
    ("kind", "stays"),
    [
        ("HELPFUL", True), ("NOT_HELPFUL", True), ("NOT_INTERESTED", False), ("ALREADY_OWNED", False),
        ("PURCHASED", False),
    ],
)  # fmt: skip
async def test_feedback_decides_whether_the_product_is_shown_again(shop: Shop, kind: str, stays: bool) -> None:
    assert ("Camping 1" in await after_feedback(shop, kind)) == stays


async def test_feedback_moves_what_is_alike_by_its_kind(shop: Shop) -> None:
    kinds = ["NOT_INTERESTED", "NOT_HELPFUL", None, "ALREADY_OWNED", "HELPFUL", "PURCHASED"]
    moved = [(await after_feedback(shop, kind))["Camping 2"] for kind in kinds]
    assert moved == sorted(set(moved))


async def test_feedback_of_one_does_not_reach_another(shop: Shop) -> None:
    other = await shop.anonymous()
    before = places(await walk(other, 100))
    await after_feedback(shop, "NOT_INTERESTED")
    assert places(await walk(other, 100)) == before


async def test_gifts_for_somebody_else_are_the_same_for_every_caller(shop: Shop) -> None:
    wishes = {"traits": ["CREATIVE"], "occasion": "birthday", "relationship": "friend", "age": 30, "maxPrice": "18"}
    callers = [shop.client(), await shop.anonymous(), await taste(shop), await shop.account()]
    answers = [(await caller.ask(GIFTS, input=wishes, first=20))["giftFinder"] for caller in callers]
    assert answers[0]["nodes"][0]["reasons"][0]["code"] == "TRAIT_CREATIVE"
    assert answers == [answers[0]] * len(callers)


@pytest.mark.parametrize(
    "wishes",
    [
        {"traits": ["CREATIVE"], "occasion": "birthday", "relationship": "friend", "age": 30},
        {"traits": ["ADVENTUROUS", "SOCIAL"], "occasion": "wedding", "relationship": "child", "age": 5},
        {},
    ],
)
async def test_the_terms_of_a_gift_add_up_beyond_the_bound_of_rules_too(shop: Shop, wishes: dict[str, Any]) -> None:
    await shop.owner.execute("update public.gift_context_rules set weight = sign(weight)")
    for node in (await shop.client().ask(CLAMPED, input=wishes))["giftFinder"]["nodes"]:
        assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)


async def test_a_gift_without_features_in_the_model_of_its_feed_is_neutral(shop: Shop) -> None:
    await shop.owner.execute(
        "delete from public.product_features where product_id in (select id from products limit 3)"
    )
    nodes = (await shop.client().ask(CLAMPED, input={"traits": ["CREATIVE"]}))["giftFinder"]["nodes"]
    assert len(nodes) == 40


async def test_terms_add_up_after_the_tags_of_products_changed(shop: Shop) -> None:
    client = await taste(shop)
    await shop.owner.execute("update products set tags = tags[2:] || array['quite-new']")
    for node in await walk(client, 20, document=EXPLAINED_FEED):
        assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)


async def test_what_is_similar_is_the_same_for_every_caller(shop: Shop) -> None:
    product = (await shop.client().product("Camping 1"))["id"]
    callers = [shop.client(), await taste(shop), await shop.account()]
    answers = [(await caller.ask(SIMILAR, id=product))["product"]["similar"] for caller in callers]
    assert product not in [node["product"]["id"] for node in answers[0]]
    assert answers == [answers[0]] * len(callers)


async def test_what_cannot_be_had_is_not_recommended(shop: Shop) -> None:
    await shop.owner.execute("update products set in_stock = false where name = 'Camping 1'")
    await shop.owner.execute("update products set is_active = false where name = 'Camping 2'")
    names = {node["product"]["name"] for node in await walk(await shop.anonymous(), 100)}
    assert len(names) == 48
    assert not names & {"Camping 1", "Camping 2"}


async def test_a_swipe_hides_the_variants_of_its_product_on_later_pages(shop: Shop) -> None:
    await shop.owner.execute(
        "update products set item_group = 'jacket', external_id = name,"
        " retailer_id = (select id from retailers order by id limit 1)"
        " where name in ('Camping 1', 'Camping 3', 'Camping 5')"
    )
    await shop.owner.execute("select private.refresh_model()")
    client = await shop.anonymous()
    names = [node["product"]["name"] for node in await walk(client, 1)]
    assert len(names) == 48
    (shown,) = set(names) & {"Camping 1", "Camping 3", "Camping 5"}
    page = await client.feed(first=1)
    other = next(name for name in ("Camping 1", "Camping 3", "Camping 5") if name != shown)
    await client.swipe((await client.product(other))["id"], "LEFT")
    rest = await walk(client, 5, after=page["pageInfo"]["endCursor"])
    assert not {node["product"]["name"] for node in rest} & {"Camping 1", "Camping 3", "Camping 5"}
