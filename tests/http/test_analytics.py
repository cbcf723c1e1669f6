"""The funnel, revenue and recommendation performance, against what plain SQL counts."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from db.claims import SERVICE
from resolvers import reconciliation
from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop
from tests.http.test_impressions import impression, record
from tests.integration.test_rollups import CLICK, VIEW, let_today_be_over, refresh, visitor
from tests.ledger import awin, report

STEPS = ("landing", "view", "impression", "swipe", "like", "click", "redirect", "order", "approved", "paid")
FUNNEL = f"""
query ($range: DayRange!, $by: [AnalyticsDimension!]! = [], $first: Int! = 100, $skip: Int! = 0) {{
  funnel(range: $range, by: $by, first: $first, skip: $skip) {{
    day source device campaign network retailer category
    {" ".join(f"{step} {{ events people isSuppressed }}" for step in STEPS)}
  }}
}}
"""
FIGURES = ("expected", "tracked", "pending", "approved", "declined", "reversed", "paid", "clawback")
_MONEY = " ".join(f"{figure} {{ amount currencyCode }}" for figure in FIGURES)
REVENUE = f"""
query ($range: DayRange!, $by: [AnalyticsDimension!]! = [], $asOf: DateTime, $knownAt: DateTime, $first: Int! = 100) {{
  revenue(range: $range, by: $by, asOf: $asOf, knownAt: $knownAt, first: $first) {{
    day source device campaign network retailer category currency clicks isSuppressed orders
    figures {{ {_MONEY} }} reporting {{ {_MONEY} }}
  }}
}}
"""
PERFORMANCE = """
query ($range: DayRange!, $by: [PerformanceDimension!]! = []) {
  recommendationPerformance(range: $range, by: $by) {
    day context model arm shown { events people isSuppressed } swiped { events isSuppressed } liked { events }
    clicked { events isSuppressed } bought { events } clickThroughRate { value low high }
  }
}
"""


def days(first: int = -7, last: int = 1) -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"firstDay": f"{today + timedelta(first)}", "lastDay": f"{today + timedelta(last)}"}


def staff(shop: Shop, role: str) -> Client:
    return shop.client(shop.token(uuid.uuid4(), app_metadata={"role": role}))


async def crowd(shop: Shop, numbers: dict[str, int], *, is_over: bool = True) -> None:
    """So many people per campaign come, look at two things, like one, dislike one, and click on the first."""
    for campaign, number in numbers.items():
        for _ in range(number):
            who = await visitor(shop, landingPage="/gifts", deviceType="phone", campaign=campaign)
            first, second = (await who.feed(first=2))["nodes"]
            await record(who, impression(first, 1), impression(second, 2))
            await who.ask(VIEW, views=[{"id": uuid7(), "productId": first["product"]["id"], "sourcePage": "/feed"}])
            await who.swipe(first["product"]["id"], "UP", recommendationId=first["id"])
            await who.swipe(second["product"]["id"], "LEFT", recommendationId=second["id"])
            made = await who.do(CLICK, input={"productId": first["product"]["id"], "recommendationId": first["id"]})
            await shop.http.get(
                "/r/" + made["click"]["redirectUrl"].rsplit("/", 1)[1], headers={"user-agent": "iPhone"}
            )
    if is_over:
        await let_today_be_over(shop)
    await refresh(shop)


def counts(row: dict[str, Any]) -> dict[str, int | None]:
    """The steps of a row that are not zero."""
    return {step: row[step]["events"] for step in STEPS if row[step]["events"] != 0}


async def test_the_funnel_equals_plain_sql(shop: Shop) -> None:
    await crowd(shop, {"spring": 5, "autumn": 2})
    keys = [row["id"] for row in await shop.owner.fetch("select id from public.affiliate_clicks order by id")]
    now = datetime.now(UTC).isoformat()[:19]
    await report(
        shop.services,
        awin("A1", click=keys[0], transactionDate=now),
        awin("A2", "approved", click=keys[1], transactionDate=now, validationDate=now),
        awin("A3", "approved", click=keys[2], paid=True, transactionDate=now, validationDate=now),
    )
    await refresh(shop)

    admin = staff(shop, "admin")
    (total,) = (await admin.ask(FUNNEL, range=days()))["funnel"]
    plain = await shop.owner.fetchrow(
        """
        select (select count(*) from public.session_analytics) as landing,
          (select count(*) from public.product_views) as view, (select count(*) from public.impressions) as impression,
          (select count(*) from public.swipes where undone_at is null) as swipe,
          (select count(*) from public.swipes where undone_at is null and direction in ('right', 'up')) as like,
          (select count(*) from public.affiliate_clicks) as click,
          (select count(*) from public.affiliate_redirects) as redirect,
          (select count(*) from public.conversions) as order,
          (select count(*) from public.conversions where status in ('approved', 'paid')) as approved,
          (select count(*) from public.conversions where status = 'paid') as paid
        """
    )
    assert plain is not None
    assert counts(total) == dict(plain) == {
        "landing": 7, "view": 7, "impression": 14, "swipe": 14, "like": 7, "click": 7, "redirect": 7,
        "order": 3, "approved": 2, "paid": 1,
    }  # fmt: skip

    by_campaign = (await admin.ask(FUNNEL, range=days(0, 0), by=["CAMPAIGN"]))["funnel"]
    assert [(row["campaign"], row["impression"], row["order"]["events"]) for row in by_campaign] == [
        ("other", {"events": 4, "people": 2, "isSuppressed": False}, 0),
        ("spring", {"events": 10, "people": 5, "isSuppressed": False}, 3),
    ]
    by_source = (await admin.ask(FUNNEL, range=days(), by=["SOURCE", "DAY"]))["funnel"]
    assert [(row["day"], row["source"], row["device"], counts(row)) for row in by_source] == [
        (f"{datetime.now(UTC).date()}", source, None, found)
        for source, found in (
            ("page:/feed", {"view": 7}),
            ("page:/gifts", {"landing": 7}),
            (
                "recommendation:discover",
                {
                    "impression": 14,
                    "swipe": 14,
                    "like": 7,
                    "click": 7,
                    "redirect": 7,
                    "order": 3,
                    "approved": 2,
                    "paid": 1,
                },
            ),
        )
    ]
    for by in (["RETAILER", "CATEGORY"], ["NETWORK", "RETAILER"], ["DEVICE", "RETAILER"], ["CATEGORY"]):
        rows = (await admin.ask(FUNNEL, range=days(), by=by))["funnel"]
        assert {step: sum(row[step]["events"] for row in rows) for step in STEPS} == dict(plain), by
    clicked = await shop.owner.fetch(
        "select r.slug, c.affiliate_network as network, count(*)::int from public.affiliate_clicks c "
        "join public.retailers r on r.id = c.retailer_id group by 1, 2"
    )
    by_shop = (await admin.ask(FUNNEL, range=days(), by=["RETAILER"]))["funnel"]
    assert {(row["retailer"], row["network"], row["click"]["events"]) for row in by_shop if row["retailer"]} == {
        tuple(row) for row in clicked
    }
    assert (await admin.ask(FUNNEL, range=days(-9, -8)))["funnel"] == []


async def test_pages_of_groups_are_sorted_and_bounded(shop: Shop) -> None:
    for device in ("tablet", "phone", "desktop"):
        await visitor(shop, deviceType=device)
    await refresh(shop)
    admin = staff(shop, "admin")
    pages = [
        [row["device"] for row in (await admin.ask(FUNNEL, range=days(), by=["DEVICE"], first=2, skip=skip))["funnel"]]
        for skip in (0, 2, 4)
    ]
    assert pages == [["desktop", "mobile"], ["tablet"], []]


async def test_performance_equals_the_outcomes_of_impressions(shop: Shop) -> None:
    await crowd(shop, {"spring": 6})
    for who in ("finance", "analyst", "admin"):
        (row,) = (await staff(shop, who).ask(PERFORMANCE, range=days(0, 0), by=["CONTEXT"]))[
            "recommendationPerformance"
        ]
        assert row["context"] == "DISCOVER"
        many, few = (10, 5) if who == "analyst" else (12, 6)  # for analysts rounded
        assert {step: row[step]["events"] for step in ("shown", "swiped", "liked", "clicked", "bought")} == {
            "shown": many, "swiped": many, "liked": few, "clicked": few, "bought": 0,
        }  # fmt: skip
        assert row["shown"]["people"] == few
        assert row["clickThroughRate"] == {
            "value": 0.5,
            "low": pytest.approx(0.2366 if who == "analyst" else 0.2538, abs=1e-4),
            "high": pytest.approx(0.7634 if who == "analyst" else 0.7462, abs=1e-4),
        }
    by_all = await staff(shop, "admin").ask(PERFORMANCE, range=days(), by=["CONTEXT", "MODEL", "ARM", "DAY"])
    version = await shop.owner.fetchval("select max(version) from public.recommendation_models")
    assert [(row["model"], row["arm"]) for row in by_all["recommendationPerformance"]] == [(version, 0)]


async def test_analysts_learn_nothing_of_fewer_than_five_people(shop: Shop) -> None:
    """A small group is withheld, with the smallest of the others, so that no difference tells of it either."""
    await crowd(shop, {"few": 2, "some": 6, "many": 8})
    analyst, finance = staff(shop, "analyst"), staff(shop, "finance")
    (total,) = (await analyst.ask(FUNNEL, range=days(0, 0)))["funnel"]
    assert total["click"] == {"events": 15, "people": 15, "isSuppressed": False}
    rows = {row["campaign"]: row for row in (await analyst.ask(FUNNEL, range=days(0, 0), by=["CAMPAIGN"]))["funnel"]}
    hidden = {"events": None, "people": None, "isSuppressed": True}
    assert {campaign: row["click"] for campaign, row in rows.items()} == {
        "other": hidden,
        "many": {"events": 10, "people": 10, "isSuppressed": False},
        "some": hidden,
    }
    everything = (await finance.ask(FUNNEL, range=days(), by=["CAMPAIGN"]))["funnel"]
    assert [row["click"]["events"] for row in everything] == [8, 2, 6]

    assert await analyst.code(FUNNEL, range=days(), by=["CAMPAIGN", "DEVICE"]) == "FORBIDDEN"
    assert await analyst.code(PERFORMANCE, range=days(), by=["MODEL", "ARM"]) == "FORBIDDEN"
    clicks = (await analyst.ask(REVENUE, range=days(), by=["CATEGORY"]))["revenue"]
    assert clicks
    assert all((row["clicks"] is None) == row["isSuppressed"] for row in clicks)
    assert (await analyst.ask(REVENUE, range=days(), by=["CATEGORY", "RETAILER"]))["revenue"] == []

    functions = await as_analyst(shop, "select * from private.rollup_counts('funnel', 'campaign', $1, $1, true)")
    suppressed = [
        (people, is_suppressed)
        for row in functions
        for people, is_suppressed in zip(row["people"], row["is_suppressed"], strict=True)
    ]
    assert any(is_suppressed for _, is_suppressed in suppressed)
    assert all((people is None) == is_suppressed for people, is_suppressed in suppressed), "in the database, too"


async def test_nobody_is_seen_to_act_by_asking_again_and_again(shop: Shop) -> None:
    """Of today analysts see orders alone; what changes late by a few people is lost in rounding."""
    analyst = staff(shop, "analyst")

    async def seen() -> list[Any]:
        return [
            (await analyst.ask(document, range=days(), by=by))[field]
            for document, field, groups in (
                (FUNNEL, "funnel", ([], ["DAY"], ["CAMPAIGN"], ["RETAILER"])),
                (PERFORMANCE, "recommendationPerformance", ([], ["CONTEXT"])),
                (REVENUE, "revenue", ([], ["RETAILER"])),
            )
            for by in groups
        ]

    nothing = await seen()
    for number in (5, 1):
        await crowd(shop, {"spring": number}, is_over=False)
        assert await seen() == nothing
    click = await shop.owner.fetchval("select id from public.affiliate_clicks limit 1")
    await report(shop.services, awin("A1", click=click, transactionDate=datetime.now(UTC).isoformat()[:19]))
    await refresh(shop)
    (row,) = (await analyst.ask(FUNNEL, range=days(0, 0)))["funnel"]
    assert row["order"] == {"events": 1, "people": 1, "isSuppressed": False}, "money is never withheld"
    assert row["click"] == {"events": None, "people": None, "isSuppressed": True}

    await shop.owner.execute("update private.rollup_days_due set due_at = now()")
    await let_today_be_over(shop)
    await refresh(shop)
    assert await seen() != nothing
    for _ in range(2):  # six people, and seven
        (row,) = (await analyst.ask(FUNNEL, range=days(0, 0)))["funnel"]
        assert row["click"] == {"events": 5, "people": 5, "isSuppressed": False}
        await crowd(shop, {"spring": 1})


async def as_analyst(shop: Shop, query: str) -> list[asyncpg.Record]:
    """Rows of a query about today, as the database answers an analyst."""
    claims = {"sub": str(uuid.uuid4()), "role": "authenticated", "app_metadata": {"role": "analyst"}}
    async with shop.owner.transaction():
        today = await shop.owner.fetchval("select (now() at time zone 'UTC')::date")
        await shop.owner.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
        return await shop.owner.fetch(query, today)


async def test_names_of_few_people_are_not_kept(shop: Shop) -> None:
    """Somebody's own link, or a name he makes up, is none of an analyst's business; many events do not change that."""
    await crowd(shop, {"spring": 5})
    for number in range(4):
        who = await visitor(shop, landingPage=f"/for-anna-{number}", campaign="birthday of anna")
        for _ in range(10):
            product = (await who.products(first=1))[0]["id"]
            await who.ask(VIEW, views=[{"id": uuid7(), "productId": product, "sourcePage": f"/for-anna-{number}"}])
    await refresh(shop)
    for role in ("analyst", "admin"):
        by_campaign = await staff(shop, role).ask(FUNNEL, range=days(), by=["CAMPAIGN"])
        assert [row["campaign"] for row in by_campaign["funnel"]] == ["other", "spring"]
        by_source = await staff(shop, role).ask(FUNNEL, range=days(), by=["SOURCE"])
        sources = [row["source"] for row in by_source["funnel"]]
        assert sources == ["other", "page:/feed", "page:/gifts", "recommendation:discover"]


async def test_analysts_learn_nothing_of_the_click_behind_an_order(shop: Shop) -> None:
    await crowd(shop, {"spring": 5})
    click = await shop.owner.fetchval("select id from public.affiliate_clicks limit 1")
    await report(shop.services, awin("A1", click=click, transactionDate=datetime.now(UTC).isoformat()[:19]))
    await refresh(shop)
    analyst, finance = staff(shop, "analyst"), staff(shop, "finance")
    for dimension in ("SOURCE", "DEVICE", "CAMPAIGN"):
        assert await analyst.code(REVENUE, range=days(), by=[dimension]) == "FORBIDDEN"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="analysts group revenue by"):
            await as_analyst(
                shop, f"select * from private.revenue('{{day,{dimension.lower()}}}', $1, $1, null, null, 'GBP')"
            )
        assert [row["orders"] for row in (await finance.ask(REVENUE, range=days(), by=[dimension]))["revenue"]] == [1]
        (row,) = (
            row
            for row in (await analyst.ask(FUNNEL, range=days(), by=[dimension]))["funnel"]
            if row["order"]["isSuppressed"]
        )
        assert row["order"] == {"events": None, "people": None, "isSuppressed": True}
    for dimensions in ([], ["DAY"], ["RETAILER"], ["NETWORK"], ["CATEGORY"]):
        rows = (await analyst.ask(REVENUE, range=days(), by=dimensions))["revenue"]
        assert sum(row["orders"] for row in rows) == 1
        rows = (await analyst.ask(FUNNEL, range=days(), by=dimensions))["funnel"]
        assert sum(row["order"]["events"] for row in rows) == 1


async def test_no_combination_of_published_counts_tells_of_a_small_group(shop: Shop) -> None:
    """Over days, and over shops of a network: what is left of a larger count that is published is 5 people or more."""
    retailers = await shop.owner.fetch(
        "select r.id, r.affiliate_network as network from public.retailers r where exists "
        "(select from public.products p where p.retailer_id = r.id) order by 1"
    )
    await shop.owner.execute("update public.retailers set affiliate_network = 'awin' where id = $1", retailers[0]["id"])
    for day in range(4):
        for place, retailer in enumerate(retailers):
            await shop.owner.execute(
                """
                with people as (
                  insert into public.profiles (is_anonymous) select true from generate_series(1, $1::int) returning id)
                insert into public.affiliate_clicks (user_id, product_id, retailer_id, affiliate_network, affiliate_url,
                  price_minor, currency, click_timestamp)
                select people.id, p.id, r.id, r.affiliate_network, 'https://shop.example/', 1, 'GBP',
                  now() - make_interval(days => $2)
                from people, public.retailers r
                cross join lateral (select id from public.products order by id limit 1) p where r.id = $3
                """,
                [1, 9, 6, 3, 12][(place * 2 + day) % 5],
                day,
                retailer["id"],
            )
    await let_today_be_over(shop)
    await refresh(shop)
    rows = await shop.owner.fetch(
        "select day, grouping_name as name, keys, events[6] as clicks, people[6] as people, published[6] as published "
        "from private.rollups where report = 'funnel' and events[6] > 0"
    )
    assert rows
    totals = {row["day"]: row for row in rows if row["name"] == ""}
    networks = {(row["day"], row["keys"][0]): row for row in rows if row["name"] == "network"}
    withheld: defaultdict[Any, list[int]] = defaultdict(list)
    for row in rows:
        if row["published"] is not None:
            assert row["published"] % 5 == 0
            assert abs(row["published"] - row["clicks"]) < 3
            assert row["people"] >= 5
        if row["name"] in ("network", "device", "campaign", "source", "category"):
            parents = [("total", row["name"], row["day"])]
        elif row["name"] == "network,retailer":
            parents = [("network", row["day"], row["keys"][0])]
            if networks[row["day"], row["keys"][0]]["published"] is None:
                assert row["published"] is None, "the shops of a withheld network would add up to it"
                continue
        elif row["name"] == "":
            continue
        else:
            assert row["published"] is None, "of two dimensions"
            continue
        if row["published"] is None:
            for parent in parents:
                withheld[parent].append(row["people"])
    assert any(min(people) < 5 for people in withheld.values())
    for parent, people in withheld.items():
        assert sum(people) >= 5, (parent, people)
    assert all(row["published"] for row in totals.values())


async def test_revenue_equals_the_reconciliation(shop: Shop) -> None:
    await crowd(shop, {"spring": 5})
    keys = [row["id"] for row in await shop.owner.fetch("select id from public.affiliate_clicks order by id")]
    await report(
        shop.services,
        awin("A1", click=keys[0]),
        awin("A2", "approved", click=keys[1], commission="2.35"),
        awin("A3", "approved", click=keys[2], paid=True, commission="7.01"),
        awin("A4", "declined", click=keys[3]),
        awin("A5", commission="3.33", currency="EUR"),
    )
    await report(shop.services, awin("A3", "deleted", validated="2026-08-20T09:00:00", commission="7.01"))
    await refresh(shop)
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        reconciled = (await reconciliation.report(session, None))["currencies"]

    july = {"firstDay": "2026-07-01", "lastDay": "2026-07-31"}
    finance = staff(shop, "finance")
    for by in ([], ["DAY"], ["SOURCE", "DEVICE"], ["CAMPAIGN", "CATEGORY"], ["NETWORK", "RETAILER", "DAY"]):
        rows = (await finance.ask(REVENUE, range=july, by=by))["revenue"]
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            for figure in FIGURES:
                assert row["figures"][figure]["currencyCode"] == row["currency"]
                sums[row["currency"]][figure] += Decimal(row["figures"][figure]["amount"])  # type: ignore[assignment]
        assert {code: {f: f"{found[f]:.2f}" for f in FIGURES} for code, found in sums.items()} == {
            code: {f: found[f] for f in FIGURES} for code, found in reconciled.items()
        }, by
    by_source = (await finance.ask(REVENUE, range=july, by=["SOURCE"]))["revenue"]
    assert [(row["source"], row["currency"], row["orders"]) for row in by_source] == [
        ("recommendation:discover", "GBP", 4),
        (None, "EUR", 1),
    ]
    assert by_source[0]["reporting"] == by_source[0]["figures"], "the reporting currency"
    assert by_source[1]["reporting"] is None, "without a rate"


async def test_revenue_as_of_a_time_and_as_known_at_a_time(shop: Shop) -> None:
    await report(shop.services, awin("A1", commission="5.00"))
    known: datetime = await shop.owner.fetchval("select clock_timestamp()")
    await report(shop.services, awin("A1", "approved", commission="4.00", validated="2026-07-20T09:00:00"))
    july = {"firstDay": "2026-07-01", "lastDay": "2026-07-31"}
    admin = staff(shop, "admin")

    async def figures(**when: str) -> dict[str, str]:
        (row,) = (await admin.ask(REVENUE, range=july, **when))["revenue"]
        return {f: row["figures"][f]["amount"] for f in FIGURES if row["figures"][f]["amount"] != "0.00"}

    assert await figures() == {"approved": "4.00"}
    assert await figures(asOf="2026-07-10T00:00:00Z") == {"pending": "5.00"}
    assert await figures(knownAt=known.isoformat()) == {"pending": "5.00"}
    assert (await admin.ask(REVENUE, range=july, asOf="2026-07-01T00:00:00Z"))["revenue"] == [], "before the order"


async def test_revenue_is_valued_at_the_rate_that_was_known(shop: Shop) -> None:
    await report(shop.services, awin("A1", commission="3.00", currency="USD"))
    july = {"firstDay": "2026-07-01", "lastDay": "2026-07-31"}
    known: list[str] = []
    for rate in (None, 0.5, 0.6):
        if rate is not None:
            await shop.owner.execute(
                "insert into public.exchange_rates (rate_on, currency, reporting_currency, rate, source)"
                " values ('2026-07-01', 'USD', $1, $2::float8, 'source ' || $2::float8)",
                shop.services.settings.default_currency,
                rate,
            )
        known.append((await shop.owner.fetchval("select clock_timestamp()")).isoformat())

    async def pending(**when: str) -> str | None:
        (row,) = (await staff(shop, "finance").ask(REVENUE, range=july, **when))["revenue"]
        return row["reporting"] and row["reporting"]["pending"]["amount"]

    assert [await pending(knownAt=at) for at in known] == [None, "1.50", "1.80"]
    assert await pending() == "1.80"
    assert await pending(asOf="2026-07-31T00:00:00Z") == "1.80"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"range": days(0, -1)}, "BAD_USER_INPUT"),
        ({"range": days(-401, 0)}, "BAD_USER_INPUT"),
        ({"range": {"firstDay": "2026-02-30", "lastDay": "2026-03-01"}}, "BAD_USER_INPUT"),
        ({"by": ["DAY", "DAY"]}, "BAD_USER_INPUT"),
        ({"by": ["SOURCE", "DEVICE", "CAMPAIGN"]}, "BAD_USER_INPUT"),
        ({"by": ["WEATHER"]}, "BAD_USER_INPUT"),
        ({"first": 0}, "BAD_USER_INPUT"),
        ({"first": 501}, "BAD_USER_INPUT"),
    ],
)
async def test_what_cannot_be_asked_is_refused(shop: Shop, given: dict[str, Any], code: str) -> None:
    arguments = "($range: DayRange!, $by: [AnalyticsDimension!]! = [], $first: Int! = 1)"
    for field in ("funnel", "revenue"):
        document = f"query {arguments} {{ {field}(range: $range, by: $by, first: $first) {{ day }} }}"
        assert await staff(shop, "admin").code(document, **{"range": days(), **given}) == code


async def test_only_staff_reads_figures(shop: Shop) -> None:
    anna = await shop.anonymous()
    for document in (FUNNEL, REVENUE, PERFORMANCE):
        assert await anna.code(document, range=days()) == "FORBIDDEN"
        assert await shop.client().code(document, range=days()) in ("UNAUTHENTICATED", "FORBIDDEN")
