"""Gift links: made, followed by somebody without a session, used up, revoked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from domain import affiliate, gift_links, ids
from tests.client import Client
from tests.conftest import Shop

CREATE = """
mutation ($input: GiftLinkInput!) {
  createGiftLink(input: $input) {
    giftLink {
      id url message recipientName occasion maxUses clicks expiresAt revokedAt createdAt product { id name }
    }
    userErrors { code field }
  }
}
"""
REVOKE = """
mutation ($id: ID!) {
  revokeGiftLink(input: {giftLinkId: $id}) { giftLink { id revokedAt } userErrors { code field } }
}
"""
LINKS = """
query ($first: Int, $after: String) {
  me {
    giftLinks(first: $first, after: $after) {
      totalCount nodes { id url clicks } pageInfo { hasNextPage endCursor }
    }
    affiliateClicks { nodes { id redirectUrl } }
  }
}
"""
CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { id redirectUrl } userErrors { code field } }
}
"""


@pytest.fixture
async def anna(shop: Shop) -> Client:
    """Who makes the links."""
    return await shop.anonymous()


@pytest.fixture
async def ben(shop: Shop) -> Client:
    """Somebody else."""
    return await shop.anonymous()


async def product_of(shop: Shop, retailer: str = "north-shop") -> str:
    key = await shop.owner.fetchval(
        "select p.id from public.products p join public.retailers r on r.id = p.retailer_id"
        " where r.slug = $1 order by p.id limit 1",
        retailer,
    )
    return ids.encode("Product", key)


async def make(client: Client, product: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.do(CREATE, input={"productId": product, **more}))["giftLink"]
    return found


def token_of(link: dict[str, Any]) -> str:
    return urlsplit(link["url"]).path.removeprefix("/g/")


async def see(shop: Shop, link: dict[str, Any], **headers: str) -> httpx.Response:
    """The page of a link."""
    return await shop.http.get(urlsplit(link["url"]).path, headers=headers)


def form_of(page: httpx.Response) -> dict[str, str]:
    """What its button sends."""
    (value,) = re.findall(r'<input type="hidden" name="visit" value="([^"]+)">', page.text)
    return {"visit": value}


async def press(shop: Shop, link: dict[str, Any], form: dict[str, str], **headers: str) -> httpx.Response:
    return await shop.http.post(urlsplit(link["url"]).path, data=form, headers=headers)


async def visit(shop: Shop, link: dict[str, Any], **headers: str) -> httpx.Response:
    """Sees the page and presses its button; the page alone where it has none."""
    page = await see(shop, link, **headers)
    return page if page.status_code != 200 else await press(shop, link, form_of(page), **headers)


async def uses(shop: Shop) -> tuple[int, int]:
    """As counted on the links, and as clicks that know their link."""
    counted = await shop.owner.fetchval("select coalesce(sum(clicks), 0) from public.gift_links")
    kept = await shop.owner.fetchval("select count(*) from public.affiliate_clicks where gift_link_id is not null")
    return counted, kept


async def expire(shop: Shop) -> None:
    await shop.owner.execute("update public.gift_links set expires_at = now() - interval '1 second'")


async def test_a_link_says_what_was_asked_for(shop: Shop, anna: Client) -> None:
    product = await product_of(shop)
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    words = {"message": "Happy birthday!", "recipientName": "Ben", "occasion": "birthday", "maxUses": 3}
    made = await make(anna, product, expiresAt=until.isoformat(), **words)
    assert {name: made[name] for name in words} == words
    assert (made["clicks"], made["revokedAt"], made["product"]["id"]) == (0, None, product)
    assert datetime.fromisoformat(made["expiresAt"]) == until
    assert made["url"].startswith(f"{shop.services.settings.base_url}/g/")
    assert made["id"] == ids.encode("GiftLink", gift_links.decode_token(token_of(made), shop.services.gift_links) or "")


async def test_ones_links_newest_first_with_their_urls_and_nobody_elses(shop: Shop, anna: Client, ben: Client) -> None:
    product = await product_of(shop)
    made = [await make(anna, product) for _ in range(3)]
    await make(ben, product)
    page = (await anna.ask(LINKS, first=2))["me"]["giftLinks"]
    rest = (await anna.ask(LINKS, first=2, after=page["pageInfo"]["endCursor"]))["me"]["giftLinks"]
    assert [(node["id"], node["url"]) for node in (*page["nodes"], *rest["nodes"])] == [
        (link["id"], link["url"]) for link in reversed(made)
    ]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (3, True, False)


async def test_links_that_cannot_be(shop: Shop, anna: Client) -> None:
    product = await product_of(shop)
    await shop.owner.execute("update public.products set is_active = false where name = 'Tools 1'")
    gone = ids.encode("Product", await shop.owner.fetchval("select id from public.products where not is_active"))
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"productId": "x"}, "NOT_FOUND", "productId"),
        ({"productId": ids.encode("Product", uuid4())}, "NOT_FOUND", "productId"),
        ({"productId": gone}, "NOT_FOUND", "productId"),
        ({"message": "x" * 1001}, "INVALID", "message"),
        ({"message": "\0"}, "INVALID", "message"),
        ({"recipientName": "x" * 101}, "INVALID", "recipientName"),
        ({"occasion": "x" * 101}, "INVALID", "occasion"),
        ({"maxUses": 0}, "INVALID", "maxUses"),
        ({"maxUses": -1}, "INVALID", "maxUses"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "INVALID", "expiresAt"),
        ({"expiresAt": datetime.now(UTC).isoformat()}, "INVALID", "expiresAt"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
    ]
    for change, code, field in table:
        assert await anna.refusal(CREATE, input={"productId": product, **change}) == {"code": code, "field": [field]}
    assert await shop.client().code(CREATE, input={"productId": product}) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from public.gift_links") == 0


@pytest.mark.parametrize("field", ["message", "recipientName", "occasion", "idempotencyKey"])
async def test_a_nul_is_refused_by_name(shop: Shop, anna: Client, field: str) -> None:
    query = "mutation ($input: GiftLinkInput!) { createGiftLink(input: $input) { userErrors { message field } } }"
    refused = await anna.refusal(query, input={"productId": await product_of(shop), field: "a\0b"})
    assert refused["field"] == [field]
    assert "NUL" in refused["message"] and field in refused["message"]


async def test_a_repeat_with_the_same_key_is_the_same_link(shop: Shop, anna: Client, ben: Client) -> None:
    product = await product_of(shop)
    made = await asyncio.gather(*(make(anna, product, idempotencyKey="k", maxUses=2) for _ in range(4)))
    assert {link["url"] for link in made} == {made[0]["url"]}
    refused = await anna.refusal(CREATE, input={"productId": product, "idempotencyKey": "k", "maxUses": 3})
    assert refused == {"code": "IDEMPOTENCY_KEY_REUSED", "field": ["idempotencyKey"]}
    assert (await make(ben, product, idempotencyKey="k", maxUses=2))["id"] != made[0]["id"]


@pytest.mark.parametrize(
    ("retailer", "parameter"), [("north-shop", "clickref"), ("south-shop", "sid"), ("corner-shop", None)]
)
async def test_a_visit_leads_to_the_shop_with_a_click_in_the_makers_name(
    shop: Shop, anna: Client, retailer: str, parameter: str | None
) -> None:
    product = await product_of(shop, retailer)
    link = await make(anna, product)
    answer = await visit(shop, link, **{"user-agent": "a browser"})
    row = await shop.owner.fetchrow("select * from public.affiliate_clicks")
    assert row is not None
    offer = await shop.owner.fetchval("select affiliate_url from public.products where id = $1", row["product_id"])
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target._replace(query="") == urlsplit(offer)._replace(query="")
    sent = {parameter: [affiliate.encode_token(row["id"])]} if parameter else {}
    assert parse_qs(target.query) == {"colour": ["red"], **sent}
    assert ids.encode("Profile", row["user_id"]) == await anna.my_id()
    assert ids.encode("GiftLink", row["gift_link_id"]) == link["id"]
    assert (row["user_id"], row["source_page"], row["session_id"]) == (row["gift_link_user_id"], "gift-link", None)
    assert [hit["click_id"] for hit in await shop.owner.fetch("select * from public.affiliate_redirects")] == [
        row["id"]
    ]
    me = (await anna.ask(LINKS))["me"]
    assert me["giftLinks"]["nodes"][0]["clicks"] == 1
    assert me["affiliateClicks"]["nodes"][0]["id"] == ids.encode("AffiliateClick", row["id"])


async def test_a_visit_is_neither_cached_nor_indexed_nor_attributed(shop: Shop) -> None:
    anna = await shop.account("ottilie@people.example")
    link = await make(anna, await product_of(shop), message="Many happy returns", recipientName="Quillon")
    # Names that random tokens do not spell.
    me = str((ids.decode(await anna.my_id()) or ("", ""))[1])
    answers = [await see(shop, link), await visit(shop, link)]
    await anna.do(REVOKE, id=link["id"])
    for answer in (*answers, await see(shop, link)):
        assert answer.headers["cache-control"] == "no-store"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in answer.headers
        said = f"{answer.headers} {answer.text}".lower()
        assert [word for word in ("ottilie", "quillon", me, me.replace("-", "")) if word in said] == []


PREVIEWERS: list[dict[str, str]] = [
    {"user-agent": "WhatsApp/2.24.20.89 A"},
    {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"user-agent": "TelegramBot (like TwitterBot)"},
    {"user-agent": "facebookexternalhit/1.1"},
    {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/125.0.0.0 Safari/537.36"},
    {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/125.0.0.0", "sec-purpose": "prefetch;prerender"},
]


async def test_previews_of_a_link_leave_its_use_to_the_recipient(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop), maxUses=1)
    for headers in PREVIEWERS * 2:
        assert (await see(shop, link, **headers)).status_code == 200
    assert await uses(shop) == (0, 0)
    assert (await visit(shop, link)).status_code == 303
    assert await uses(shop) == (1, 1)
    assert (await see(shop, link)).status_code == 404


async def test_head_is_the_head_of_the_page(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop), maxUses=1)
    page, head = await see(shop, link), await shop.http.head(urlsplit(link["url"]).path)
    for answer in (page, head):
        del answer.headers["x-request-id"]
    assert (head.status_code, head.headers, head.content) == (200, page.headers, b"")
    assert (await shop.http.put(urlsplit(link["url"]).path)).status_code == 405
    assert await uses(shop) == (0, 0)


async def test_the_page_shows_the_product_and_the_message_as_text(shop: Shop, anna: Client) -> None:
    await shop.owner.execute(
        "update public.products set name = $1, image_url = $2 where id = $3",
        'Tea <b>& "Toast"</b> $name',
        "https://Pictures.example/a.jpg?w=1&h=2",
        ids.decode_as("Product", product := await product_of(shop)),
    )
    link = await make(anna, product, message='<script>alert(1)</script> & "x" $name', recipientName="Ben")
    page = await see(shop, link)
    name = "Tea &lt;b&gt;&amp; &quot;Toast&quot;&lt;/b&gt; $name"
    for part in (
        '<html lang="en">',
        '<meta name="robots" content="noindex, nofollow">',
        f"<title>{name}</title>",
        f'<meta property="og:title" content="{name}">',
        '<meta property="og:description" content="',
        f'<meta property="og:url" content="{link["url"]}">',
        '<meta property="og:image" content="https://Pictures.example/a.jpg?w=1&amp;h=2">',
        '<meta name="twitter:card" content="summary_large_image">',
        f'<img src="https://Pictures.example/a.jpg?w=1&amp;h=2" alt="{name}">',
        "GBP at North Shop",
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot; $name",
        "we may earn a commission",
    ):
        assert part in page.text, part
    assert page.text.count("<button") == 1
    for absent in ("<script", "<b>", "<link", "Ben"):
        assert absent not in page.text
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["img-src"]) == ("'none'", "https://pictures.example")
    assert policy["form-action"] == "'self' https:"
    (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("picture", [None, "https://pictures.example;script-src */a.jpg", "https://bücher.example/a"])
async def test_a_picture_that_cannot_be_allowed_is_not_shown(shop: Shop, anna: Client, picture: str | None) -> None:
    await shop.owner.execute("update public.products set image_url = $1", picture)
    page = await see(shop, await make(anna, await product_of(shop)))
    assert (page.status_code, "<img" in page.text, "og:image" in page.text) == (200, False, False)
    assert "img-src" not in page.headers["content-security-policy"]
    assert '<meta name="twitter:card" content="summary">' in page.text


async def test_a_product_of_no_network_needs_no_disclosure(shop: Shop, anna: Client) -> None:
    corner, north = await product_of(shop, "corner-shop"), await product_of(shop, "north-shop")
    amazon = "As an Amazon Associate I earn from qualifying purchases."
    assert "commission" not in (await see(shop, await make(anna, corner))).text
    ask = "query ($id: ID!) { product(id: $id) { disclosure } }"
    assert (await anna.ask(ask, id=corner))["product"] == {"disclosure": None}
    assert "commission" in (await anna.ask(ask, id=north))["product"]["disclosure"]
    await shop.owner.execute("update public.retailers set affiliate_network = 'amazon'")
    assert (await anna.ask(ask, id=north))["product"] == {"disclosure": amazon}
    assert amazon in (await see(shop, await make(anna, north))).text


async def test_a_button_that_is_pressed_twice_uses_the_link_once(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop), maxUses=1)
    form = form_of(await see(shop, link))
    answers = await asyncio.gather(*(press(shop, link, form) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert await uses(shop) == (1, 1)
    await anna.do(REVOKE, id=link["id"])
    assert (await press(shop, link, form)).status_code == 404


async def test_only_the_form_of_the_page_uses_a_link(shop: Shop, anna: Client) -> None:
    product = await product_of(shop)
    link, other = await make(anna, product), await make(anna, product)
    key = ids.decode_as("GiftLink", link["id"])
    assert key is not None
    signer = shop.services.gift_link_visits
    late = gift_links.encode_visit(key, signer, now=time.time() - gift_links.VISIT_SECONDS - 1, nonce=uuid4())
    good = form_of(await see(shop, link))["visit"]
    for wrong in (
        "",
        "x",
        "é",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        token_of(link),
        late,
        good[:-1],
        form_of(await see(shop, other))["visit"],
        "A" * 5000,
    ):
        answer = await press(shop, link, {"visit": wrong})
        assert (answer.status_code, "location" in answer.headers) == (400, False), wrong
        assert form_of(answer)["visit"] != wrong
    path = urlsplit(link["url"]).path
    assert (await press(shop, link, {"visit": good}, **{"sec-fetch-site": "cross-site"})).status_code == 400
    assert (await shop.http.post(path, json={"visit": good})).status_code == 400
    assert (await shop.http.post(path)).status_code == 400
    assert (await shop.http.post(path, data={"visit": "A" * 30_000})).status_code == 413
    assert (await shop.http.get(f"{path}?visit={good}")).status_code == 200
    assert await uses(shop) == (0, 0)
    assert (await press(shop, link, {"visit": good}, **{"sec-fetch-site": "same-origin"})).status_code == 303


async def test_unknown_and_forged_tokens_lead_nowhere(shop: Shop, anna: Client) -> None:
    token = token_of(await make(anna, await product_of(shop)))
    signer = shop.services.gift_links
    for wrong in (
        gift_links.encode_token(uuid4(), signer),
        token[:-1],
        token + "A",
        token.swapcase(),
        ("A" if token[0] != "A" else "B") + token[1:],
        shop.services.cursors.sign((gift_links.decode_token(token, signer) or uuid4()).bytes),
        "x",
        "%00",
        "%2e%2e",
        "https:%2f%2fevil.example",
        "//evil.example",
        "%F0%9F%98%80" * 6,
        "A" * 5000,
        "",
    ):
        for answer in (await shop.http.get(f"/g/{wrong}"), await shop.http.post(f"/g/{wrong}", data={"visit": "x"})):
            assert answer.status_code == 404, wrong
            assert "location" not in answer.headers
    assert await uses(shop) == (0, 0)


async def test_nothing_of_the_request_changes_where_a_link_leads(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop, "corner-shop"))
    path = urlsplit(link["url"]).path
    plain = (await visit(shop, link)).headers["location"]
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "referer": "https://evil.example/"}
    for query in ("?url=https://evil.example", "?to=//evil.example", "?%0d%0aset-cookie:a=b"):
        page = await shop.http.get(path + query, headers=headers)
        assert "evil" not in page.text
        more = {"url": "https://evil.example", "to": "//evil.example"}
        answer = await shop.http.post(path + query, data={**form_of(page), **more}, headers=headers)
        assert answer.headers["location"] == plain
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("closed", ["expired", "revoked", "used up", "not on offer"])
async def test_a_closed_link_leads_nowhere_any_more(shop: Shop, anna: Client, closed: str) -> None:
    link = await make(anna, await product_of(shop), maxUses=1)
    form = form_of(await see(shop, link))
    match closed:
        case "expired":
            await expire(shop)
        case "revoked":
            await anna.do(REVOKE, id=link["id"])
        case "used up":
            assert (await visit(shop, link)).status_code == 303
        case "not on offer":
            await shop.owner.execute("update public.products set is_active = false")
    before = await uses(shop)
    unknown = await shop.http.get(f"/g/{gift_links.encode_token(uuid4(), shop.services.gift_links)}")
    for answer in (await see(shop, link), await press(shop, link, form), await shop.http.get("/g/x")):
        assert (answer.status_code, answer.content) == (404, unknown.content)
        del answer.headers["x-request-id"]
        assert answer.headers.items() <= unknown.headers.items()
    assert await uses(shop) == before


async def test_a_link_without_a_limit_counts_every_visit(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop))
    answers = await asyncio.gather(*(visit(shop, link) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 5  # a click each
    assert await uses(shop) == (5, 5)


async def test_of_many_visits_at_once_only_as_many_get_through_as_may(shop: Shop, anna: Client) -> None:
    for most in (1, 3):
        link = await make(anna, await product_of(shop), maxUses=most)
        forms = [form_of(await see(shop, link)) for _ in range(10)]
        answers = await asyncio.gather(*(press(shop, link, form) for form in forms))
        assert sorted(answer.status_code for answer in answers) == [303] * most + [404] * (10 - most)
    assert await uses(shop) == (4, 4)


async def test_of_visits_and_clicks_at_once_one_takes_the_last_use(shop: Shop, anna: Client, ben: Client) -> None:
    product = await product_of(shop)
    link = await make(anna, product, maxUses=1)
    given = {"productId": product, "giftLinkToken": token_of(link)}

    async def click() -> bool:
        return (await ben.ask(CLICK, input=given))["createAffiliateClick"]["click"] is not None

    async def go() -> bool:
        return (await visit(shop, link)).status_code == 303

    assert sum(await asyncio.gather(*(task() for _ in range(5) for task in (click, go)))) == 1
    assert await uses(shop) == (1, 1)


async def test_a_click_through_a_link_is_the_clickers_own(shop: Shop, anna: Client, ben: Client) -> None:
    product = await product_of(shop)
    link = await make(anna, product)
    given = {"productId": product, "giftLinkToken": token_of(link), "sourcePage": "/gift", "campaign": "spring"}
    made = (await ben.do(CLICK, input=given))["click"]
    row = await shop.owner.fetchrow("select * from public.affiliate_clicks")
    assert row is not None
    assert made["id"] == ids.encode("AffiliateClick", row["id"])
    assert ids.encode("Profile", row["user_id"]) == await ben.my_id()
    assert ids.encode("Profile", row["gift_link_user_id"]) == await anna.my_id()
    assert (row["source_page"], row["campaign"], row["session_id"] is None) == ("/gift", "spring", False)
    assert (await anna.ask(LINKS))["me"]["giftLinks"]["nodes"][0]["clicks"] == 1
    assert (await anna.ask(LINKS))["me"]["affiliateClicks"]["nodes"] == []
    assert (await shop.http.get(urlsplit(made["redirectUrl"]).path)).status_code == 302


async def test_clicks_through_links_that_are_not_to_be_used(shop: Shop, anna: Client, ben: Client) -> None:
    product, another = await product_of(shop), await product_of(shop, "south-shop")
    used = await make(anna, product, maxUses=1)
    await visit(shop, used)
    revoked = await make(anna, product)
    await anna.do(REVOKE, id=revoked["id"])
    expired = await make(anna, product)
    await shop.owner.execute(
        "update public.gift_links set expires_at = now() where id = $1", ids.decode_as("GiftLink", expired["id"])
    )
    token = token_of(await make(anna, product))
    table = [
        (product, "forged", "NOT_FOUND", "giftLinkToken"),
        (product, token[:-2] + ("BA" if token.endswith("AA") else "AA"), "NOT_FOUND", "giftLinkToken"),
        (product, gift_links.encode_token(uuid4(), shop.services.gift_links), "NOT_FOUND", "giftLinkToken"),
        (product, token_of(used), "LIMIT_REACHED", "giftLinkToken"),
        (product, token_of(revoked), "EXPIRED", "giftLinkToken"),
        (product, token_of(expired), "EXPIRED", "giftLinkToken"),
        (another, token, "INVALID", "giftLinkToken"),
        (ids.encode("Product", uuid4()), token, "INVALID", "giftLinkToken"),
    ]
    before = await uses(shop)
    for chosen, sent, code, field in table:
        refused = await ben.refusal(CLICK, input={"productId": chosen, "giftLinkToken": sent})
        assert refused == {"code": code, "field": [field]}, sent
    await shop.owner.execute("update public.products set is_active = false")
    refused = await ben.refusal(CLICK, input={"productId": product, "giftLinkToken": token})
    assert refused == {"code": "NOT_FOUND", "field": ["productId"]}
    assert await uses(shop) == before
    assert await shop.client().code(CLICK, input={"productId": product, "giftLinkToken": token}) == "UNAUTHENTICATED"


async def test_a_repeated_click_counts_once_even_when_the_link_is_used_up(
    shop: Shop, anna: Client, ben: Client
) -> None:
    product = await product_of(shop)
    token = token_of(await make(anna, product, maxUses=1))
    given = {"productId": product, "giftLinkToken": token, "idempotencyKey": "k"}
    made = await asyncio.gather(*(ben.do(CLICK, input=given) for _ in range(4)))
    made.append(await ben.do(CLICK, input=given))
    assert len({one["click"]["id"] for one in made}) == 1
    assert await uses(shop) == (1, 1)
    other = {**given, "giftLinkToken": token_of(await make(anna, product))}
    assert (await ben.refusal(CLICK, input=other))["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_revoking_twice_is_revoking_once(shop: Shop, anna: Client) -> None:
    link = await make(anna, await product_of(shop))
    first = await anna.do(REVOKE, id=link["id"])
    assert first["giftLink"]["revokedAt"] is not None
    assert await anna.do(REVOKE, id=link["id"]) == first


async def test_a_link_that_is_not_ones_own_cannot_be_revoked(shop: Shop, anna: Client, ben: Client) -> None:
    link = await make(anna, await product_of(shop))
    key = ids.decode_as("GiftLink", link["id"]) or UUID(int=0)
    unknown = {"code": "NOT_FOUND", "field": ["giftLinkId"]}
    for id in (link["id"], ids.encode("GiftLink", uuid4()), ids.encode("Product", key), token_of(link), ""):
        assert await ben.refusal(REVOKE, id=id) == unknown
    assert await shop.client().code(REVOKE, id=link["id"]) == "UNAUTHENTICATED"
    assert (await visit(shop, link)).status_code == 303


async def test_a_click_outlives_the_link_that_led_to_it(shop: Shop, anna: Client, ben: Client) -> None:
    product = await product_of(shop)
    made = await ben.do(CLICK, input={"productId": product, "giftLinkToken": token_of(await make(anna, product))})
    await shop.owner.execute("delete from public.profiles where id = $1", ids.decode_as("Profile", await anna.my_id()))
    row = await shop.owner.fetchrow("select * from public.affiliate_clicks")
    assert row is not None
    assert ids.encode("AffiliateClick", row["id"]) == made["click"]["id"]
    assert (row["gift_link_user_id"], row["gift_link_id"]) == (None, None)
