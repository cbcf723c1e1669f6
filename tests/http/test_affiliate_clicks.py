"""Tracked links: the click, its redirect, and where they never lead."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from db.claims import SERVICE
from domain import affiliate, ids
from tests.client import Client
from tests.conftest import Shop

CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) {
    click { id redirectUrl network createdAt product { id name } } userErrors { code field }
  }
}
"""
CLICKS = """
query ($first: Int, $after: String) {
  me {
    affiliateClicks(first: $first, after: $after) {
      totalCount nodes { id redirectUrl network } pageInfo { hasNextPage endCursor }
    }
  }
}
"""


HITS = "select count(*) from public.affiliate_redirects"


async def sold_by(shop: Shop, retailer: str) -> str:
    """A product of this shop."""
    key = await shop.owner.fetchval(
        "select p.id from public.products p join public.retailers r on r.id = p.retailer_id where r.slug = $1 limit 1",
        retailer,
    )
    return ids.encode("Product", key)


async def click(client: Client, product: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.do(CLICK, input={"productId": product, **more}))["click"]
    return found


async def test_a_click_keeps_what_the_offer_said(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = await sold_by(shop, "south-shop")
    made = await click(anna, product, sourcePage="/feed", campaign="spring")
    row = await shop.owner.fetchrow(
        "select c.*, p.affiliate_url as url, p.price_minor as price from public.affiliate_clicks c "
        "join public.products p on p.id = c.product_id"
    )
    assert row is not None
    assert made["id"] == ids.encode("AffiliateClick", row["id"])
    assert made["redirectUrl"].endswith(f"/r/{affiliate.encode_token(row['id'])}")
    assert (made["network"], row["affiliate_network"]) == ("cj", "cj")
    assert made["product"]["id"] == product
    assert datetime.fromisoformat(made["createdAt"]) == row["click_timestamp"]
    assert (row["affiliate_url"], row["price_minor"]) == (row["url"], row["price"])
    assert row["expected_commission_minor"] == round(row["price"] * 0.08)
    assert (row["source_page"], row["campaign"], row["actual_commission_minor"]) == ("/feed", "spring", None)
    assert ids.encode("Profile", row["user_id"]) == await anna.my_id()
    assert row["session_id"] == await shop.owner.fetchval("select id from public.user_sessions")


async def test_a_click_on_a_recommendation_is_tied_to_it(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown = (await anna.feed(first=1))["nodes"][0]
    await click(anna, shown["product"]["id"], recommendationId=shown["id"])
    tied = await shop.owner.fetchval(
        "select r.arm from public.affiliate_clicks c "
        "join public.recommendations r on r.user_id = c.user_id and r.id = c.recommendation_id"
    )
    assert tied == 0


async def test_clicks_that_cannot_be(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    shown, another = (await anna.feed(first=2))["nodes"]
    bens = (await ben.feed(first=1))["nodes"][0]["id"]
    await shop.owner.execute("update public.products set is_active = false where name = 'Tools 1'")
    gone = ids.encode("Product", await shop.owner.fetchval("select id from public.products where not is_active"))
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"productId": "x"}, "NOT_FOUND", "productId"),
        ({"productId": ids.encode("Product", uuid4())}, "NOT_FOUND", "productId"),
        ({"productId": ids.encode("Brand", uuid4())}, "NOT_FOUND", "productId"),
        ({"productId": gone}, "NOT_FOUND", "productId"),
        ({"sourcePage": "x" * 201}, "INVALID", "sourcePage"),
        ({"campaign": "x" * 201}, "INVALID", "campaign"),
        ({"campaign": "\0"}, "INVALID", "campaign"),
        ({"recommendationId": "forged"}, "NOT_FOUND", "recommendationId"),
        ({"recommendationId": bens}, "NOT_FOUND", "recommendationId"),
        ({"recommendationId": another["id"]}, "INVALID", "recommendationId"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
    ]
    for change, code, field in table:
        given = {"productId": shown["product"]["id"], **change}
        assert await anna.refusal(CLICK, input=given) == {"code": code, "field": [field]}, change
    assert await shop.client().code(CLICK, input={"productId": shown["product"]["id"]}) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from public.affiliate_clicks") == 0


async def test_a_repeat_with_the_same_key_is_the_same_click(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = await sold_by(shop, "north-shop")
    made = await asyncio.gather(*(click(anna, product, idempotencyKey="k") for _ in range(4)))
    assert [one["id"] for one in made] == [made[0]["id"]] * 4
    refused = await anna.refusal(CLICK, input={"productId": product, "campaign": "x", "idempotencyKey": "k"})
    assert refused == {"code": "IDEMPOTENCY_KEY_REUSED", "field": ["idempotencyKey"]}
    assert (await click(ben, product, idempotencyKey="k"))["id"] != made[0]["id"]
    assert (await click(anna, product))["id"] != made[0]["id"]


async def test_ones_clicks_newest_first_and_nobody_elses(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = await sold_by(shop, "corner-shop")
    made = [await click(anna, product) for _ in range(3)]
    await click(ben, product)
    page = (await anna.ask(CLICKS, first=2))["me"]["affiliateClicks"]
    rest = (await anna.ask(CLICKS, first=2, after=page["pageInfo"]["endCursor"]))["me"]["affiliateClicks"]
    assert [node["id"] for node in (*page["nodes"], *rest["nodes"])] == [one["id"] for one in reversed(made)]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (3, True, False)
    assert page["nodes"][0] == {"id": made[2]["id"], "redirectUrl": made[2]["redirectUrl"], "network": None}
    for variables in ({"first": -1}, {"first": 101}, {"after": "forged"}):
        assert await anna.code(CLICKS, **variables) == "BAD_USER_INPUT"


async def test_the_link_leads_to_the_shop_with_our_click_id(shop: Shop) -> None:
    anna = await shop.anonymous()
    for retailer, parameter in (("north-shop", "clickref"), ("south-shop", "sid"), ("corner-shop", None)):
        product = await sold_by(shop, retailer)
        url = urlsplit((await click(anna, product))["redirectUrl"])
        answer = await shop.http.get(url.path, headers={"user-agent": "a browser"})
        offer = await shop.owner.fetchval(
            "select affiliate_url from public.products where id = $1", ids.decode_as("Product", product)
        )
        assert answer.status_code == 302
        target = urlsplit(answer.headers["location"])
        assert target._replace(query="") == urlsplit(offer)._replace(query="")
        token = url.path.removeprefix("/r/")
        assert parse_qs(target.query) == {"colour": ["red"], **({parameter: [token]} if parameter else {})}
        assert answer.headers["cache-control"] == "no-store"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert answer.headers["referrer-policy"] == "no-referrer"


DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


async def test_the_offer_may_change_and_the_link_leads_where_it_led(shop: Shop) -> None:
    anna = await shop.anonymous()
    path = urlsplit((await click(anna, await sold_by(shop, "corner-shop")))["redirectUrl"]).path
    before = (await shop.http.get(path)).headers["location"]
    await shop.owner.execute("update public.products set affiliate_url = 'https://other.example/', price_minor = 1")
    assert (await shop.http.get(path)).headers["location"] == before


async def test_a_link_leads_to_no_host_that_is_not_the_shops_whoever_stored_it(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = await sold_by(shop, "north-shop")
    link = {"user-agent": DESK}
    for url, is_followed in (
        ("https://www.north.example/p", True),
        ("https://www.awin1.com/cread.php?ued=https%3A%2F%2Fnorth.example%2F", True),
        ("https://foreign.example/p", False),
        ("https://north.example@foreign.example/", False),
        ("https://north.example.foreign.example/", False),
        ("https://north.example:8443/", False),
        ("https://foreign.example\\@north.example/", False),
        ("https://nоrth.example/", False),
        ("https://www.awin1.com/cread.php?ued=https%3A%2F%2Fforeign.example%2F", False),
        ("https://www.anrdoezrs.net/links/1/type/dlg/https://north.example/", False),
    ):
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            change = "update public.products set affiliate_url = $2 where id = $1 returning id"
            await session.run(change, [ids.decode_as("Product", product), url])
        path = urlsplit((await click(anna, product))["redirectUrl"]).path
        hits = await shop.owner.fetchval(f"{HITS} where is_counted")
        for method in ("GET", "HEAD"):
            answer = await shop.http.request(method, path, headers=link)
            assert (answer.status_code == 302) == is_followed, url
            assert ("location" in answer.headers) == is_followed
        assert await shop.owner.fetchval(f"{HITS} where is_counted") - hits == is_followed


async def test_a_host_is_checked_with_what_is_known_of_the_shop_now(shop: Shop) -> None:
    anna = await shop.anonymous()
    path = urlsplit((await click(anna, await sold_by(shop, "corner-shop")))["redirectUrl"]).path
    assert (await shop.http.get(path)).status_code == 302
    await shop.owner.execute("update public.retailers set tracking_hosts = '{}'")
    assert (await shop.http.get(path)).status_code == 404
    await shop.owner.execute("update public.retailers set domain = 'shop.example'")
    assert (await shop.http.get(path)).status_code == 302


async def test_amazon_gets_the_tag_of_the_placement_and_bots_get_none(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = await sold_by(shop, "corner-shop")
    await shop.owner.execute(
        "update public.retailers set affiliate_network = 'amazon' where slug = 'corner-shop';"
        "update public.products set affiliate_url = 'https://www.amazon.co.uk/dp/1?tag=feed-21&ascsubtag=x&th=1'"
    )
    add = "insert into public.placements (retailer_id, network, name, tracking_id) select id, 'amazon', $1, $2"
    person = {"user-agent": DESK}

    async def tag_of(page: str | None, **headers: str) -> str | None:
        path = urlsplit((await click(anna, product, sourcePage=page))["redirectUrl"]).path
        target = urlsplit((await shop.http.get(path, headers={**person, **headers})).headers["location"])
        found = parse_qs(target.query)
        assert found.pop("th") == ["1"]
        assert set(found) <= {"tag"}
        assert path.removeprefix("/r/") not in target.query
        return found["tag"][0] if found else None

    assert await tag_of("/feed") == "feed-21"
    for name, tracking_id in (("default", "d-21"), ("feed", "f-21"), ("feed/top", "t-21")):
        await shop.owner.execute(f"{add} from public.retailers where slug = 'corner-shop'", name, tracking_id)
    for page, tag in (
        ("feed", "f-21"), ("/Feed/", "f-21"), ("/feed/42?x=1#y", "f-21"), ("/feed/top/3", "t-21"),
        ("feeder", "d-21"), ("/", "d-21"), (None, "d-21"), ("%", "d-21"),
    ):  # fmt: skip
        assert await tag_of(page) == tag, page
    assert await tag_of("feed", **{"sec-purpose": "prefetch"}) is None
    assert await tag_of("feed", **{"user-agent": "facebookexternalhit/1.1"}) is None
    path = urlsplit((await click(anna, product))["redirectUrl"]).path
    assert "tag" not in (await shop.http.head(path, headers=person)).headers["location"]


async def test_unknown_and_malformed_links_lead_nowhere(shop: Shop) -> None:
    anna = await shop.anonymous()
    token = urlsplit((await click(anna, await sold_by(shop, "north-shop")))["redirectUrl"]).path.removeprefix("/r/")
    for wrong in (
        affiliate.encode_token(uuid4()),
        token.upper(),
        token[:-1],
        token + "a",
        "x",
        "%00",
        "%2e%2e",
        "https:%2f%2fevil.example",
        "%F0%9F%98%80" * 6,
        "//evil.example",
        "",
    ):
        answer = await shop.http.get(f"/r/{wrong}")
        assert answer.status_code == 404, wrong
        assert "location" not in answer.headers
    assert await shop.owner.fetchval("select count(*) from public.affiliate_redirects") == 0


async def test_nothing_of_the_request_changes_where_a_link_leads(shop: Shop) -> None:
    anna = await shop.anonymous()
    path = urlsplit((await click(anna, await sold_by(shop, "north-shop")))["redirectUrl"]).path
    plain = (await shop.http.get(path)).headers["location"]
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "referer": "https://evil.example/"}
    for query in (
        "?url=https://evil.example",
        "?clickref=evil&sid=evil",
        "?to=//evil.example",
        "?%0d%0aset-cookie:a=b",
    ):
        answer = await shop.http.get(path + query, headers=headers)
        assert answer.headers["location"] == plain
        assert "set-cookie" not in answer.headers
    assert (await shop.http.post(path)).status_code == 405
