"""Experiments as their owner runs them: commands, what the database refuses, and reports."""

from __future__ import annotations

import asyncio
import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

import cli
from db.embedded import Dsns
from tests.conftest import Shop

Run = Any


@pytest.fixture
def run(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`aclue experiment …` on this test's database; what it printed, or its error in a line."""
    monkeypatch.setenv("DATABASE_URL", dsns.api)
    monkeypatch.setenv("MIGRATION_DATABASE_URL", dsns.owner or "")

    async def invoke(*arguments: str | Path) -> str:
        command = ["experiment", *map(str, arguments)]
        result: Result = await asyncio.to_thread(CliRunner().invoke, cli.app, command)
        if result.exit_code == 0:
            return result.stdout
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        return result.stderr.strip()

    return invoke


async def create(run: Run, key: str = "colour", *more: str) -> str:
    found: str = await run("create", key, "--arm", "red", "--arm", "blue=2", "--description", "Why not?", *more)
    return found


async def test_an_experiment_is_drafted_started_and_stopped(owner: asyncpg.Connection[Any], run: Run) -> None:
    assert await create(run) == "colour: a draft; start it with `aclue experiment start colour`\n"
    assert re.fullmatch(r"colour +draft +front end +100% +0 people +red, blue\n", await run("list"))
    assert re.fullmatch(r"colour: from \S+Z to an open end\n", await run("start", "colour"))
    assert " running " in await run("list")
    assert re.fullmatch(r"colour: ended \S+Z\n", await run("stop", "colour"))
    assert " ended " in await run("list")
    assert (await run("report", "colour")).startswith("colour: from ")
    arms = await owner.fetch("select name, share from public.experiment_arms order by number")
    assert [tuple(arm) for arm in arms] == [("red", 1), ("blue", 2)]


async def test_what_cannot_be_is_refused_in_a_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"discover": {"charm": 1}}')
    two = ("--arm", "a", "--arm", "b")
    table: list[tuple[tuple[str, ...], str]] = [
        (("create", "Colour", *two), "Colour: give lower-case words"),
        (("create", "colour", "--arm", "a"), "--arm: give 2 to 10 different arms"),
        (("create", "colour", "--arm", "a", "--arm", "a"), "--arm: give 2 to 10 different arms"),
        (("create", "colour", "--arm", "a", "--arm", "b=0"), "--arm b=0: give a share"),
        (("create", "colour", "--arm", "a", "--arm", "b=x"), "--arm b=x: x is no number"),
        (("create", "colour", *two, "--allocation", "0"), "--allocation 0.0: give more than 0"),
        (("create", "colour", *two, "--surface", "moon"), "--surface moon: there is discover"),
        (("create", "colour", *two, "--parameters", f"b={file}"), "--parameters: a front end's arms rank nothing"),
        (
            ("create", "colour", *two, "--surface", "discover", "--parameters", f"b={file}"),
            "--parameters b: discover.charm is no parameter; there are ",
        ),
        (("create", "colour", *two, "--surface", "discover", "--parameters", f"c={file}"), "there is no arm c"),
        (("create", "colour", *two, "--surface", "discover", "--parameters", "b=nowhere"), "No such file"),
        (("start", "colour"), "there is no experiment colour that has not started"),
        (("stop", "colour"), "there is no running experiment colour"),
        (("report", "colour"), "there is no experiment colour"),
    ]
    for arguments, message in table:
        assert message in await run(*arguments), arguments
    await create(run)
    assert "there is an experiment colour already" in await create(run)
    assert "colour has not started" in await run("report", "colour")
    for option, at in (("--at", "tomorrow"), ("--until", "2030-01-01T00:00:00"), ("--at", "2020-01-01T00:00:00Z")):
        assert option in await run("start", "colour", option, at)
    assert "--until: is not after the start" in await run("start", "colour", "--until", "2020-01-01T00:00:00Z")


async def test_one_experiment_at_a_time_ranks_feeds(owner: asyncpg.Connection[Any], run: Run) -> None:
    for key in ("one", "two"):
        await create(run, key, "--surface", "discover")
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    await run("start", "one", "--until", until)
    assert "two: another experiment runs on the same surface" in await run("start", "two")
    assert "two: from" in await run("start", "two", "--at", until)


async def refusal(owner: asyncpg.Connection[Any], statement: str) -> str:
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError) as refused:
        await owner.execute(statement)
    return str(refused.value)


async def test_an_experiment_that_has_started_does_not_change(owner: asyncpg.Connection[Any], run: Run) -> None:
    await create(run)
    await owner.execute("update public.experiments set allocation = 0.5")
    await owner.execute("update public.experiment_arms set share = 3 where name = 'red'")
    await run("start", "colour")
    for change in ("allocation = 1", "seed = gen_random_uuid()", "starts_at = null", "key = 'other'"):
        assert "only its end can be set" in await refusal(owner, f"update public.experiments set {change}")
    assert "it stays" in await refusal(owner, "delete from public.experiments")
    for statement in (
        "update public.experiment_arms set share = 1",
        "update public.experiment_arms set parameters = '{\"half_life_days\": 1}'",
        "delete from public.experiment_arms",
        "insert into public.experiment_arms (experiment_id, name, share) select id, 'green', 1 from public.experiments",
    ):
        assert "its arms stay as they are" in await refusal(owner, statement)
    past = "update public.experiments set ends_at = now() - interval '1 second', starts_at = starts_at"
    await owner.execute("select pg_sleep(1.1)")
    assert "an end in the past" in await refusal(owner, past)
    await run("stop", "colour")
    assert "an end in the past" in await refusal(owner, "update public.experiments set ends_at = null")


async def test_an_experiment_needs_arms_to_start(owner: asyncpg.Connection[Any]) -> None:
    assert "has no arms yet" in await refusal(
        owner, "insert into public.experiments (key, description, starts_at) values ('colour', '', now())"
    )
    await owner.execute("insert into public.experiments (key, description) values ('colour', '')")
    assert "needs 2 to 10 arms" in await refusal(owner, "update public.experiments set starts_at = now()")
    await owner.execute("delete from public.experiments")


async def people(owner: asyncpg.Connection[Any], number: int) -> list[Any]:
    rows = await owner.fetch(
        "insert into public.profiles (id, is_anonymous) select private.uuid_v7(), true from generate_series(1, $1)"
        " returning id",
        number,
    )
    return [row["id"] for row in rows]


async def act(owner: asyncpg.Connection[Any], impressions: list[tuple[Any, int, float, bool, bool]]) -> None:
    """Stores impressions of (person, arm, propensity, is liked, is clicked), each of a product that the person saw
    once; and the exposure to the arm."""
    await owner.execute(
        """
        create temporary table acts on commit drop as
        select i.*, row_number() over (partition by i.person order by i.n) as nth, private.uuid_v7() as id
        from unnest($1::uuid[], $2::int[], $3::real[], $4::boolean[], $5::boolean[])
          with ordinality i (person, arm, propensity, is_liked, is_clicked, n)
        """,
        *(list(column) for column in zip(*impressions, strict=True)),
    )
    await owner.execute(
        """
        create temporary table goods on commit drop as
        select row_number() over (order by id) as nth, id as product_id, affiliate_url from public.products
        """
    )
    await owner.execute(
        """
        insert into public.impressions (user_id, id, product_id, recommendation_context, model_version, arm, propensity,
          position, shown_at)
        select person, a.id, product_id, 'discover', 1, arm, propensity, nth, now() from acts a join goods using (nth)
        """
    )
    await owner.execute(
        """
        insert into public.recommendations (user_id, id, product_id, recommendation_context, model_version, arm,
          propensity, generated_at)
        select person, a.id, product_id, 'discover', 1, arm, propensity, now() from acts a join goods using (nth)
        where is_liked or is_clicked
        """
    )
    await owner.execute(
        """
        insert into public.swipes (user_id, client_swipe_id, product_id, direction, recommendation_id)
        select person, a.id::text, product_id, 'right', a.id from acts a join goods using (nth) where is_liked
        """
    )
    await owner.execute(
        """
        insert into public.affiliate_clicks (
          user_id, product_id, recommendation_id, affiliate_url, price_minor, currency)
        select person, product_id, a.id, affiliate_url, 1, 'GBP' from acts a join goods using (nth) where is_clicked
        """
    )
    await owner.execute(
        """
        insert into public.experiment_exposures (user_id, experiment_id, variant, exposed_at)
        select distinct on (person) person, r.experiment_id, r.name, now()
        from acts a join public.experiment_arms r on r.number = a.arm order by person, a.n
        """
    )


async def test_a_report_says_what_people_of_each_arm_did(shop: Shop, run: Run) -> None:
    owner, chance = shop.owner, random.Random(4)
    await create(run, "ranking", "--surface", "discover")
    await run("start", "ranking")
    red, blue = [
        row["number"] for row in await owner.fetch("select number from public.experiment_arms order by number")
    ]
    impressions: list[tuple[Any, int, float, bool, bool]] = []
    persons = await people(owner, 241)
    for index, person in enumerate(persons[:240]):
        arm, likes = (red, 0.2) if index < 80 else (blue, 0.4)
        for _ in range(chance.randint(5, 15)):
            explored = arm == blue and chance.random() < 0.5
            propensity = chance.choice([0.25, 0.5]) if explored else 1.0
            impressions.append((person, arm, propensity, chance.random() < likes, chance.random() < 0.1))
    impressions += [(persons[240], red, 1, True, True), (persons[240], blue, 1, True, True)]  # of two merged sessions
    async with owner.transaction():
        await act(owner, impressions)

    report = await run("report", "ranking")
    shown = {arm: [row for row in impressions if row[1] == arm and row[0] != persons[240]] for arm in (red, blue)}
    for name, arm, crossed, number in (("red", red, 1, 81), ("blue", blue, 0, 160)):
        found = re.search(rf"^{name} +[\d.]+% +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", report, re.MULTILINE)
        assert found is not None, report
        liked, clicked = (sum(row[column] for row in shown[arm]) for column in (3, 4))
        assert [int(text) for text in found.groups()] == [number, crossed, len(shown[arm]), liked, clicked]
    assert "as the shares say" in report
    likes = {arm: sum(row[3] for row in rows) / len(rows) for arm, rows in shown.items()}
    number_ = r"(-?\+?[\d.]+)"
    (rates,) = re.findall(
        rf"likes per impression.*\nred +{number_} \({number_} to {number_}\)\n"
        rf"blue +{number_} \({number_} to {number_}\) +{number_} \({number_} to {number_}\)",
        report,
    )
    a, a_low, a_high, b, b_low, b_high, d, d_low, d_high = map(float, rates)
    assert (a, b, d) == pytest.approx((likes[red], likes[blue], likes[blue] - likes[red]), abs=1e-4)
    assert a_low < a < a_high < b_low < b < b_high
    assert 0 < d_low < d < d_high
    assert "red                  no impressions of explored slots" in report
    weights = [1 / row[2] for row in shown[blue] if row[2] < 1]
    effective = sum(weights) ** 2 / sum(w * w for w in weights)
    assert effective > 500
    value = sum(w * row[3] for w, row in zip(weights, (r for r in shown[blue] if r[2] < 1), strict=True)) / sum(weights)
    assert (
        f"blue                 {len(weights)} impressions, effective sample {effective:.0f}: likes {value:.4f}"
        in report
    )


async def test_a_report_of_a_few_people_estimates_nothing(shop: Shop, run: Run) -> None:
    await create(run, "ranking", "--surface", "discover")
    await run("start", "ranking")
    arm = await shop.owner.fetchval("select number from public.experiment_arms where name = 'red'")
    (anna,) = await people(shop.owner, 1)
    async with shop.owner.transaction():
        await act(shop.owner, [(anna, arm, 0.5, True, False), (anna, arm, 0.5, False, False)])
    report = await run("report", "ranking")
    assert report.count("too few people") == 6
    assert "red                  2 impressions, effective sample 2: below 500, no estimate" in report


async def test_a_report_warns_of_arms_that_lose_people(shop: Shop, run: Run) -> None:
    await create(run)
    await run("start", "colour")
    for name, number in (("red", 200), ("blue", 300)):
        await shop.owner.execute(
            "insert into public.experiment_exposures (user_id, experiment_id, variant)"
            " select p.id, a.experiment_id, a.name from unnest($1::uuid[]) p (id), public.experiment_arms a"
            " where a.name = $2",
            await people(shop.owner, number),
            name,
        )
    report = await run("report", "colour")
    assert "people per arm: chi-square 10.00, p 0.00157: as the shares say" in report
    await shop.owner.execute(
        "insert into public.experiment_exposures (user_id, experiment_id, variant)"
        " select p.id, a.experiment_id, a.name from unnest($1::uuid[]) p (id), public.experiment_arms a"
        " where a.name = 'red'",
        await people(shop.owner, 100),
    )
    assert "SAMPLE RATIO MISMATCH: do not trust the figures" in await run("report", "colour")


async def test_an_arm_overrides_members_of_the_models_parameters(shop: Shop) -> None:
    overrides = {"discover": {"personality": 0.1}, "half_life_days": 30}
    model, parameters = await shop.owner.fetchrow("select version, parameters from public.recommendation_models")  # type: ignore[misc]
    await shop.owner.execute("insert into public.experiments (key, description) values ('x', '')")
    arm = await shop.owner.fetchval(
        "insert into public.experiment_arms (experiment_id, name, share, parameters)"
        " select id, 'a', 1, $1 from public.experiments returning number",
        json.dumps(overrides),
    )
    of = "select private.model_parameters($1, $2)"
    expected = json.loads(parameters)
    assert json.loads(await shop.owner.fetchval(of, model, 0)) == expected
    expected["discover"]["personality"] = 0.1
    expected["half_life_days"] = 30
    assert json.loads(await shop.owner.fetchval(of, model, arm)) == expected
    assert json.loads(await shop.owner.fetchval(of, model, 999)) == json.loads(parameters), "an arm that is unknown"
    assert await shop.owner.fetchval(of, model + 1, arm) is None
