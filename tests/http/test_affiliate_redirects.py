"""What is counted of those who follow a link, and where it leads when its offer is gone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import structlog

from domain import affiliate, ids
from resolvers import affiliate_clicks
from tests import bases
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_affiliate_clicks import click, sold_by
from tests.http.test_gift_links import make, visit

PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
HITS = "select * from public.affiliate_redirects order by redirected_at, id"
COUNTED = "select count(*) from public.affiliate_redirects where is_counted"
HOURS_PASS = """
update public.affiliate_redirects
set redirected_at = redirected_at - $1 * interval '1 hour', visited_hour = visited_hour - $1 * interval '1 hour'
where visited_hour = (select max(visited_hour) from public.affiliate_redirects)
"""
CONSENT = """
mutation {
  updateConsents(input: {consents: [{purpose: ANALYTICS, granted: false}], policyVersion: "1"}) { userErrors { code } }
}
"""
BOTS = [
    "WhatsApp/2.24.20.89 A",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
]
AHEAD = [
    {"sec-purpose": "prefetch;prerender"},
    {"purpose": "prefetch"},
    {"x-moz": "prefetch"},
    {"x-purpose": "preview"},
]


async def link_of(client: Client, product: str, **more: Any) -> str:
    """The path of a new tracked link."""
    return urlsplit((await click(client, product, **more))["redirectUrl"]).path


async def follow(http: httpx.AsyncClient, path: str, agent: str = DESK, method: str = "GET", **headers: str) -> str:
    answer = await http.request(method, path, headers={"user-agent": agent, **headers})
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    return answer.headers["location"]


def visitor_from(shop: Shop, address: str) -> httpx.AsyncClient:
    app = shop.http._transport.app  # type: ignore[attr-defined]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://shop")


async def test_hits_count_once_per_link_visitor_and_hour(shop: Shop) -> None:
    anna = await shop.anonymous()
    first, second = [await link_of(anna, await sold_by(shop, name)) for name in ("north-shop", "south-shop")]
    for path, agent in ((first, PHONE), (first, PHONE), (first, DESK), (second, PHONE)):
        await follow(shop.http, path, agent)
    hits = await shop.owner.fetch(HITS)
    assert [row["device_class"] for row in hits] == ["mobile", "desktop", "mobile"]
    assert {len(row["visitor_hash"]) for row in hits} == {16}
    await shop.owner.execute(HOURS_PASS, 1)
    await follow(shop.http, first, PHONE)
    await follow(shop.http, first, PHONE)
    assert await shop.owner.fetchval(COUNTED) == 4


async def test_fifty_requests_at_once_are_one_hit(shop: Shop) -> None:
    path = await link_of(await shop.anonymous(), await sold_by(shop, "north-shop"))
    assert len(set(await asyncio.gather(*(follow(shop.http, path) for _ in range(50))))) == 1
    per_hour = await shop.owner.fetch("select count(*) from public.affiliate_redirects group by visited_hour")
    assert {row[0] for row in per_hour} == {1}


async def test_who_is_no_person_is_redirected_and_not_counted_with_the_reason(shop: Shop) -> None:
    path = await link_of(await shop.anonymous(), await sold_by(shop, "north-shop"))
    targets = {await follow(shop.http, path, method="HEAD")}
    targets |= {await follow(shop.http, path, agent) for agent in (*BOTS, "curl/8.5.0", "python-httpx/0.28.1")}
    targets |= {await follow(shop.http, path, **headers) for headers in AHEAD}
    hits = await shop.owner.fetch(HITS)
    assert Counter(row["uncounted_reason"] for row in hits) == {"head": 1, "bot": 1, "script": 1, "prefetch": 1}
    assert {(row["is_counted"], row["visitor_hash"], row["device_class"]) for row in hits} == {(False, None, None)}
    assert {await follow(shop.http, path)} == targets
    assert await shop.owner.fetchval(COUNTED) == 1


async def test_any_crowd_is_counted_as_its_visitors_are(shop: Shop) -> None:
    """Random crowds against a model: the set of visitors of an hour, those who ask for privacy being one."""
    chance = random.Random(17)
    anna, product = await shop.anonymous(), await sold_by(shop, "north-shop")
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:1:2::9", "2001:db8:2::1"]
    sites = ["192.0.2.1", "192.0.2.2", "2001:db8:1::/48", "2001:db8:1::/48", "2001:db8:2::/48"]
    agents = {PHONE: "mobile", DESK: "desktop", PHONE.replace("130", "131"): "mobile", BOTS[0]: None, "curl/8": None}
    clients = [visitor_from(shop, address) for address in addresses]
    for _ in range(4):
        path = await link_of(anna, product)
        counted = set()
        for hour in range(2):
            crowd = []
            for _ in range(25):
                place, agent = chance.randrange(len(addresses)), chance.choice(list(agents))
                method, headers = chance.choice([("GET", {}), ("GET", {"sec-gpc": "1"}), ("HEAD", {})])
                crowd.append(follow(clients[place], path, agent, method, **headers))
                if method == "GET" and agents[agent]:
                    counted.add((hour, None if headers else (sites[place], agents[agent])))
            await asyncio.gather(*crowd)
            await shop.owner.execute(HOURS_PASS, 3 * hour + 1)
        found = await shop.owner.fetchval(
            f"{COUNTED} and click_id = $1", affiliate.decode_token(path.removeprefix("/r/"))
        )
        assert found == len(counted)
    for http in clients:
        await http.aclose()


async def test_of_who_asks_for_privacy_only_the_count_is_stored(shop: Shop) -> None:
    anna, product = await shop.anonymous(), await sold_by(shop, "north-shop")
    path = await link_of(anna, product)
    for agent in (DESK, PHONE):
        await follow(shop.http, path, agent, **{"sec-gpc": "1"})
    await follow(shop.http, path, DESK, **{"sec-gpc": "0"})
    hits = await shop.owner.fetch(HITS)
    assert [(row["is_counted"], row["device_class"]) for row in hits] == [(True, None), (True, "desktop")]
    assert [row["visitor_hash"] is None for row in hits] == [True, False]

    await anna.do(CONSENT)
    path = await link_of(anna, product)
    await follow(shop.http, path)
    row = (await shop.owner.fetch(HITS))[-1]
    assert (row["is_counted"], row["device_class"], row["visitor_hash"]) == (True, None, None)
    devices = "select device_class from public.affiliate_clicks order by id desc limit 1"
    assert await shop.owner.fetchval(devices) is None


async def test_a_click_keeps_the_class_of_device_that_made_it(shop: Shop) -> None:
    anna, product = await shop.anonymous(), await sold_by(shop, "north-shop")
    made = {}
    for name, headers in (("phone", {"user-agent": PHONE}), ("private", {"user-agent": PHONE, "sec-gpc": "1"})):
        shop.http.headers.update(headers)
        row = ids.decode_as("AffiliateClick", (await click(anna, product))["id"])
        made[name] = await shop.owner.fetchval("select device_class from public.affiliate_clicks where id = $1", row)
    assert made == {"phone": "mobile", "private": None}


DISCONNECT = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where usename = 'aclue_api' and datname = current_database()
"""


async def name_of(superuser: asyncpg.Connection[Any]) -> str:
    name: str = await superuser.fetchval("select current_database()")
    return name


async def database_is_read_only(shop: Shop, superuser: asyncpg.Connection[Any]) -> None:
    await superuser.execute(f'alter database "{await name_of(superuser)}" set default_transaction_read_only = on')
    await superuser.execute(DISCONNECT)


async def disk_is_full(shop: Shop, superuser: asyncpg.Connection[Any]) -> None:
    await superuser.execute(
        "create function private.fill() returns trigger language plpgsql as"
        " $$begin raise disk_full using message = 'could not extend file'; end$$;"
        "create trigger filled before insert on public.affiliate_redirects execute function private.fill()"
    )


async def table_is_locked(shop: Shop, superuser: asyncpg.Connection[Any]) -> None:
    await superuser.execute("begin; lock table public.affiliate_redirects in exclusive mode")


@pytest.mark.drill
@pytest.mark.parametrize("breaks", [database_is_read_only, disk_is_full, table_is_locked], ids=lambda one: one.__name__)
async def test_who_cannot_be_recorded_still_gets_to_the_shop(
    shop: Shop, superuser: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch, breaks: Any
) -> None:
    monkeypatch.setattr(affiliate_clicks, "RECORD_TIMEOUT_MS", 100)
    path = await link_of(await shop.anonymous(), await sold_by(shop, "north-shop"))
    await breaks(shop, superuser)
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert path.removeprefix("/r/") in await follow(shop.http, path)
    assert [line["log_level"] for line in logged if line["event"] == "a hit was not recorded"] == ["error"] * 3
    assert await superuser.fetchval("select count(*) from public.affiliate_redirects") == 0
    if breaks is not database_is_read_only:
        await shop.services.system_log.flush()
        noted = "select context ->> 'count' from public.system_logs where message = 'hits were not recorded'"
        assert await superuser.fetchval(noted) == "1", "at once, and then at most once a minute"


@pytest.mark.drill
async def test_without_a_database_there_is_an_answer_and_when_to_try_again(
    shop: Shop, superuser: asyncpg.Connection[Any]
) -> None:
    path = await link_of(await shop.anonymous(), await sold_by(shop, "north-shop"))
    name = await name_of(superuser)
    await superuser.execute(f'alter database "{name}" connection limit 0')
    await superuser.execute(DISCONNECT)
    answer = await shop.http.get(path, headers={"user-agent": DESK})
    assert (answer.status_code, answer.headers["retry-after"].isdecimal()) == (503, True)
    assert answer.headers["cache-control"] == "no-store"
    await superuser.execute(f'alter database "{name}" connection limit -1')
    if bases.chosen() == "pgbouncer":  # which refuses clients until it has connected again, once a second at most
        for _ in range(20):
            if (await shop.http.get(path, headers={"user-agent": DESK})).status_code == 302:
                break
            await asyncio.sleep(0.5)
    await follow(shop.http, path)


async def offered(shop: Shop, product: str, retailer: str, price: int, *, in_stock: bool = True) -> Any:
    """Another shop's offer of the product; its id."""
    return await shop.owner.fetchval(
        "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
        " affiliate_url, in_stock, is_active, merged_into, merged_at, merged_by)"
        " select 'The same', $3, p.currency, p.category_id, r.id, 'the-same', $5, $4, false, p.id, now(), 'gtin'"
        " from public.products p, public.retailers r where p.id = $1 and r.slug = $2 returning id",
        ids.decode_as("Product", product),
        retailer,
        price,
        in_stock,
        f"https://shop.example/{retailer}",
    )


SOLD_OUT = "update public.product_offers set in_stock = false where id = $1"
GONE = "update public.product_offers set is_active = false where id = $1"


@pytest.mark.parametrize("happens", [SOLD_OUT, GONE], ids=["sold out", "gone"])
async def test_an_offer_that_is_gone_leads_to_the_cheapest_other_in_stock(shop: Shop, happens: str) -> None:
    anna, product = await shop.anonymous(), await sold_by(shop, "north-shop")
    key = ids.decode_as("Product", product)
    best = await offered(shop, product, "south-shop", 9000)
    await offered(shop, product, "corner-shop", 8000, in_stock=False)
    path = await link_of(anna, product, campaign="spring")
    assert "clickref" in await follow(shop.http, path)
    await shop.owner.execute(happens, key)

    assert urlsplit(await follow(shop.http, path, BOTS[0])).path == "/south-shop", "a bot leaves no click"
    assert await shop.owner.fetchval("select count(*) from public.affiliate_clicks") == 1
    targets = await asyncio.gather(*(follow(shop.http, path, PHONE) for _ in range(5)))
    assert len(set(targets)) == 1
    clicked, led_to = await shop.owner.fetch("select * from public.affiliate_clicks order by id")
    target = urlsplit(targets[0])
    assert (target.path, parse_qs(target.query)) == ("/south-shop", {"sid": [affiliate.encode_token(led_to["id"])]})
    assert (clicked["affiliate_network"], clicked["offer_id"], clicked["substitute_of"]) == ("awin", key, None)
    assert (led_to["affiliate_network"], led_to["offer_id"], led_to["substitute_of"]) == ("cj", best, clicked["id"])
    assert (led_to["price_minor"], led_to["expected_commission_minor"]) == (9000, 720)
    assert (led_to["user_id"], led_to["campaign"], led_to["device_class"]) == (clicked["user_id"], "spring", "mobile")
    hits = await shop.owner.fetch(f"select led_to_click_id from ({HITS}) h where is_counted")
    assert [row[0] for row in hits] == [None, led_to["id"]]
    me = (await anna.ask("{ me { affiliateClicks { totalCount } analytics { affiliateClicks } } }"))["me"]
    assert (me["affiliateClicks"]["totalCount"], me["analytics"]["affiliateClicks"]) == (1, 1)

    await shop.owner.execute("update public.product_offers set in_stock = true, is_active = true where id = $1", key)
    assert path.removeprefix("/r/") in await follow(shop.http, path)


async def test_what_nobody_has_in_stock_leads_where_it_led(shop: Shop) -> None:
    anna, product = await shop.anonymous(), await sold_by(shop, "north-shop")
    await offered(shop, product, "south-shop", 100, in_stock=False)
    path = await link_of(anna, product, offerId=ids.encode("ProductOffer", ids.decode_as("Product", product)))
    await shop.owner.execute(SOLD_OUT, ids.decode_as("Product", product))
    assert "clickref" in await follow(shop.http, path)


async def test_what_nobody_sells_any_more_is_not_found(shop: Shop) -> None:
    path = await link_of(await shop.anonymous(), await sold_by(shop, "north-shop"))
    await shop.owner.execute("update public.product_offers set is_active = false")
    answer = await shop.http.get(path, headers={"user-agent": DESK})
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert "no longer sold" in answer.text
    assert (await shop.http.head(path)).content == b""
    assert await shop.owner.fetchval("select count(*) from public.affiliate_redirects") == 0


async def test_a_gift_link_counts_its_visitor_the_same_way(shop: Shop) -> None:
    anna = await shop.anonymous()
    link = await make(anna, await sold_by(shop, "north-shop"))
    await visit(shop, link, **{"user-agent": PHONE})
    await visit(shop, link, **{"user-agent": PHONE, "sec-gpc": "1"})
    hits = await shop.owner.fetch(HITS)
    assert [(row["is_counted"], row["device_class"]) for row in hits] == [(True, "mobile"), (True, None)]
    clicks = await shop.owner.fetch("select device_class from public.affiliate_clicks order by id")
    assert [row[0] for row in clicks] == ["mobile", None]


@pytest.mark.drill
async def test_a_gift_link_that_cannot_be_used_now_says_when_to_try_again(
    shop: Shop, superuser: asyncpg.Connection[Any]
) -> None:
    """Where a use cannot be stored, a link with a number of uses must not lead anywhere."""
    link = await make(await shop.anonymous(), await sold_by(shop, "north-shop"), maxUses=1)
    await database_is_read_only(shop, superuser)
    answer = await visit(shop, link, **{"user-agent": DESK})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    await superuser.execute(f'alter database "{await name_of(superuser)}" reset default_transaction_read_only')
    await superuser.execute(DISCONNECT)
    assert (await visit(shop, link, **{"user-agent": DESK})).status_code == 303
