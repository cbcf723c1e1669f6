"""Personalities that follow the swipes: with direction and decay, apart from the swipe itself, and back again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
import structlog

from db import migrations
from db.claims import SERVICE
from domain import ids
from services import housekeeping
from services.personality import update_from_behaviour
from tests.client import Client
from tests.conftest import Shop
from tests.integration.waiting import until

UNDO = "mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { userErrors { message } } }"
ME = """
{ me { personality {
  primaryType secondaryTypes confidence assessmentMethod questionsAnswered lastAssessmentAt
  scores { trait score } history { nodes { method trigger questionsAnswered primaryType scores { trait score } } }
} } }
"""
CONSENT = """
mutation ($granted: Boolean!) {
  updateConsents(input: {consents: [{purpose: PERSONALISATION, granted: $granted}], policyVersion: "1"}) {
    userErrors { code }
  }
}
"""
STATE = "select * from public.personality_profiles p order by user_id"
HISTORY = "select * from public.personality_assessment_history order by user_id, assessment_timestamp"
KINDS = ("Camping", "Books", "Tools", "Painting", "Party")


async def swipe_all(client: Client, kinds: Sequence[str], way: str) -> list[str]:
    """Swipes every product of these kinds; the ids of the swipes."""
    products = [p for p in await client.products(first=100) if p["name"].split()[0] in kinds]
    return [(await client.swipe(p["id"], way))["swipe"]["id"] for p in products]


async def run(shop: Shop) -> int:
    return await update_from_behaviour(shop.services.database, limit=1000)


async def personality(client: Client) -> dict[str, Any]:
    found = (await client.ask(ME))["me"]["personality"]
    return found | {"scores": {s["trait"]: s["score"] for s in found["scores"]}}


async def age(shop: Shop, kind: str, days: int) -> None:
    await shop.owner.execute(
        "update public.swipes set created_at = created_at - make_interval(days => $2)"
        " where product_id in (select id from public.products where name like $1 || ' %')",
        kind,
        days,
    )


async def mark(shop: Shop) -> None:
    await shop.owner.execute("update private.personality_due set marks = marks + 1")
    await shop.owner.execute(
        "insert into private.personality_due (user_id) select id from public.profiles on conflict do nothing"
    )


async def test_likes_alone_make_a_personality(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Party"], "RIGHT")
    assert await run(shop) == 1
    found = await personality(client)
    assert found["assessmentMethod"] == "BEHAVIOR"
    assert {found["primaryType"], *found["secondaryTypes"]} >= {"ADVENTUROUS"}
    assert found["scores"]["ADVENTUROUS"] > 50 > found["scores"]["INTELLECTUAL"]  # the curious avoid parties
    assert [node["trigger"] for node in found["history"]["nodes"]] == ["BEHAVIOR_CHANGE"]
    assert (found["questionsAnswered"], found["history"]["nodes"][0]["questionsAnswered"]) == (0, 0)


async def test_the_direction_decides(shop: Shop) -> None:
    """The documents' trigger counted a dislike as it counted a like."""
    found = {}
    for way in ("LEFT", "RIGHT", "UP"):
        client = await shop.anonymous()
        await client.take_quiz({"adv", "pra"})
        await swipe_all(client, ["Painting"], "LEFT")
        for number in range(1, 6):
            await client.swipe((await client.product(f"Painting {number}"))["id"], way)
        await run(shop)
        found[way] = (await personality(client))["scores"]
    assert found["LEFT"]["CREATIVE"] < 1
    assert found["LEFT"]["CREATIVE"] < found["RIGHT"]["CREATIVE"] < found["UP"]["CREATIVE"]


async def test_scores_stay_between_0_and_100_and_nothing_else_is_added(shop: Shop) -> None:
    """The documents' trigger put a value of 0..1 among scores of 0..100."""
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await swipe_all(client, KINDS, "UP")
    await run(shop)
    found = await personality(client)
    stored = await shop.owner.fetchval("select personality_scores from public.personality_profiles")
    assert len(found["scores"]) == 5
    assert "behavioral_consistency" not in stored
    assert all(0 <= score <= 100 for score in found["scores"].values())
    assert {round(score) for score in found["scores"].values()} - {0, 1}


async def test_swiping_does_not_touch_the_personality(shop: Shop) -> None:
    """The documents' trigger could make the swipe fail; here whatever stands in the personality, it is stored."""
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await shop.owner.execute("update public.personality_profiles set personality_scores = '{\"adventurous\": null}'")
    before = await shop.owner.fetch(STATE)
    assert len(await swipe_all(client, KINDS, "UP")) == 50
    assert await shop.owner.fetch(STATE) == before


@pytest.mark.parametrize("social", ["1e400", "1e-400"])
async def test_a_personality_of_nonsense_stops_nobody_elses(shop: Shop, social: str) -> None:
    nonsense, other = await shop.anonymous(), await shop.anonymous()
    for client in (nonsense, other):
        await client.take_quiz({"adv"})
        await swipe_all(client, ["Painting"], "UP")
    mine = ids.decode_as("Profile", await nonsense.my_id())
    await shop.owner.execute(
        "update public.personality_assessment_history set combined_scores = $2, combined_confidence = null,"
        " combined_variances = $2 where user_id = $1",
        mine,
        f'{{"adventurous": "NaN", "creative": null, "social": {social}, "practical": []}}',
    )
    assert await run(shop) == 2
    assert (await personality(other))["assessmentMethod"] == "HYBRID"
    kept = "select (personality_scores ->> 'social')::numeric from public.personality_profiles where user_id = $1"
    score = await shop.owner.fetchval(kept, mine)
    assert 50 < score <= 100 if social == "1e400" else 0 <= score < 50


async def test_few_swipes_and_skips_say_nothing_without_a_quiz(shop: Shop) -> None:
    client = await shop.anonymous()
    swipes = await swipe_all(client, ["Camping", "Books"], "RIGHT")
    await client.do(UNDO, id=swipes[0])
    await swipe_all(client, ["Tools"], "DOWN")
    assert await run(shop) == 1
    assert (await client.ask("{ me { personality { id } } }"))["me"]["personality"] is None


async def test_the_quiz_outweighs_the_swipes_and_more_swipes_weigh_more(shop: Shop) -> None:
    scores = []
    for kinds in ([], ["Camping"], ["Camping", "Tools"]):
        client = await shop.anonymous()
        await client.take_quiz({"soc"})
        await swipe_all(client, kinds[:1], "RIGHT")
        if len(kinds) > 1:
            await swipe_all(client, kinds[1:], "LEFT")  # avoided by the adventurous: disliking it says so again
        await run(shop)
        scores.append((await personality(client))["scores"]["ADVENTUROUS"])
    assert scores[0] < 1 < scores[1] < scores[2] < 40


async def test_running_twice_changes_nothing(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    await one.take_quiz({"adv"})
    for client in (one, other):
        await swipe_all(client, ["Painting", "Books"], "UP")
    assert await run(shop) == 2
    before = (await shop.owner.fetch(STATE), await shop.owner.fetch(HISTORY))
    assert await run(shop) == 0, "nobody is due"
    await mark(shop)
    assert await run(shop) >= 2
    assert (await shop.owner.fetch(STATE), await shop.owner.fetch(HISTORY)) == before
    assert {row["assessment_method"] for row in before[0]} == {"hybrid", "behavior"}


async def test_without_swipes_a_rebuild_leaves_what_the_quiz_measured(shop: Shop) -> None:
    """Scores near the ends of the scale have small errors and variances, which a rebuild does not round up."""
    measured = (
        "select primary_type, secondary_types, personality_scores, standard_errors, variances, confidence_level,"
        " assessment_method from public.personality_profiles"
    )
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    before = await shop.owner.fetch(measured)
    assert min(json.loads(before[0]["standard_errors"]).values()) < 5
    await mark(shop)
    assert await run(shop) == 1
    assert await shop.owner.fetch(measured) == before
    await swipe_all(client, ["Camping", "Painting"], "LEFT")
    await run(shop)
    (after,) = await shop.owner.fetch(measured)
    errors = json.loads(after["standard_errors"])
    variances = json.loads(after["variances"])
    assert all(error**2 <= variances[trait] + 0.2 for trait, error in errors.items())
    assert errors["adventurous"] > json.loads(before[0]["standard_errors"])["adventurous"], "they contradict the quiz"


async def test_undoing_the_swipes_takes_their_effect_back(shop: Shop) -> None:
    with_quiz, without = await shop.anonymous(), await shop.anonymous()
    await with_quiz.take_quiz({"adv"})
    before = await personality(with_quiz)
    responses = "select quiz_responses from public.personality_profiles where quiz_responses <> '{}'"
    answers = await shop.owner.fetchval(responses)
    for client in (with_quiz, without):
        swipes = await swipe_all(client, ["Painting", "Party"], "UP")
        await run(shop)
        assert (await personality(client))["scores"] != before["scores"]
        assert await shop.owner.fetchval(responses) == answers
        for swipe in swipes:
            await client.do(UNDO, id=swipe)
        await run(shop)
    after = await personality(with_quiz)
    assert {key: after[key] for key in ("scores", "primaryType", "confidence", "assessmentMethod")} == {
        key: before[key] for key in ("scores", "primaryType", "confidence", "assessmentMethod")
    }
    assert set((await personality(without))["scores"].values()) == {50}
    assert (await personality(without))["confidence"] == 0
    newcomer = await shop.anonymous()
    feeds = [(await client.feed(first=50))["nodes"] for client in (without, newcomer)]
    assert [(n["product"]["id"], n["score"], n["confidence"]) for n in feeds[0]] == [
        (n["product"]["id"], n["score"], n["confidence"]) for n in feeds[1]
    ]


async def test_older_swipes_weigh_less(shop: Shop) -> None:
    """Likes of the outdoors against dislikes of it: the newer ones win."""
    found = []
    for old in ("Camping", "Tools"):
        client = await shop.anonymous()
        await swipe_all(client, ["Camping", "Tools"], "RIGHT")  # the adventurous avoid tools
        await age(shop, old, 360)
        await mark(shop)
        await run(shop)
        found.append((await personality(client))["scores"]["ADVENTUROUS"])
        await shop.owner.execute("delete from public.swipes")
    assert found[0] < found[1]


async def test_time_alone_changes_nothing(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    await run(shop)
    before = await shop.owner.fetch(STATE)
    for kind in KINDS:
        await age(shop, kind, 200)
    await mark(shop)
    await run(shop)
    assert await shop.owner.fetch(STATE) == before


async def test_small_moves_are_no_assessment_and_do_not_change_the_feed(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await client.swipe((await client.product("Camping 1"))["id"], "RIGHT")
    before = await client.feed(first=50)
    await run(shop)
    found = await personality(client)
    assert found["assessmentMethod"] == "HYBRID"
    assert [node["method"] for node in found["history"]["nodes"]] == ["QUIZ"]
    after = await client.feed(first=50)
    assert [(n["product"]["id"], n["score"]) for n in before["nodes"]] == [
        (n["product"]["id"], n["score"]) for n in after["nodes"]
    ]


async def test_a_feed_that_is_being_read_stays_while_the_personality_moves(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    for kind in ("Painting", "Party"):
        products = [p for p in await client.products(first=100) if p["name"].startswith(kind)]
        for product in products[:-2]:
            await client.swipe(product["id"], "UP")
    whole = [(n["product"]["id"], n["score"]) for n in (await client.feed(first=100))["nodes"]]
    first = await client.feed(first=5)
    await run(shop)
    assert len((await personality(client))["history"]["nodes"]) == 2
    rest = await client.feed(first=100, after=first["pageInfo"]["endCursor"])
    assert [(n["product"]["id"], n["score"]) for n in rest["nodes"]] == whole[5:]
    assert [(n["product"]["id"], n["score"]) for n in (await client.feed(first=100))["nodes"]] != whole


async def test_a_second_quiz_counts_with_the_first_and_behaviour_moves_both(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv", "cre"})
    await swipe_all(client, ["Painting"], "UP")
    await run(shop)
    await client.take_quiz({"adv"})
    both = await personality(client)
    assert both["assessmentMethod"] == "QUIZ"
    assert 20 < both["scores"]["CREATIVE"] < 80
    await run(shop)
    found = await personality(client)
    assert (found["primaryType"], found["assessmentMethod"], found["questionsAnswered"]) == (
        "ADVENTUROUS",
        "HYBRID",
        25,
    )
    assert found["scores"]["CREATIVE"] > both["scores"]["CREATIVE"]


async def test_likes_for_somebody_else_say_nothing_of_the_giver(shop: Shop) -> None:
    """The swipes carry the signed ids of the gift finder's recommendations."""
    gifts = (
        "query ($traits: [Trait!]) { giftFinder(input: {traits: $traits}, first: 50) { nodes { id product { id } } } }"
    )
    giver, fan = await shop.anonymous(), await shop.anonymous()
    for client in (giver, fan):
        await client.take_quiz({"adv"})
        nodes = (await client.ask(gifts, traits=["CREATIVE"]))["giftFinder"]["nodes"]
        for node in nodes:
            more = {"recommendationId": node["id"]} if client is giver else {}
            await client.swipe(node["product"]["id"], "UP", **more)
    said = (await personality(giver))["scores"]
    await run(shop)
    assert (await personality(giver))["scores"] == said
    assert (await personality(fan))["scores"] != said
    # A product that was liked for oneself before it was liked for somebody else is evidence still.
    own = await giver.product("Painting 1")
    await giver.swipe(own["id"], "UP")
    await giver.swipe(
        own["id"], "UP", recommendationId=next(n["id"] for n in nodes_of(await giver.ask(gifts), own["id"]))
    )
    await run(shop)
    assert (await personality(giver))["scores"]["CREATIVE"] > said["CREATIVE"]


def nodes_of(data: dict[str, Any], product: str) -> list[dict[str, Any]]:
    return [node for node in data["giftFinder"]["nodes"] if node["product"]["id"] == product]


async def test_another_quiz_is_suggested_once_the_swipes_depart_from_it(shop: Shop) -> None:
    query = "{ me { personality { reassessmentSuggestedAt } } }"

    async def suggested(client: Client) -> str | None:
        found: str | None = (await client.ask(query))["me"]["personality"]["reassessmentSuggestedAt"]
        return found

    loyal, changed = await shop.anonymous(), await shop.anonymous()
    await loyal.take_quiz({"adv", "cre"})
    await changed.take_quiz({"adv"})
    await swipe_all(loyal, ["Camping"], "UP")
    await swipe_all(loyal, ["Tools", "Books"], "LEFT")
    await swipe_all(changed, ["Books", "Tools", "Painting"], "UP")
    await swipe_all(changed, ["Camping"], "LEFT")
    await run(shop)
    assert await suggested(loyal) is None
    since = await suggested(changed)
    assert since is not None
    await mark(shop)
    await run(shop)
    assert await suggested(changed) == since, "as long as they differ"
    await changed.take_quiz({"int", "pra", "cre"})
    assert await suggested(changed) is None


async def test_a_quiz_taken_meanwhile_is_not_overwritten(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await swipe_all(client, ["Painting"], "UP")
    update = shop.owner.transaction()
    await update.start()
    await shop.owner.execute("update public.personality_profiles set version = version")  # the profile is being written
    job = asyncio.create_task(run(shop))
    await until(shop.owner, "exists (select from pg_locks where not granted)")
    await shop.owner.execute(
        "update public.personality_profiles set last_assessment_at = clock_timestamp(), primary_type = 'social'"
    )
    await shop.owner.execute("update private.personality_due set marks = marks + 1")
    await update.commit()
    await job
    row = await shop.owner.fetchrow("select primary_type, assessment_method from public.personality_profiles")
    assert row is not None
    assert row["primary_type"] == "social" or row["assessment_method"] == "hybrid"
    assert [r["assessment_method"] for r in await shop.owner.fetch(HISTORY)].count("quiz") == 1


async def test_a_swipe_during_the_job_stays_due_and_does_not_wait(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        # What a swipe of another transaction left before the job looked, and holds.
        holder = shop.owner.transaction()
        await holder.start()
        await shop.owner.execute("update private.personality_due set marks = marks + 1")
        assert await session.fetchval("personality.update_from_behaviour", size=10) == 0
        await holder.commit()
    assert await shop.owner.fetchval("select count(*) from private.personality_due") == 1
    assert await run(shop) == 1


async def test_of_two_workers_one_does_it(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await session.fetchval("personality.update_from_behaviour", size=10) == 1
        assert await run(shop) == 0
    assert await shop.owner.fetchval("select count(*) from public.personality_profiles") == 1


async def test_a_batch_is_bounded_and_the_longest_due_come_first(shop: Shop) -> None:
    clients = [await shop.anonymous() for _ in range(3)]
    for client in clients:
        await client.take_quiz({"adv"})
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await session.fetchval("personality.update_from_behaviour", size=2) == 2
    last = ids.decode_as("Profile", await clients[2].my_id())
    assert [row["user_id"] for row in await shop.owner.fetch("select user_id from private.personality_due")] == [last]


async def test_housekeeping_lets_personalities_follow(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    await housekeeping.update_personalities(shop.services)
    assert (await personality(client))["assessmentMethod"] == "BEHAVIOR"


async def test_the_newest_quiz_from_before_gets_the_confidence_of_its_profile(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await client.take_quiz({"soc"})
    await shop.owner.execute("update public.personality_assessment_history set confidence_level = null")
    (file,) = (f for f in migrations.migration_files() if f.name.endswith("_assessment_confidence.sql"))
    await shop.owner.execute(file.text)
    expected = await shop.owner.fetchval("select confidence_level from public.personality_profiles")
    assert [row["confidence_level"] for row in await shop.owner.fetch(HISTORY)] == [None, expected]


async def test_without_consent_to_personalisation_only_the_quiz_counts(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    said = (await personality(client))["scores"]
    await swipe_all(client, ["Books", "Tools"], "UP")
    await run(shop)
    followed = (await personality(client))["scores"]
    assert followed != said

    await client.do(CONSENT, granted=False)
    assert await run(shop) == 1
    found = await personality(client)
    assert (found["scores"], found["assessmentMethod"]) == (said, "QUIZ")
    await swipe_all(client, ["Painting"], "UP")
    await run(shop)
    assert (await personality(client))["scores"] == said

    await client.do(CONSENT, granted=True)
    await run(shop)
    assert (await personality(client))["scores"] != said


async def test_a_withdrawn_consent_is_honoured_at_once(shop: Shop) -> None:
    """Not only when the job comes to this person, which another worker may be running."""
    client, other = await shop.anonymous(), await shop.anonymous()
    await client.take_quiz({"adv"})
    said = (await personality(client))["scores"]
    for each in (client, other):
        await swipe_all(each, ["Books", "Tools"], "UP")
    await run(shop)
    followed = (await personality(other))["scores"]
    assert (await personality(client))["scores"] != said
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetchval("personality.update_from_behaviour", size=10)
        await client.do(CONSENT, granted=False)
        found = await personality(client)
        assert (found["scores"], found["assessmentMethod"]) == (said, "QUIZ")
    assert (await personality(other))["scores"] == followed


SLOW = """
create or replace function private.purchases_of(p_user uuid) returns integer language plpgsql stable as $$
begin
  if p_user = any (array[{slow}]::uuid[]) then
    perform pg_sleep(2);
  end if;
  return 0;
end
$$
"""


async def test_people_who_take_too_long_stop_nobody_else(shop: Shop) -> None:
    """The longest due are the slowest: a batch fails with them, again and again, and so does each alone."""
    clients = [await shop.anonymous() for _ in range(6)]
    for client in clients:
        await swipe_all(client, ["Camping", "Books"], "RIGHT")
    people = [ids.decode_as("Profile", await client.my_id()) for client in clients]
    slow = ", ".join(f"'{person}'" for person in people[:2])
    await shop.owner.execute(SLOW.format(slow=slow))
    with structlog.testing.capture_logs() as logged:
        assert await update_from_behaviour(shop.services.database, limit=1000, timeout_ms=1000) == 4
    assert [entry["event"] for entry in logged].count("a personality was postponed: it took too long") == 3
    assert not any(str(person) in str(logged) for person in people)
    due = await shop.owner.fetch("select user_id, due_since > now() as is_later from private.personality_due")
    assert {(row["user_id"], row["is_later"]) for row in due} == {(person, True) for person in people[:2]}

    late = await shop.anonymous()
    await swipe_all(late, ["Camping", "Books"], "RIGHT")
    assert await update_from_behaviour(shop.services.database, limit=1000, timeout_ms=1000) == 1
    await shop.owner.execute(SLOW.format(slow=""))
    assert await run(shop) == 2, "they were not forgotten"


async def test_traits_of_products_that_are_in_no_model_are_computed_once_per_kind(shop: Shop) -> None:
    """Each takes as long as thirty others."""
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    await run(shop)
    expected = (await personality(client))["scores"]
    await shop.owner.execute("delete from public.product_features")
    kinds = await shop.owner.fetchval(
        "select count(distinct (category_id, tags)) from public.products where name ~ '^(Camping|Books) '"
    )
    await shop.owner.execute(COUNTED)
    await mark(shop)
    await run(shop)
    assert (await personality(client))["scores"] == expected
    assert await shop.owner.fetchval("select last_value - 1 from private.traits_computed") == kinds < 25


COUNTED = """
create sequence private.traits_computed;
select nextval('private.traits_computed');
alter function private.product_traits(uuid, text[], bigint, text) rename to computed_traits;
create function private.product_traits(p_category uuid, p_tags text[], p_price_minor bigint default null,
  p_currency text default null) returns real[] language plpgsql volatile as $$
begin
  perform nextval('private.traits_computed');
  return private.computed_traits(p_category, p_tags, p_price_minor, p_currency);
end
$$
"""


async def test_the_newest_two_thousand_signals_count(shop: Shop) -> None:
    client = await shop.anonymous()
    await swipe_all(client, ["Camping", "Books"], "RIGHT")
    person = ids.decode_as("Profile", await client.my_id())
    await shop.owner.execute(MANY_SWIPES, person)
    await run(shop)
    data = await shop.owner.fetchval("select assessment_data from public.personality_assessment_history")
    assert json.loads(data)["signals"] == 2000


# Of copies of one product, all older than what was swiped.
MANY_SWIPES = """
with copies as (
  insert into public.products (
    external_id, name, category_id, brand_id, retailer_id, price_minor, currency, affiliate_url, tags)
  select 'copy-' || n, 'Copy ' || n, p.category_id, p.brand_id, p.retailer_id, 100, 'GBP', p.affiliate_url, p.tags
  from (select * from public.products limit 1) p cross join generate_series(1, 2100) n
  returning id
)
insert into public.swipes (user_id, product_id, direction, client_swipe_id, created_at)
select $1, id, 'left', 'copy ' || id, now() - interval '30 days' from copies
"""


async def test_one_who_is_erased_meanwhile_stops_nobody_elses(shop: Shop) -> None:
    people = [await shop.anonymous(), await shop.anonymous()]
    for product in await people[0].products(first=25):
        for person in people:
            await person.swipe(product["id"])
    job = await asyncpg.connect(shop.dsns.owner)
    async with shop.owner.transaction():
        await shop.owner.execute("delete from public.profiles where id = (select id from public.profiles limit 1)")
        assert await asyncio.wait_for(job.fetchval("select private.update_personality_from_behaviour(100)"), 20) == 1
    await job.close()
    assert await shop.owner.fetchval("select count(*) from public.personality_profiles") == 1
