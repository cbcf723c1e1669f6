"""Experiments: assigned by the server, seen by people."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db.claims import Claims
from domain.recommendations import NOBODY, Shown
from services import experiments as cache
from services import housekeeping
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_impressions import impression, record

ASK = "query ($key: String!) { experiment(key: $key) { key arm } }"
EXPOSE = """
mutation ($key: String!) { recordExposure(input: {key: $key}) { assignment { key arm } userErrors { code field } } }
"""
EXPOSED = """
select e.key, x.variant from public.experiment_exposures x
join public.experiments e on e.id = x.experiment_id
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments are read again by each request."""
    monkeypatch.setattr(cache, "LIFETIME_SECONDS", 0)


async def run(shop: Shop, key: str, *arms: tuple[str, float, str], surface: str | None = None, **more: Any) -> None:
    """Starts an experiment with arms of (name, share, parameters)."""
    experiment = await shop.owner.fetchval(
        "insert into public.experiments (key, description, surface, allocation) values ($1, '', $2, $3) returning id",
        *(key, surface, more.get("allocation", 1)),
    )
    for arm in arms:
        await shop.owner.execute(
            "insert into public.experiment_arms (experiment_id, name, share, parameters) values ($1, $2, $3, $4)",
            *(experiment, *arm),
        )
    await shop.owner.execute(
        "update public.experiments set starts_at = now() - interval '1 hour' where id = $1", experiment
    )


async def stop(shop: Shop, key: str) -> None:
    await shop.owner.execute("update public.experiments set ends_at = now() where key = $1", key)


async def arm(client: Client, key: str = "colour") -> Any:
    return (await client.ask(ASK, key=key))["experiment"]


async def test_a_front_end_asks_for_the_arm_and_says_when_it_was_seen(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    people = [await shop.anonymous() for _ in range(8)]
    seen = [await arm(person) for person in people]
    assert {found["arm"] for found in seen} == {"red", "blue"}
    assert [await arm(person) for person in people] == seen, "sticky"
    assert await shop.owner.fetch(EXPOSED) == [], "asking stores nothing"
    for _ in range(2):
        assert await people[0].do(EXPOSE, key="colour") == {"assignment": seen[0], "userErrors": []}
    (row,) = await shop.owner.fetch(EXPOSED)
    assert (row["key"], row["variant"]) == ("colour", seen[0]["arm"])


async def test_nobody_is_in_an_experiment_that_does_not_run(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    anna = await shop.anonymous()
    assert await arm(shop.client()) is None, "without a token"
    assert await shop.client().code(EXPOSE, key="colour") == "UNAUTHENTICATED"
    assert await arm(anna, "unknown") is None
    assert await arm(anna)
    await stop(shop, "colour")
    assert await arm(anna) is None
    for key in ("colour", "unknown"):
        assert await anna.refusal(EXPOSE, key=key) == {"code": "NOT_FOUND", "field": ["key"]}


async def test_people_beyond_the_allocation_are_in_no_arm(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"), allocation=0.001)
    anna = await shop.anonymous()
    assert await arm(anna) is None
    assert await anna.do(EXPOSE, key="colour") == {"assignment": None, "userErrors": []}
    assert await shop.owner.fetch(EXPOSED) == []


async def test_without_consent_to_analytics_no_exposure_is_stored(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    anna = await shop.anonymous()
    await anna.do(
        'mutation { updateConsents(input: {consents: [{purpose: ANALYTICS, granted: false}], policyVersion: "1"}) '
        "{ userErrors { code } } }"
    )
    assert (await anna.do(EXPOSE, key="colour"))["assignment"]
    assert await shop.owner.fetch(EXPOSED) == []


async def test_an_arm_ranks_with_its_parameters_and_marks_what_it_leads_to(shop: Shop) -> None:
    popular = '{"discover": {"personality": 0}}'
    people = [await shop.anonymous() for _ in range(8)]
    for person in people:
        await person.take_quiz({"adv"})
    before = await people[0].feed(first=3)
    await run(shop, "ranking", ("control", 1, "{}"), ("popular", 1, popular), surface="discover")
    by_arm: dict[str, tuple[Client, dict[str, Any]]] = {}
    for person in people:
        by_arm[(await arm(person, "ranking"))["arm"]] = (person, await person.feed(first=3))
    control, (ben, page) = by_arm["control"][1], by_arm["popular"]
    assert [node["product"]["id"] for node in control["nodes"]] == [node["product"]["id"] for node in before["nodes"]]
    assert {reason["code"] for node in page["nodes"] for reason in node["reasons"]} == {"POPULAR"}

    number = await shop.owner.fetchval("select number from public.experiment_arms where name = 'popular'")
    node = page["nodes"][0]
    opened = Shown.open(node["id"], shop.services.recommendation_ids)
    assert opened is not None
    assert opened.arm == number
    again = "query ($id: ID!) { node(id: $id) { ... on Recommendation { score reasons { code } } } }"
    for person, shown in ((ben, node), (by_arm["control"][0], control["nodes"][0])):
        read = (await person.ask(again, id=shown["id"]))["node"]
        assert read["score"] == shown["score"]
        assert [reason["code"] for reason in read["reasons"]] == [reason["code"] for reason in shown["reasons"]]
    await record(ben, impression(node, age=60))
    await ben.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
    for table in ("impressions", "recommendations"):
        assert await shop.owner.fetchval(f"select arm from public.{table}") == number
    (row,) = await shop.owner.fetch(EXPOSED)
    assert (row["key"], row["variant"]) == ("ranking", "popular")
    assert await ben.refusal(EXPOSE, key="ranking") == {"code": "INVALID", "field": ["key"]}

    await stop(shop, "ranking")
    rest = await ben.feed(first=3, after=page["pageInfo"]["endCursor"])
    opened = Shown.open(rest["nodes"][0]["id"], shop.services.recommendation_ids)
    assert opened is not None
    assert opened.arm == number, "a feed is ranked by one arm to its end"
    opened = Shown.open((await ben.feed(first=1))["nodes"][0]["id"], shop.services.recommendation_ids)
    assert opened is not None
    assert opened.arm == 0


async def test_a_feed_that_is_not_personal_is_of_no_arm(shop: Shop) -> None:
    await run(shop, "ranking", ("control", 1, "{}"), ("other", 1, "{}"), surface="discover")
    anna = await shop.anonymous()
    await anna.do(
        'mutation { updateConsents(input: {consents: [{purpose: PERSONALISATION, granted: false}], policyVersion: "1"})'
        " { userErrors { code } } }"
    )
    for client in (anna, shop.client()):
        shown = Shown.open((await client.feed(first=1))["nodes"][0]["id"], shop.services.recommendation_ids)
        assert shown is not None
        assert (shown.arm, shown.viewer) == (0, NOBODY)


async def test_the_first_exposure_counts_and_only_while_the_experiment_runs(shop: Shop) -> None:
    await run(shop, "ranking", ("control", 1, "{}"), ("other", 1, "{}"), surface="discover")
    anna = await shop.anonymous()
    one, other = (await anna.feed(first=2))["nodes"]
    await record(anna, impression(one, age=2 * 3600))
    assert await shop.owner.fetch(EXPOSED) == [], "before its start"
    await record(anna, impression(one, age=60), impression(other, age=600), impression(other, age=30))
    age = "select extract(epoch from now() - exposed_at) from public.experiment_exposures"
    assert float(await shop.owner.fetchval(age)) == pytest.approx(600, abs=30)
    await record(anna, impression(one, age=1200))
    assert float(await shop.owner.fetchval(age)) == pytest.approx(1200, abs=30), "late, but earlier"


async def test_experiments_are_read_once_in_some_seconds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIFETIME_SECONDS", 10)
    now = 0.0
    known = cache.Experiments(clock=lambda: now)

    async def keys() -> list[str]:
        async with shop.services.database.session(Claims(), read_only=True) as session:
            return [experiment.key for experiment in await known.running(session)]

    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    assert await keys() == ["colour"]
    await run(shop, "size", ("small", 1, "{}"), ("large", 1, "{}"))
    now = 9.9
    assert await keys() == ["colour"]
    now = 10
    assert await keys() == ["colour", "size"]


async def test_arms_that_lose_people_are_warned_of(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    assert await housekeeping.check_experiments(shop.services) == 0
    for _ in range(14):
        await (await shop.anonymous()).do(EXPOSE, key="colour")
    await shop.owner.execute("update public.experiment_exposures set variant = 'blue'")
    assert await housekeeping.check_experiments(shop.services) == 1
    for _ in range(100):
        if row := await shop.owner.fetchrow(
            "select level, context from public.system_logs where component = 'experiments'"
        ):
            break
        await asyncio.sleep(0.05)
    assert row is not None
    assert row["level"] == "warning"
    assert "blue 14" in row["context"]
