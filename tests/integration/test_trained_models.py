"""Training from the database: what it reads, what it leaves, and how feeds change over to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from db.claims import SERVICE
from domain import ids
from domain.confidence import Calibration
from services import training_runs
from tests.client import EXPLAINED_FEED
from tests.conftest import Shop
from tests.crowds import Person, come, swipe
from training import models, storage


@dataclass(frozen=True)
class Crowd:
    """Two groups of taste, each of whom likes its own four products, and forty others who like one further product."""

    shop: Shop
    people: list[UUID]
    first: list[UUID]
    second: list[UUID]


@pytest.fixture
async def crowd(shop: Shop) -> Crowd:
    people = await come(shop, [Person(f"198.{number}.1.1", 8) for number in range(40)])
    products = [row["id"] for row in await shop.owner.fetch("select id from public.products order by id limit 9")]
    await swipe(shop, people[:20], products[:4], "right")
    await swipe(shop, people[20:], products[4:8], "right")
    others = await come(shop, [Person(f"198.{number}.1.1", 8) for number in range(100, 140)])
    await swipe(shop, others, products[8:], "right")
    return Crowd(shop, people, products[:4], products[4:8])


async def train(shop: Shop) -> int:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        found = await storage.read(session)
        version = await storage.store(session, found, models.train(found.events, found.content, 1))
        await session.fetch("recommendation_models.refresh_model")
    return version


async def weights(shop: Shop, version: int) -> list[tuple[Any, ...]]:
    rows = await shop.owner.fetch(
        "select kind::text, s.id as source, t.id as target, weight from public.model_weights w"
        " join public.products s on s.number = w.source join public.products t on t.number = w.target"
        " where trained_version = $1 order by 1, 2, 3",
        version,
    )
    return [tuple(row) for row in rows]


async def served(shop: Shop) -> int | None:
    version: int | None = await shop.owner.fetchval(
        "select trained_version from public.recommendation_models order by version desc limit 1"
    )
    return version


async def test_weights_stay_within_a_taste(crowd: Crowd) -> None:
    found = await weights(crowd.shop, await train(crowd.shop))
    assert {kind for kind, *_ in found} == {"first", "few", "many"}
    assert {source for _, source, *_ in found} == {*crowd.first, *crowd.second}
    assert all((source in crowd.first) == (target in crowd.first) for _, source, target, _ in found)


async def test_who_withdrew_personalisation_never_trains(crowd: Crowd) -> None:
    without = await weights(crowd.shop, await train(crowd.shop))
    withdrawn = await come(crowd.shop, [Person(f"198.{number}.2.2", 8) for number in range(60, 90)])
    await swipe(crowd.shop, withdrawn, [crowd.first[0], crowd.second[0]], "right")
    everybody = await weights(crowd.shop, await train(crowd.shop))
    assert everybody != without
    await crowd.shop.owner.execute(
        "insert into public.consents (user_id, purpose, granted, policy_version)"
        " select id, 'personalisation', false, '1' from unnest($1::uuid[]) id",
        withdrawn,
    )
    assert await weights(crowd.shop, await train(crowd.shop)) == without


async def test_the_erased_are_gone_after_the_next_training(crowd: Crowd) -> None:
    assert any(source in crowd.second for _, source, *_ in await weights(crowd.shop, await train(crowd.shop)))
    await crowd.shop.owner.execute("delete from public.profiles where id = any ($1)", crowd.people[24:])
    found = await weights(crowd.shop, await train(crowd.shop))
    assert {source for _, source, *_ in found} == set(crowd.first)  # four people are too few


async def test_a_feed_says_which_liked_product_it_comes_from(crowd: Crowd) -> None:
    await train(crowd.shop)
    anna = await crowd.shop.anonymous()
    liked = await crowd.shop.owner.fetchrow("select id, name from public.products where id = $1", crowd.first[0])
    await anna.swipe(ids.encode("Product", liked["id"]), "UP")
    feed = (await anna.feed(EXPLAINED_FEED, first=20))["nodes"]
    learned = [node for node in feed if "LIKED_PRODUCT" in [term["code"] for term in node["explanation"]]]
    assert {ids.decode_as("Product", node["product"]["id"]) for node in learned} == set(crowd.first[1:])
    for node in feed:
        assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)
        assert 0 < node["confidence"] < 1
    (reason,) = [term for term in learned[0]["explanation"] if term["code"] == "LIKED_PRODUCT"]
    assert reason["text"] == f"You loved “{liked['name']}”"
    assert reason["source"] == {"kind": "PRODUCT", "key": ids.encode("Product", liked["id"])}
    assert reason["code"] in [each["code"] for each in learned[0]["reasons"]]


async def test_a_training_that_finds_no_weights_changes_no_score(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"cre"})
    for number in range(1, 6):
        await anna.swipe((await anna.product(f"Tools {number}"))["id"], "UP")
    before = (await anna.feed(first=50))["nodes"]
    await train(shop)
    after = (await anna.feed(first=50))["nodes"]
    assert {node["product"]["id"]: node["score"] for node in after} == {
        node["product"]["id"]: node["score"] for node in before
    }


async def test_a_skip_says_nothing(crowd: Crowd) -> None:
    await train(crowd.shop)
    anna = await crowd.shop.anonymous()
    before = (await anna.feed(first=50))["nodes"]
    await anna.swipe(ids.encode("Product", crowd.first[0]), "DOWN")
    after = (await anna.feed(first=50))["nodes"]
    scores = [{node["product"]["id"]: node["score"] for node in nodes} for nodes in (before, after)]
    assert scores[1] == {product: scores[0][product] for product in scores[1]}
    explained = (await anna.feed(EXPLAINED_FEED, first=20))["nodes"]
    assert {term["code"] for node in explained for term in node["explanation"]} == {"BASE", "POPULAR"}


async def test_a_feed_says_which_disliked_product_it_comes_from_where_dislikes_count(crowd: Crowd) -> None:
    await train(crowd.shop)
    anna = await crowd.shop.anonymous()
    disliked = await crowd.shop.owner.fetchrow("select id, name from public.products where id = $1", crowd.first[0])
    await anna.swipe(ids.encode("Product", disliked["id"]), "LEFT")

    async def passed() -> dict[UUID, dict[str, Any]]:
        feed = (await anna.feed(EXPLAINED_FEED, first=20))["nodes"]
        for node in feed:
            assert sum(term["weight"] for term in node["explanation"]) == pytest.approx(node["score"], abs=1e-6)
        return {
            UUID(str(ids.decode_as("Product", node["product"]["id"]))): term
            for node in feed
            for term in node["explanation"]
            if term["code"] == "PASSED_PRODUCT"
        }

    assert await passed() == {}
    await crowd.shop.owner.execute(
        """update public.trained_models set serving = serving || '{"dislike": {"first": 0.5}}'"""
    )
    found = await passed()
    assert set(found) == set(crowd.first[1:])
    for term in found.values():
        assert term["weight"] > 0
        assert term["text"] == f"Others who passed over “{disliked['name']}” like it"
        assert term["source"] == {"kind": "PRODUCT", "key": ids.encode("Product", disliked["id"])}
    await anna.do(
        """mutation ($key: String!) {
          dismissReason(input: {source: {kind: PRODUCT, key: $key}}) { userErrors { code } }
        }""",
        key=ids.encode("Product", disliked["id"]),
    )
    assert await passed() == {}


async def test_what_is_liked_together_is_similar(crowd: Crowd) -> None:
    await train(crowd.shop)
    query = "query ($id: ID!) { product(id: $id) { similar(first: 3) { product { id } reasons { code } } } }"
    found = (await crowd.shop.client().ask(query, id=ids.encode("Product", crowd.first[0])))["product"]["similar"]
    together = [node for node in found if "LIKED_TOGETHER" in [reason["code"] for reason in node["reasons"]]]
    assert {ids.decode_as("Product", node["product"]["id"]) for node in together} <= set(crowd.first[1:])
    assert together


async def test_a_product_that_came_after_the_training_starts_as_an_average_one(crowd: Crowd) -> None:
    version = await train(crowd.shop)
    new = await crowd.shop.owner.fetchval(
        "insert into public.products"
        " (name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url)"
        " select 'Newcomer', 1000, 'GBP', category_id, retailer_id, 'new', 'https://shop.example/new'"
        " from public.products limit 1 returning id"
    )
    await crowd.shop.owner.execute("select private.refresh_model()")
    bias = await crowd.shop.owner.fetchval(
        "select like_share from public.product_features where product_id = $1 order by model_version desc limit 1", new
    )
    mean = await crowd.shop.owner.fetchval(
        "select avg(like_share) from public.model_products where trained_version = $1", version
    )
    assert bias == pytest.approx(mean)


async def test_a_new_model_serves_what_was_trained_last(crowd: Crowd) -> None:
    first = await train(crowd.shop)
    assert await served(crowd.shop) == first
    await crowd.shop.owner.execute("select private.refresh_model()")
    assert await served(crowd.shop) == first


async def test_a_rollback_serves_the_model_before(crowd: Crowd) -> None:
    first, second = await train(crowd.shop), await train(crowd.shop)
    assert await served(crowd.shop) == second
    async with crowd.shop.services.database.session(SERVICE, read_only=False) as session:
        assert await session.fetchval("trained_models.withdraw") == second
        await session.fetch("recommendation_models.refresh_model")
        assert await session.fetchval("trained_models.withdraw") is None  # nothing is left to go back to
    assert await served(crowd.shop) == first


async def test_three_trained_models_are_kept(crowd: Crowd) -> None:
    versions = [await train(crowd.shop) for _ in range(6)]
    kept = [
        row[0] for row in await crowd.shop.owner.fetch("select version from public.trained_models order by version")
    ]
    assert kept == versions[-3:]


async def test_like_rates_are_shares_of_likes(crowd: Crowd) -> None:
    await swipe(crowd.shop, crowd.people[20:], [crowd.first[0]], "left")
    version = await train(crowd.shop)
    rates = dict(
        await crowd.shop.owner.fetch(
            "select id, like_rate from public.model_products join public.products using (number)"
            " where trained_version = $1",
            version,
        )
    )
    mean = 200 / 220
    assert rates[crowd.first[0]] == pytest.approx((20 + 5 * mean) / 45, abs=1e-6)
    assert rates[crowd.first[1]] == pytest.approx((20 + 5 * mean) / 25, abs=1e-6)


async def test_what_serving_needs_is_stored_with_the_model(crowd: Crowd) -> None:
    version = await train(crowd.shop)
    row = await crowd.shop.owner.fetchrow(
        "select serving, calibration, (select max(few_bias) from public.model_products"
        " where trained_version = version) as largest from public.trained_models where version = $1",
        version,
    )
    serving = json.loads(row["serving"])
    assert (serving["super_like"], serving["half_life"]) == (1.25, 365)
    assert serving["blend"].keys() == serving["largest_bias"].keys() == {"first", "few", "many"}
    assert serving["largest_bias"]["few"] == pytest.approx(row["largest"], abs=1e-6)
    assert Calibration.from_json(json.loads(row["calibration"])).mean_rate == pytest.approx(1)


async def test_biases_are_never_negative(crowd: Crowd) -> None:
    version = await train(crowd.shop)
    least = await crowd.shop.owner.fetchval(
        "select min(least(first_bias, few_bias, many_bias)) from public.model_products where trained_version = $1",
        version,
    )
    assert least == 0


async def test_a_training_is_due_after_a_swipe_and_an_interval(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    await crowd.shop.owner.execute(
        "insert into public.swipes (user_id, product_id, direction, client_swipe_id)"
        " values ($1, $2, 'right', gen_random_uuid())",
        crowd.people[0],
        crowd.first[0],
    )
    started = 0

    async def run(_services: object) -> int:
        nonlocal started
        started += 1
        return 1

    monkeypatch.setattr(training_runs, "_run", run)
    assert await training_runs.train_if_due(crowd.shop.services) == 1
    await train(crowd.shop)
    assert await training_runs.train_if_due(crowd.shop.services) == 0
    await crowd.shop.owner.execute("update public.trained_models set created_at = created_at - interval '2 hours'")
    await crowd.shop.owner.execute("update public.swipes set created_at = now()")
    assert await training_runs.train_if_due(crowd.shop.services) == 1
    monkeypatch.setattr(training_runs, "is_installed", lambda: False)
    assert await training_runs.train_if_due(crowd.shop.services) == 0
    assert started == 2


async def test_nothing_to_learn_from_gives_a_model_without_weights(shop: Shop) -> None:
    version = await train(shop)
    assert await weights(shop, version) == []
    biases = await shop.owner.fetch("select many_bias from public.model_products where trained_version = $1", version)
    assert len(biases) > 0
    assert not np.any([row[0] for row in biases])
