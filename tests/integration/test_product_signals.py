"""What signals are worth to others: SQL computes what domain/trust.py says."""

from __future__ import annotations

import random
from typing import Any

import pytest

from db import privacy
from domain.networks import ranges
from domain.trust import Vote, ripeness, weights
from services import housekeeping
from tests.conftest import Shop
from tests.crowds import Person, come, swipe

PERIOD_DAYS = 30


def somebody(chance: random.Random, number: int) -> Person:
    """Of a few networks of either kind, of any age, with an e-mail or without."""
    address = chance.choice(
        [
            f"2001:db8:{chance.randrange(3)}:{chance.randrange(3)}::{chance.randrange(9)}",
            f"198.{chance.randrange(2)}.{chance.randrange(3)}.{chance.randrange(3)}",
            None,
        ]
    )
    email = chance.choice(["", "", f"{number}@people.example"])
    # Within one day of one period, so that hashes of a network are alike.
    return Person(address, chance.choice([1, 3.5, 4, 6, 7.5, 8]), email, bool(email) and chance.random() < 0.5)


@pytest.mark.parametrize("seed", range(3))
async def test_sql_weighs_signals_as_the_domain_says(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    people = [somebody(chance, number) for number in range(300)]
    ids = await come(shop, people)
    first, second = [row["id"] for row in await shop.owner.fetch("select id from public.products limit 2")]
    await swipe(shop, ids, [first], "right")
    await swipe(shop, ids[::2], [second], "left")
    sessions = {row["user_id"]: row for row in await shop.owner.fetch("select * from public.user_sessions")}
    periods = {
        row["id"]: row["period"]
        for row in await shop.owner.fetch(
            "select id, floor(extract(epoch from created_at) / 86400 / $1)::int as period from public.profiles",
            PERIOD_DAYS,
        )
    }

    def vote(id: Any, person: Person) -> Vote:
        known = sessions.get(id)
        networks = (
            (f"{id}", f"{id}", f"period {periods[id]}") if known is None else tuple(h.hex() for h in known["networks"])
        )
        return Vote(ripeness(person.days), person.is_verified, networks)  # type: ignore[arg-type]

    for product, step in ((first, 1), (second, 2)):
        voters = list(zip(ids, people, strict=True))[::step]
        expected = weights([vote(id, person) for id, person in voters])
        rows = await shop.owner.fetch(
            "select user_id, weight from private.trusted_signals where product_id = $1", product
        )
        found = {row["user_id"]: row["weight"] for row in rows}
        assert [found.get(id, 0) for id, _ in voters] == pytest.approx(expected, abs=1e-4)
    ripe = [(id, person) for id, person in sorted(zip(ids, people, strict=True)) if ripeness(person.days) > 0]
    standing = await shop.owner.fetch("select standing from private.training_signals()")
    assert [row["standing"] for row in standing] == pytest.approx(
        weights([vote(id, person) for id, person in ripe]), abs=1e-4
    )


async def test_people_of_one_household_stay_one_when_their_sessions_are_old(shop: Shop) -> None:
    people = await come(shop, [Person("192.0.2.1", 8) for _ in range(20)])
    product = await shop.owner.fetchval("select id from public.products limit 1")
    await swipe(shop, people, [product], "right")
    weight = "select sum(weight) from private.trusted_signals"
    before = await shop.owner.fetchval(weight)
    await shop.owner.execute(
        "update public.user_sessions set user_agent = 'x', last_used_at = now(),"
        " created_at = now() - interval '3 years', expires_at = now() - interval '2 years'"
    )
    await shop.owner.execute(  # each came back later from a network of its own, which has ended too
        "insert into public.user_sessions (user_id, refresh_token_hash, expires_at, networks, created_at)"
        " select id, sha256(id::text::bytea), now() - interval '2 years',"
        " array[uuid_send(id), uuid_send(id), uuid_send(id)], now() - interval '30 months' from unnest($1::uuid[]) id",
        people,
    )
    assert (await privacy.purge(privacy.as_owner(shop.owner), shop.services.settings))["sessions"] == 40
    kept = await shop.owner.fetch("select distinct networks, user_agent from public.user_sessions")
    assert len(kept) == 1 and kept[0]["networks"] and kept[0]["user_agent"] is None
    assert await shop.owner.fetchval(weight) == pytest.approx(before) == 1


async def test_a_skip_says_nothing_to_others(shop: Shop) -> None:
    (visitor,) = await come(shop, [Person("192.0.2.1", 8)])
    product = await shop.owner.fetchval("select id from public.products limit 1")
    await swipe(shop, [visitor], [product], "down")
    assert await shop.owner.fetchval("select count(*) from private.trusted_signals") == 0


async def test_one_product_has_the_popularity_that_a_model_of_all_gives_it(shop: Shop) -> None:
    ids = await come(shop, [Person(f"198.51.{n % 7}.{n}", 5) for n in range(40)])
    products = [row["id"] for row in await shop.owner.fetch("select id from public.products limit 3")]
    await swipe(shop, ids, products, "up")
    await shop.owner.execute("select private.refresh_model()")
    apart = await shop.owner.fetchval(
        "select count(*) from public.products where popularity <> private.product_popularity(id, feed_popularity)"
    )
    assert apart == 0


async def test_a_session_is_asked_where_it_began_and_keeps_no_address(shop: Shop) -> None:
    await shop.anonymous()
    session = await shop.owner.fetchrow("select * from public.user_sessions")
    assert session is not None
    assert [len(part) for part in session["networks"]] == [16, 16, 16]
    assert len(set(session["networks"])) == 3
    assert "127.0.0.1" not in str(dict(session))
    assert ranges("127.0.0.1")[0] not in str(dict(session))


PASS_DAYS = """
alter table public.products disable trigger user;
update public.products set updated_at = updated_at - make_interval(days => {0});
alter table public.products enable trigger user;
alter table public.personality_gift_mappings disable trigger user;
update public.personality_gift_mappings set updated_at = updated_at - make_interval(days => {0});
alter table public.personality_gift_mappings enable trigger user;
alter table public.personality_tag_mappings disable trigger user;
update public.personality_tag_mappings set updated_at = updated_at - make_interval(days => {0});
alter table public.personality_tag_mappings enable trigger user;
update public.swipes set created_at = created_at - make_interval(days => {0});
update public.profiles set created_at = created_at - make_interval(days => {0});
update public.user_sessions set created_at = created_at - make_interval(days => {0});
update public.recommendation_models set created_at = created_at - make_interval(days => {0});
"""


async def test_models_follow_as_signals_ripen_without_anybody_swiping(shop: Shop) -> None:
    (visitor,) = await come(shop, [Person("192.0.2.1")])
    product = await shop.owner.fetchval("select id from public.products limit 1")
    await swipe(shop, [visitor], [product], "up")
    popularity = "select popularity from public.products where id = $1"
    seen = [await shop.owner.fetchval(popularity, product)]
    built = []
    for _ in range(6):
        await shop.owner.execute(PASS_DAYS.format(2))
        built.append(await housekeeping.refresh_model(shop.services))
        seen.append(await shop.owner.fetchval(popularity, product))
    assert built == [1, 1, 1, 1, 0, 0]
    assert seen[0] == seen[1] < seen[2] < seen[3] < seen[4] == seen[5] == seen[6]
