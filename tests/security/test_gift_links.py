"""Gift links: what nobody gets out of them, with SQL under the API's roles or with somebody else's link."""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from domain import gift_links, ids
from domain.signing import Signer
from tests.conftest import SECRET, Shop
from tests.security.canaries import ADMIN, ANNA, BEN, NOBODY, SERVICE, VISITOR, Caller, become, canary_id

Connection: TypeAlias = "asyncpg.Connection[Any]"
LINK, PRODUCT = canary_id("gift_links", "anna"), canary_id("products", "planted")
CLICK = "select * from private.create_gift_link_click($1, $2, null, null, null, null)"
CREATE = """
mutation ($product: ID!) { createGiftLink(input: {productId: $product}) { giftLink { id url } userErrors { code } } }
"""
CLICK_OF_ONES_OWN = """
mutation ($product: ID!) {
  createAffiliateClick(input: {productId: $product}) { click { redirectUrl } userErrors { code } }
}
"""
EXPORT = "mutation { exportMyData { document userErrors { code } } }"
READ = "query ($id: ID!) { node(id: $id) { id ... on GiftLink { url message } } }"


async def as_caller(login: Connection, caller: Caller, statement: str, *arguments: Any) -> list[Any]:
    """What the statement answers; it is taken back."""
    transaction = login.transaction()
    await transaction.start()
    try:
        await become(login, caller)
        return await login.fetch(statement, *arguments)
    finally:
        await transaction.rollback()


async def test_a_click_through_a_link_belongs_to_the_caller_who_must_have_a_session(
    canaries: Connection, login: Connection
) -> None:
    for caller in (ANNA, BEN, VISITOR, ADMIN):
        [made] = await as_caller(login, caller, CLICK, LINK, PRODUCT)
        assert made["refusal"] is None, caller.label
    for caller in (NOBODY, SERVICE):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_caller(login, caller, CLICK, LINK, PRODUCT)


@pytest.mark.parametrize("caller", [NOBODY, VISITOR, BEN, ADMIN], ids=lambda caller: caller.label)
async def test_nobody_clicks_in_anothers_name(canaries: Connection, login: Connection, caller: Caller) -> None:
    use = "select * from private.use_gift_link($1, $2, null, null, null, null, null)"
    insert = "select private.insert_affiliate_click($2, $1, null, null, null, null)"
    maker = await canaries.fetchval("select user_id from public.gift_links where id = $1", LINK)
    for statement, arguments in ((use, (LINK, maker)), (insert, (PRODUCT, maker))):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_caller(login, caller, statement, *arguments)
    [made] = await as_caller(login, SERVICE, use, LINK, None)
    assert made["click_id"] is not None


async def test_a_revoked_link_stays_revoked(canaries: Connection, login: Connection) -> None:
    await canaries.execute("update public.gift_links set revoked_at = '2026-01-01'")
    assert await as_caller(login, ANNA, "update public.gift_links set revoked_at = null returning id") == []
    assert await as_caller(login, ANNA, "update public.gift_links set revoked_at = now() returning id") == []
    await canaries.execute("update public.gift_links set revoked_at = null")
    [row] = await as_caller(login, ANNA, "update public.gift_links set revoked_at = now() returning id")
    assert row["id"] == LINK


async def test_who_clicked_through_a_link_does_not_learn_who_made_it(canaries: Connection, login: Connection) -> None:
    async with login.transaction():
        await become(login, BEN)
        await login.fetch(CLICK, LINK, PRODUCT)
        seen = "select gift_link_id from public.affiliate_clicks where gift_link_id is not null"
        assert [row["gift_link_id"] for row in await login.fetch(seen)] == [LINK]
        assert await login.fetch("select from public.gift_links where id = $1", LINK) == []
    for read in ("select gift_link_user_id from public.affiliate_clicks", "table public.affiliate_clicks"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_caller(login, BEN, read)


async def test_clicks_are_not_to_be_had_beyond_the_limit_even_by_mistake(canaries: Connection) -> None:
    """The constraint stands behind the function."""
    await canaries.execute("update public.gift_links set max_uses = 1, clicks = 1")
    with pytest.raises(asyncpg.CheckViolationError, match="gift_links_clicks_range"):
        await canaries.execute("update public.gift_links set clicks = clicks + 1")


async def test_a_link_belongs_to_its_maker_and_its_url_opens_no_row(shop: Shop) -> None:
    anna, ben = await shop.account("anna@people.example"), await shop.account("ben@people.example")
    product = (await anna.product("Books 1"))["id"]
    link = (await anna.do(CREATE, product=product))["giftLink"]
    assert (await anna.ask(READ, id=link["id"]))["node"] == {**link, "message": None}
    for other in (ben, await shop.anonymous(), shop.client()):
        for id in (link["id"], link["url"].rpartition("/")[2]):
            assert (await other.ask(READ, id=id))["node"] is None
        assert link["url"] not in (await other.post("{ me { giftLinks { nodes { url } } } }")).text


async def test_an_id_alone_makes_no_url(shop: Shop) -> None:
    """The id of a link is useless without the server's secret."""
    anna = await shop.anonymous()
    link = (await anna.do(CREATE, product=(await anna.product("Books 1"))["id"]))["giftLink"]
    key = ids.decode_as("GiftLink", link["id"])
    assert key is not None
    for signer in (
        Signer(b"", "gift link"),
        Signer(SECRET.encode(), "cursor"),
        Signer(SECRET.encode(), "recommendation"),
        Signer(SECRET.encode(), "gift_link"),
    ):
        assert (await shop.http.get(f"/g/{gift_links.encode_token(key, signer)}")).status_code == 404
    token = gift_links.encode_token(key, Signer(SECRET.encode(), "gift link"))
    assert link["url"].endswith(f"/g/{token}")


async def everything(owner: Connection) -> str:
    """All rows of all tables of ours."""
    names = await owner.fetch(
        "select oid::regclass::text as name from pg_class where relkind = 'r'"
        " and relnamespace::regnamespace::text in ('public', 'private')"
    )
    rows = [await owner.fetchval(f"select jsonb_agg(t)::text from {row['name']} t") for row in names]
    return " ".join(text for text in rows if text)


async def test_who_follows_a_link_is_known_neither_to_its_maker_nor_to_the_database(shop: Shop) -> None:
    maker = await shop.account()
    product = (await maker.products(first=1))[0]["id"]
    gift = (await maker.do(CREATE, product=product))["giftLink"]["url"]
    own = (await maker.do(CLICK_OF_ONES_OWN, product=product))["click"]["redirectUrl"]
    app = shop.http._transport.app  # type: ignore[attr-defined]
    visitor = {"user-agent": "Mozilla/5.0 (iPhone; tell-tale) Mobile", "referer": "https://tell-tale.example/page"}
    transport = httpx.ASGITransport(app, client=("203.0.113.77", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        page = await http.get(urlsplit(gift).path, headers=visitor)
        (visit,) = re.findall(r'name="visit" value="([^"]+)"', page.text)
        answer = await http.post(urlsplit(gift).path, headers=visitor, data={"visit": visit})
        assert answer.status_code == 303
        assert (await http.get(urlsplit(own).path, headers=visitor)).status_code == 302
    document = (await maker.do(EXPORT))["document"]
    hits = document["data"]["public.affiliate_redirects"]
    told = {"user_id", "id", "click_id", "redirected_at", "device_class", "is_counted", "uncounted_reason"}
    assert [set(hit) for hit in hits] == [told | {"led_to_click_id"}] * 2
    assert {hit["device_class"] for hit in hits} == {"mobile"}
    for text in (str(document), await everything(shop.owner)):
        assert "tell-tale" not in text
        assert "203.0.113" not in text
