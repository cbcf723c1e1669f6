"""Rollups and visits follow from the rows they count, in whatever order these came, changed and went."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import pytest

from domain import ids
from domain.errors import Timeout
from services import rollups
from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop
from tests.http.test_impressions import FEEDBACK, ago, impression
from tests.http.test_impressions import record as record_impressions
from tests.ledger import awin, report

START = """
mutation ($input: StartSessionInput!) {
  startSession(input: $input) { accessToken refreshToken userErrors { message } }
}
"""
VIEW = """
mutation ($views: [ProductViewInput!]!) { recordProductViews(input: {views: $views}) { userErrors { message } } }
"""
EVENT = "mutation ($events: [EventInput!]!) { recordEvents(input: {events: $events}) { userErrors { message } } }"
CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { id redirectUrl } userErrors { code } }
}
"""
UNDO = "mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { userErrors { code } } }"
MERGE = "mutation ($token: String!) { mergeSession(input: {refreshToken: $token}) { swipes userErrors { code } } }"
ERASE = "select private.delete_person($1)"
HOUR, DAY = 3600, 24 * 3600


async def refresh(shop: Shop) -> int:
    """Computes all that is due, late days at once; returns how many days that was."""
    await shop.owner.execute(
        "update private.rollup_days_due set due_at = now() where day < (now() at time zone 'UTC')::date or is_postponed"
    )
    return len([day async for day in rollups.days(shop.services.database)])


async def let_today_be_over(shop: Shop) -> None:
    """For analysts, from the next refresh on."""
    await shop.owner.execute(
        "create or replace function private.first_unpublished_day() returns date language sql stable "
        "set search_path = pg_catalog, pg_temp as $$ select (now() at time zone 'UTC')::date + 1 $$"
    )


async def differing(shop: Shop) -> list[Any]:
    """The days of which rollups or visits are not what their rows say."""
    rows = await shop.owner.fetch("select d.day from private.rollup_days() d (day) where private.rollups_differ(d.day)")
    return [row["day"] for row in rows]


async def stored(shop: Shop) -> list[tuple[Any, ...]]:
    rows = await shop.owner.fetch("select * from private.rollups order by report, grouping_name, day, keys")
    return [tuple(row) for row in rows]


async def visitor(shop: Shop, **visit: str) -> Client:
    client = shop.client()
    payload = await client.do(START, input=visit)
    client.token, client.refresh_token = payload["accessToken"], payload["refreshToken"]
    return client


class Business:
    """People who do something at random; `chance` says who and what."""

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self.shop, self.chance = shop, chance
        self.people: list[Client] = []
        self.clicks: list[str] = []
        self.sales = 0

    async def step(self) -> None:
        acts: list[Callable[[], Awaitable[None]]] = [
            self.come, self.view, self.look, self.look, self.look, self.click, self.click, self.follow, self.sell,
            self.sell, self.sign_up, self.leave, self.withdraw, self.move, self.refresh,
        ]  # fmt: skip
        await self.chance.choice(acts)() if self.people else await self.come()

    async def come(self) -> None:
        campaign = self.chance.choice(["", "?utm_campaign=spring", "?utm_campaign=autumn"])
        page = self.chance.choice(["/", "/gifts/for-her", "https://aclue.example/blog"])
        self.people.append(
            await visitor(self.shop, landingPage=page + campaign, deviceType=self.chance.choice(["phone", "desktop"]))
        )

    async def view(self) -> None:
        who, age = self.chance.choice(self.people), self.chance.choice([0, 0, HOUR, 3 * DAY])
        product = self.chance.choice(await who.products(first=5))["id"]
        page = self.chance.choice(["/feed", "/search?q=x"])
        await who.ask(VIEW, views=[{"id": uuid7(age), "productId": product, "sourcePage": page}])
        await who.ask(EVENT, events=[{"id": uuid7(age), "name": "seen", "page": "/quiz"}])

    async def look(self) -> None:
        """Impressions, some of them late, and what follows from them."""
        who = self.chance.choice(self.people)
        nodes = (await who.feed(first=3))["nodes"]
        for position, node in enumerate(nodes, start=1):
            age = self.chance.choice([0, 0, HOUR, 2 * DAY, 5 * DAY])
            if self.chance.random() < 0.8:
                await record_impressions(who, impression(node, position, age=age))
            if self.chance.random() < 0.5:
                done = await who.swipe(
                    node["product"]["id"], self.chance.choice(["LEFT", "RIGHT", "UP"]), recommendationId=node["id"]
                )
                if self.chance.random() < 0.3:
                    await who.do(UNDO, id=done["swipe"]["id"])
            elif self.chance.random() < 0.3:
                await who.ask(FEEDBACK, input={"recommendationId": node["id"], "kind": "PURCHASED"})

    async def click(self) -> None:
        who = self.chance.choice(self.people)
        node = (await who.feed(first=1))["nodes"][0]
        wheres = [{}, {"recommendationId": node["id"]}, {"campaign": "mail"}, {"sourcePage": "/wish/7"}]
        more = self.chance.choice(wheres)
        made = await who.do(CLICK, input={"productId": node["product"]["id"], **more})
        self.clicks.append(made["click"]["redirectUrl"])

    async def follow(self) -> None:
        if self.clicks:
            path = "/r/" + self.chance.choice(self.clicks).rsplit("/", 1)[1]
            await self.shop.http.get(path, headers={"user-agent": "Mozilla/5.0 (iPhone)"})

    async def sell(self) -> None:
        key = await self.shop.owner.fetchval("select id from public.affiliate_clicks order by random() limit 1")
        reference = f"A{self.chance.randrange(self.sales + 1)}"
        self.sales += 1
        status = self.chance.choice(["pending", "approved", "declined"])
        await report(
            self.shop.services,
            awin(
                reference,
                status,
                click=key,
                paid=status == "approved" and self.chance.random() < 0.5,
                transactionDate=ago(self.chance.choice([0, 2 * DAY]))[:19],
                validationDate=None if status == "pending" else ago(0)[:19],
            ),
        )

    async def sign_up(self) -> None:
        place = self.chance.randrange(len(self.people))
        before = self.people[place]
        account = await self.shop.account()
        await account.ask(MERGE, token=before.refresh_token)
        self.people[place] = account

    async def leave(self) -> None:
        who = self.people.pop(self.chance.randrange(len(self.people)))
        await self.shop.owner.fetchval(ERASE, ids.decode_as("Profile", await who.my_id()))

    async def withdraw(self) -> None:
        who = self.chance.choice(self.people)
        purpose = self.chance.choice(["ANALYTICS", "PERSONALISATION"])
        await who.do(
            f"mutation {{ updateConsents(input: {{consents: [{{purpose: {purpose}, granted: false}}], "
            'policyVersion: "1"}) { userErrors { code } } }'
        )

    async def move(self) -> None:
        """Products get another category."""
        await self.shop.owner.execute(
            "update public.products set category_id = (select id from public.categories order by random() limit 1) "
            "where id in (select id from public.products order by random() limit 5)"
        )

    async def refresh(self) -> None:
        await refresh(self.shop)


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize("seed", range(2))
async def test_rollups_and_visits_equal_a_recount_whatever_happened(shop: Shop, seed: int) -> None:
    business = Business(shop, random.Random(seed))
    for _ in range(60):
        await business.step()
    await refresh(shop)
    assert await differing(shop) == []
    counted = await stored(shop)
    assert {row[0] for row in counted} == {"funnel", "recommendations"}
    assert await refresh(shop) == 0, "nothing is left to do"

    await shop.owner.execute("truncate private.rollups")
    assert await differing(shop), "the check sees what is missing"
    await shop.owner.execute("select private.note_all_rollup_days()")
    await refresh(shop)
    assert await stored(shop) == counted


@pytest.mark.usefixtures("own_accounts")
async def test_a_visit_is_followed_through_the_sign_in_to_the_order(shop: Shop) -> None:
    anna = await visitor(
        shop,
        landingPage="https://aclue.example/gifts?utm_source=paper&utm_medium=print&utm_campaign=spring%00",
        deviceType="Phone",
    )
    product = (await anna.products(first=1))[0]["id"]
    await anna.ask(EVENT, events=[{"id": uuid7(), "name": "seen", "page": "/gifts"}])
    await anna.swipe(product)
    account = await shop.account("anna@people.example")
    await account.do(MERGE, token=anna.refresh_token)
    await account.ask(VIEW, views=[{"id": uuid7(), "productId": product, "sourcePage": "/list"}])
    await account.swipe(product, "UP")
    await account.do(CLICK, input={"productId": product})
    click = await shop.owner.fetchval("select id from public.affiliate_clicks")
    await report(shop.services, awin("A1", "approved", click=click))
    await refresh(shop)

    visit = await shop.owner.fetchrow("select * from public.session_analytics")
    assert visit is not None
    assert {name: visit[name] for name in ("device_class", "campaign", "utm_source", "utm_medium")} == {
        "device_class": "mobile",
        "campaign": "spring",
        "utm_source": "paper",
        "utm_medium": "print",
    }
    assert (visit["pages"], visit["last_page"], visit["swipes"], visit["clicks"]) == (2, "/list", 2, 1)
    assert visit["converted_at"] == await shop.owner.fetchval("select ordered_at from public.conversions")
    assert visit["ended_at"] == await shop.owner.fetchval("select click_timestamp from public.affiliate_clicks")
    sale = await shop.owner.fetchrow("select campaign, device_class from public.conversion_clicks")
    assert tuple(sale or ()) == ("spring", "bot"), "the visit's campaign, and the device of the request for the click"


async def test_what_happens_during_a_refresh_is_due_again(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    await refresh(shop)
    async with shop.owner.transaction():
        assert await shop.owner.fetchval("select private.rollup_day_due(null)") is None
        await shop.owner.fetchval("select pg_advisory_xact_lock(hashtext('aclue.refresh_rollups'))")
        await anna.swipe(product)
        assert await refresh(shop) == 0, "another process is at it"
    assert await refresh(shop) == 1
    assert await differing(shop) == []


async def test_a_day_that_changes_all_the_time_keeps_no_other_from_its_turn(shop: Shop) -> None:
    await refresh(shop)
    await shop.owner.execute(
        "insert into private.rollup_days_due (day) select current_date - n from unnest('{0,3}'::int[]) n"
    )
    computed = []
    async for day in rollups.days(shop.services.database):
        computed.append(day)
        await shop.owner.execute("insert into private.rollup_days_due (day) values (current_date)")
        assert len(computed) < 5, "today again"
    today = await shop.owner.fetchval("select current_date")
    assert computed[:2] == [today, today - timedelta(days=3)]


async def test_purged_partitions_leave_the_figures(shop: Shop) -> None:
    """What was dropped with its partition, without a trigger, is not counted any more."""
    anna = await shop.anonymous()
    await anna.feed(first=1)
    person = ids.decode_as("Profile", await anna.my_id())
    await shop.owner.execute("select private.ensure_partition('product_views', now() - interval '400 days')")
    await shop.owner.execute(
        """
        insert into public.product_views (user_id, id, product_id)
        select $1, overlay(private.uuid_v7()::text placing
            left(private.uuid_v7_floor(now() - interval '400 days')::text, 13) from 1)::uuid, id
        from public.products limit 1
        """,
        person,
    )
    await refresh(shop)
    count = "select count(*) from private.rollups where day < now() - interval '300 days'"
    assert await shop.owner.fetchval(count) > 0
    assert await shop.owner.fetchval("select private.purge_partitioned('product_views', 100, 1000)") == 1
    await refresh(shop)
    assert await shop.owner.fetchval(count) == 0


async def test_late_days_wait_so_that_many_late_rows_are_one_computation(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    await refresh(shop)
    for _ in range(3):
        await anna.ask(VIEW, views=[{"id": uuid7(3 * DAY), "productId": product}])
    assert await rollups.refresh(shop.services) == 0, "not yet"
    waits = "select extract(epoch from due_at - now()) from private.rollup_days_due where day < current_date - 1"
    rows = await shop.owner.fetch(waits)
    assert len(rows) == 3
    assert all(0 < row[0] <= 1200 for row in rows)
    assert await refresh(shop) == 1
    assert await differing(shop) == []


async def test_a_person_with_many_visits_and_acts_is_counted_act_by_act(shop: Shop) -> None:
    """Each act is read once and looks up its visit; nothing is done for each pair of the two."""
    anna = await visitor(shop, landingPage="/")
    await anna.ask(EVENT, events=[{"id": uuid7(), "name": "seen", "page": "/quiz"}])
    person = ids.decode_as("Profile", await anna.my_id())
    visits, acts = 300, 2000
    await shop.owner.execute(
        """
        with sessions as (
          insert into public.user_sessions (user_id, id, refresh_token_hash, expires_at, networks, amr)
          select s.user_id, gen_random_uuid(), sha256(n::text::bytea), s.expires_at, s.networks, s.amr
          from public.user_sessions s, generate_series(1, $2::int) n where s.user_id = $1 returning user_id, id)
        insert into public.session_analytics (user_id, session_id) select user_id, id from sessions
        """,
        person,
        visits,
    )
    await shop.owner.execute(
        "insert into public.product_views (user_id, id, product_id) "
        "select $1, private.uuid_v7(), (select id from public.products limit 1) from generate_series(1, $2::int)",
        person,
        acts,
    )
    await shop.owner.execute("analyze public.session_analytics, public.product_views")
    today = await shop.owner.fetchval("select (now() at time zone 'UTC')::date")
    async with shop.owner.transaction():
        before = await _rows_read(shop)
        await shop.owner.fetch("select * from private.visits_of($1)", today)
        await shop.owner.fetch("select * from private.funnel_facts($1)", today)
        assert await _rows_read(shop) - before < 20 * (visits + acts)
    await refresh(shop)
    assert await differing(shop) == []


async def _rows_read(shop: Shop) -> int:
    """Rows of visits and views that this transaction has read."""
    read: int = await shop.owner.fetchval(
        "select sum(seq_tup_read + idx_tup_fetch) from pg_stat_xact_user_tables "
        "where relname = 'session_analytics' or relname like 'product_views%'"
    )
    return read


async def test_a_day_that_fails_keeps_no_other_from_its_turn(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    await refresh(shop)
    await shop.owner.execute(
        """
        create function private.fail_today() returns trigger language plpgsql
        set search_path = pg_catalog, pg_temp
        as $$ begin
          if new.day = (now() at time zone 'UTC')::date then raise query_canceled; end if;
          return new;
        end $$;
        create trigger fail_today before insert on private.rollups for each row execute function private.fail_today()
        """
    )
    await anna.ask(VIEW, views=[{"id": uuid7(3 * DAY), "productId": product}])
    await anna.ask(VIEW, views=[{"id": uuid7(), "productId": product}])
    await shop.owner.execute("update private.rollup_days_due set due_at = now() where day < current_date")
    with pytest.raises(Timeout):
        await rollups.refresh(shop.services)
    today: date = await shop.owner.fetchval("select (now() at time zone 'UTC')::date")
    due = "select day from private.rollup_days_due where is_postponed or due_at <= now() group by 1"
    assert [row["day"] for row in await shop.owner.fetch(due)] == [today], "the older day had its turn"

    await anna.ask(VIEW, views=[{"id": uuid7(), "productId": product}])
    assert await rollups.refresh(shop.services) == 0, "not tried again at once, though more happens"

    await shop.owner.execute("drop trigger fail_today on private.rollups; drop function private.fail_today()")
    assert await refresh(shop) == 1, "an hour later"
    assert await differing(shop) == []
