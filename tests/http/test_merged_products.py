"""What people still say of a product after, and while, it is merged into another one."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.embedded import Dsns
from db.product_imports import import_products
from db.queries import QUERIES
from domain import ids
from domain.feed_mappings import Mapping, parse_mapping
from tests.client import SWIPE, Client
from tests.conftest import Shop
from tests.http.test_impressions import impression, record
from tests.http.test_recommendation_feedback import READ, SAY
from tests.integration.waiting import until

MERGE = "select outcome from private.merge_two_products($1, $2)"
UNDO = "mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { userErrors { code } } }"
NODE = "query ($id: ID!) { node(id: $id) { ... on Recommendation { id score product { id } } } }"


def key(node: dict[str, Any]) -> UUID:
    product = ids.decode_as("Product", node["product"]["id"])
    assert product is not None
    return product


async def merged(shop: Shop, client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two recommendations of the client: of the product that stays, and of the one that was merged into it since."""
    nodes = (await client.feed(first=2))["nodes"]
    assert await shop.owner.fetchval(MERGE, *map(key, nodes)) == "merged"
    gone = await shop.owner.fetchval("select id from public.products where merged_into is not null")
    nodes.sort(key=lambda node: key(node) == gone)
    return nodes[0], nodes[1]


async def test_a_recommendation_of_a_merged_product_is_one_of_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    stays, gone = await merged(shop, anna)
    await shop.owner.execute("select private.refresh_model()")  # the new model does not know the product that is gone
    found = [(await anna.ask(NODE, id=shown["id"]))["node"] for shown in (stays, gone)]
    assert [node["id"] for node in found] == [stays["id"], gone["id"]]
    assert {node["product"]["id"] for node in found} == {stays["product"]["id"]}
    assert found[0]["score"] == found[1]["score"]


async def test_feedback_on_a_merged_product_is_about_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    await anna.do(SAY, input={"recommendationId": gone["id"], "kind": "PURCHASED"})
    row = await shop.owner.fetchrow("select product_id, is_purchased from public.personality_recommendations")
    assert (row["product_id"], row["is_purchased"]) == (key(stays), True)
    analyst = shop.client(shop.token(uuid4(), app_metadata={"role": "analyst"}))
    for product in (stays, gone):
        found = await analyst.ask(READ, filter={"productId": product["product"]["id"]})
        assert [node["product"]["id"] for node in found["recommendationFeedback"]["nodes"]] == [stays["product"]["id"]]


async def test_a_swipe_of_a_merged_product_notes_its_outcome(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    await anna.swipe(gone["product"]["id"], "RIGHT", recommendationId=gone["id"])
    rows = await shop.owner.fetch("select product_id, swipe_direction from public.personality_recommendations")
    assert [tuple(row) for row in rows] == [(key(stays), "right")]


async def test_an_impression_of_a_merged_product_shows_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    assert (await record(anna, impression(gone)))["recorded"] == 1
    row = await shop.owner.fetchrow("select product_id, is_shown, shown_at from public.personality_recommendations")
    assert (row["product_id"], row["is_shown"]) == (key(stays), True)
    assert await shop.owner.fetchval("select product_id from public.impressions") == key(stays)


async def swiped(shop: Shop) -> list[tuple[UUID, UUID]]:
    rows = await shop.owner.fetch(
        "select s.product_id as swipe, g.product_id as signal from public.swipes s"
        " full join public.product_signals g on g.swipe_id = s.id"
    )
    return [(row["swipe"], row["signal"]) for row in rows]


async def test_what_waits_for_a_merge_is_about_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.account()
    products = await anna.products(first=2)
    one, other = [ids.decode_as("Product", product["id"]) for product in products]
    async with shop.owner.transaction():
        assert await shop.owner.fetchval(MERGE, one, other) == "merged"
        gone = await shop.owner.fetchval("select id from public.products where merged_into is not null")
        stays = one if gone == other else other
        swipe = asyncio.ensure_future(anna.swipe(ids.encode("Product", gone), "RIGHT"))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
    assert (await swipe)["userErrors"] == []
    assert await swiped(shop) == [(stays, stays)]
    # It was of the listing that is split off.
    await shop.owner.execute("select private.split_product($1)", gone)
    assert await swiped(shop) == [(gone, gone)]


async def test_an_undone_swipe_and_a_merge_of_its_product_do_not_wait_for_each_other(shop: Shop) -> None:
    anna = await shop.account()
    products = await anna.products(first=2)
    one, other = [ids.decode_as("Product", product["id"]) for product in products]
    swiped_id = (await anna.swipe(products[0]["id"], "RIGHT"))["swipe"]["id"]
    async with shop.owner.transaction():
        await shop.owner.execute("select from public.products where id = $1 for update", one)  # a merge begins so
        undone = asyncio.ensure_future(anna.ask(UNDO, id=swiped_id))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
        await shop.owner.execute("select from public.swipes for update nowait")
        assert await shop.owner.fetchval(MERGE, one, other) == "merged"
    assert (await undone)["undoSwipe"]["userErrors"] == []
    assert await shop.owner.fetchval("select count(*) from public.product_signals") == 0


async def test_an_undone_swipe_and_a_merge_of_its_session_do_not_wait_for_each_other(shop: Shop) -> None:
    anna = await shop.account()
    swiped_id = (await anna.swipe((await anna.products(first=1))[0]["id"], "RIGHT"))["swipe"]["id"]
    async with shop.owner.transaction():
        await shop.owner.execute("select from public.profiles order by id for update")  # a merge begins so
        undone = asyncio.ensure_future(anna.ask(UNDO, id=swiped_id))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
        await shop.owner.execute("select from public.swipes for update nowait")
    assert (await undone)["undoSwipe"]["userErrors"] == []


@pytest.mark.parametrize("split", [False, True])
async def test_by_sql_too_people_write_about_the_product_that_stays(shop: Shop, split: bool) -> None:
    anna = await shop.anonymous()
    stays, gone = await merged(shop, anna)
    if split:
        await shop.owner.execute("select private.split_product($1)", key(gone))
    user = ids.decode_as("Profile", await anna.my_id())
    for table, columns, values in (
        ("swipes", "client_swipe_id, direction", "'1', 'up'"),
        ("gift_links", "message", "'Hello'"),
        ("product_views", "id", "private.uuid_v7()"),
    ):
        await shop.owner.execute(
            f"insert into public.{table} (user_id, product_id, {columns}) values ($1, $2, {values})", user, key(gone)
        )
        expected = gone if split else stays
        assert await shop.owner.fetchval(f"select product_id from public.{table}") == key(expected), table


async def test_two_merges_of_one_product_at_a_time_follow_each_other(shop: Shop, dsns: Dsns) -> None:
    """Otherwise the second one would lead to a product that is gone."""
    rows = await shop.owner.fetch("select id from public.products order by created_at, id limit 3")
    oldest, middle, newest = [row["id"] for row in rows]
    second = await asyncpg.connect(dsns.owner)
    async with shop.owner.transaction():
        await shop.owner.execute(MERGE, oldest, middle)
        waiting = asyncio.ensure_future(second.execute(MERGE, middle, newest))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
    await waiting
    await second.close()
    found = await shop.owner.fetch(
        "select id, product_id from public.product_offers where id = any ($1)", [middle, newest]
    )
    assert {row["id"]: row["product_id"] for row in found} == {middle: oldest, newest: oldest}


MERGE_PRODUCTS = """
mutation ($input: MergeProductsInput!) {
  mergeProducts(input: $input) { product { id name offers { id } } userErrors { code field } }
}
"""
SPLIT_PRODUCT = """
mutation ($input: SplitProductInput!) {
  splitProduct(input: $input) { product { id offers { id } } splitOff { id isActive } userErrors { code field } }
}
"""
CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { redirectUrl } userErrors { code field } }
}
"""


def admin(shop: Shop) -> Client:
    return shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))


async def three(shop: Shop) -> list[str]:
    """The ids of three products, oldest first."""
    rows = await shop.owner.fetch("select id from public.products order by created_at, id limit 3")
    return [ids.encode("Product", row["id"]) for row in rows]


async def merge(client: Client, product: str, into: str) -> dict[str, Any]:
    done: dict[str, Any] = await client.do(MERGE_PRODUCTS, input={"productId": product, "intoId": into})
    return done["product"]  # type: ignore[no-any-return]


async def test_an_administrator_chooses_which_product_stays(shop: Shop) -> None:
    older, newer, _ = await three(shop)
    anna, by = await shop.anonymous(), admin(shop)
    await anna.swipe(older, "RIGHT")
    done = await merge(by, older, newer)
    assert (done["id"], len(done["offers"])) == (newer, 2)
    assert await swiped(shop) == [(ids.decode_as("Product", newer),) * 2]
    assert (await merge(by, older, newer))["id"] == newer, "they are one already"
    assert (await merge(by, newer, older))["id"] == newer, "and stay what they are"
    split = await by.do(SPLIT_PRODUCT, input={"productId": newer})
    assert (split["product"]["id"], split["splitOff"]) == (newer, [{"id": older, "isActive": True}])
    assert await swiped(shop) == [(ids.decode_as("Product", older),) * 2]
    again = await by.do(SPLIT_PRODUCT, input={"productId": newer})
    assert (again["product"]["id"], again["splitOff"]) == (newer, [])
    logged = await shop.owner.fetch(
        "select operation, role, actor is not null from audit_log where operation in ('merge', 'split')"
    )
    assert [tuple(row) for row in logged] == [("merge", "service_role", True), ("split", "service_role", True)]


async def test_one_offer_is_split_off(shop: Shop) -> None:
    one, two, three_ = await three(shop)
    by = admin(shop)
    await merge(by, two, one)
    await merge(by, three_, one)
    own, second, third = [
        ids.encode("ProductOffer", ids.decode_as("Product", product) or uuid4()) for product in (one, two, three_)
    ]
    for product, offer, code in ((one, own, "INVALID"), (one, one, "NOT_FOUND"), (one, "nonsense", "NOT_FOUND")):
        refused = await by.ask(SPLIT_PRODUCT, input={"productId": product, "offerId": offer})
        assert refused["splitProduct"]["userErrors"] == [{"code": code, "field": ["offerId"]}]
    done = await by.do(SPLIT_PRODUCT, input={"productId": one, "offerId": second})
    assert {offer["id"] for offer in done["product"]["offers"]} == {own, third}
    assert [product["id"] for product in done["splitOff"]] == [two]
    refused = await by.ask(SPLIT_PRODUCT, input={"productId": one, "offerId": second})
    assert refused["splitProduct"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["offerId"]}]


async def test_links_to_both_products_work_after_a_merge_and_after_a_split(shop: Shop) -> None:
    one, two, _ = await three(shop)
    anna, by = await shop.account(), admin(shop)
    before = (await anna.do(CLICK, input={"productId": two}))["click"]["redirectUrl"]
    await merge(by, one, two)
    merged = (await anna.do(CLICK, input={"productId": one}))["click"]["redirectUrl"]
    await by.do(SPLIT_PRODUCT, input={"productId": two})
    for url in (before, merged):
        answer = await anna.http.get("/r/" + url.rpartition("/")[2], headers={"user-agent": "a browser"})
        assert (answer.status_code, answer.headers["location"].startswith("https://shop.example/")) == (302, True)


async def test_what_cannot_be_merged_or_split(shop: Shop) -> None:
    one, _, _ = await three(shop)
    by = admin(shop)
    for given, code, field in (
        ({"productId": one, "intoId": one}, "INVALID", "intoId"),
        ({"productId": one, "intoId": "nonsense"}, "NOT_FOUND", "intoId"),
        ({"productId": ids.encode("Product", uuid4()), "intoId": one}, "NOT_FOUND", "productId"),
    ):
        found = (await by.ask(MERGE_PRODUCTS, input=given))["mergeProducts"]
        assert found == {"product": None, "userErrors": [{"code": code, "field": [field]}]}
    found = (await by.ask(SPLIT_PRODUCT, input={"productId": "nonsense"}))["splitProduct"]
    assert found == {"product": None, "splitOff": [], "userErrors": [{"code": "NOT_FOUND", "field": ["productId"]}]}


async def test_nobody_else_merges_or_splits(shop: Shop) -> None:
    one, two, _ = await three(shop)
    analyst = shop.client(shop.token(uuid4(), app_metadata={"role": "analyst"}))
    for document, given in ((MERGE_PRODUCTS, {"productId": one, "intoId": two}), (SPLIT_PRODUCT, {"productId": one})):
        for client in (await shop.account(), await shop.anonymous(), analyst):
            assert await client.code(document, input=given) == "FORBIDDEN"
        assert await shop.client().code(document, input=given) == "UNAUTHENTICATED"


async def test_a_merge_waits_for_an_import_and_an_offer_for_both(shop: Shop) -> None:
    one, two, _ = await three(shop)
    by = admin(shop)
    update = "mutation ($i: UpdateProductOfferInput!) { updateOffer(input: $i) { userErrors { code } } }"
    offer = ids.encode("ProductOffer", ids.decode_as("Product", two) or uuid4())
    async with shop.owner.transaction():
        await shop.owner.execute(QUERIES["product_imports.lock"].sql)
        merging = asyncio.ensure_future(merge(by, two, one))
        changing = asyncio.ensure_future(by.do(update, i={"id": offer, "price": "1.00"}))
        await until(shop.owner, "2 = (select count(*) from pg_locks where locktype = 'advisory' and not granted)")
        price = "update public.product_offers set price_minor = 77 where id = $1"
        await shop.owner.execute(price, ids.decode_as("Product", two))
    assert (await merging)["id"] == one
    await changing
    found = await shop.owner.fetchval("select price_minor from products where id = $1", ids.decode_as("Product", one))
    assert found == 100


FEED_SHOPS = ("one", "two", "three")
FEED_PRODUCTS = 12
FEED_ROUNDS = 6


def feed_mapping(shop: str) -> Mapping:
    return parse_mapping(f"""
format = "jsonl"
[fields]
external_id = "id"
name = "name"
price = "price"
affiliate_url = "url"
gtin = "gtin"
[constants]
currency = "GBP"
[retailer]
slug = "{shop}"
network = "direct"
domain = "{shop}.example"
""")


def gtin(number: int) -> str:
    digits = f"952000{number:06}"
    return digits + str(-sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10)


def write_feed(file: Path, shop: str, chance: random.Random) -> None:
    """Some products have another price, some a number that other shops have not, some are missing."""
    lines = [
        json.dumps(
            {
                "id": f"{shop}-{number}",
                "name": f"Thing {number}",
                "price": f"{chance.randint(5, 50)}.00",
                "url": f"https://{shop}.example/{number}",
                "gtin": gtin(number + (100 * FEED_SHOPS.index(shop) if chance.random() < 0.2 else 0)),
            }
        )
        for number in range(FEED_PRODUCTS)
        if chance.random() < 0.9
    ]
    file.write_text("\n".join(lines))


@pytest.mark.drill
async def test_imports_merges_splits_and_people_at_a_time_lose_nothing(shop: Shop, dsns: Dsns, tmp_path: Path) -> None:
    """No deadlock either: it would fail an import, a merge or a swipe."""
    chance = random.Random()
    for name in FEED_SHOPS:
        write_feed(tmp_path / "feed.jsonl", name, random.Random(1))
        await import_products(shop.owner, tmp_path / "feed.jsonl", feed_mapping(name))
    anna = await shop.account()
    by = admin(shop)
    is_over = asyncio.Event()
    swiped_ids: list[str] = []

    async def imports(name: str) -> None:
        owner = await asyncpg.connect(dsns.owner)
        for _ in range(FEED_ROUNDS):
            write_feed(tmp_path / f"{name}.jsonl", name, chance)
            await import_products(owner, tmp_path / f"{name}.jsonl", feed_mapping(name), force=True)
        await owner.close()

    async def choose(size: int) -> list[str]:
        async with reading:
            rows = await reader.fetch("select id from public.products order by random() limit $1", size)
        return [ids.encode("Product", row["id"]) for row in rows]

    async def merges() -> None:
        while not is_over.is_set():
            product, into = await choose(2)
            for mutation, values in (
                (MERGE_PRODUCTS, {"productId": product, "intoId": into}),
                (SPLIT_PRODUCT, {"productId": product}),
            ):
                # What cannot be merged or split is said as a user error.
                await by.ask(mutation, input=values)

    async def swipes() -> None:
        while not is_over.is_set():
            [product] = await choose(1)
            given = {"productId": product, "direction": "RIGHT", "clientSwipeId": secrets.token_hex(8)}
            payload = (await anna.ask(SWIPE, input=given))["recordSwipe"]
            # Of a product that is off sale by then it is refused, and says so.
            swiped_ids.extend([payload["swipe"]["id"]] if payload["swipe"] else [])

    reader, reading = await asyncpg.connect(dsns.owner), asyncio.Lock()
    async with asyncio.TaskGroup() as others:
        others.create_task(merges())
        others.create_task(swipes())
        try:
            async with asyncio.TaskGroup() as group:
                for name in FEED_SHOPS:
                    group.create_task(imports(name))
        finally:
            is_over.set()
    await reader.close()
    assert await shop.owner.fetchval("select count(*) from public.swipes") == len(set(swiped_ids))
    wrong = {
        "an offer of a product that was merged": "select o.id from public.product_offers o"
        " join public.products p on p.id = o.product_id where p.merged_into is not null",
        "a listing without its offer": "select p.id from public.products p"
        " where not exists (select from public.product_offers o where o.id = p.id)",
        "a product that does not show its leading offer": "select p.id from public.products p"
        " join public.product_offers o on o.id = coalesce(p.offer_id, p.id) where p.merged_into is null"
        " and (o.product_id, o.price_minor, o.retailer_id, o.is_active)"
        " is distinct from (p.id, p.price_minor, p.seller_id, p.is_active)",
        "a swipe of a product that was merged": "select s.id from public.swipes s"
        " join public.products p on p.id = s.product_id where p.merged_into is not null",
        "a swipe without its signal": "select s.id from public.swipes s where not exists ("
        " select from public.product_signals g where g.user_id = s.user_id and g.product_id = s.product_id)",
        "a signal without its swipe": "select g.swipe_id from public.product_signals g left join public.swipes s"
        " on s.user_id = g.user_id and s.id = g.swipe_id where s.product_id is distinct from g.product_id",
    }
    assert {what: rows for what, sql in wrong.items() if (rows := await shop.owner.fetch(sql))} == {}
