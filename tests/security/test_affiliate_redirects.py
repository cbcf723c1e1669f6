"""Hits of links: what a stranger can store with a million of them, and what nobody but the service reads or writes."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from domain.affiliate import encode_token
from tests.conftest import Shop
from tests.http.test_affiliate_clicks import click, sold_by
from tests.security.canaries import ADMIN, ANALYST, ANNA, BEN, NOBODY, VISITOR, become, canary_id

STORED = "select count(*) from public.affiliate_redirects"
BROWSERS = [
    f"Mozilla/5.0 ({device}) {number}"
    for number in range(10)
    for device in ("Windows NT 10.0", "iPhone; Mobile", "iPad", "Quux")
]
BOTS = [f"{name}/{number}" for number in range(10) for name in ("Googlebot", "WhatsApp", "Slackbot", "curl", "python")]


@pytest.mark.parametrize(("agents", "most"), [(BROWSERS, 4), (BOTS, 2)], ids=["browsers", "bots"])
async def test_a_stranger_stores_as_little_with_many_hits_as_with_few(shop: Shop, agents: list[str], most: int) -> None:
    """From a network, a row for each class of device; of bots, one for each reason, however many networks there are."""
    anna = await shop.anonymous()
    path = urlsplit((await click(anna, await sold_by(shop, "north-shop")))["redirectUrl"]).path
    app = shop.http._transport.app  # type: ignore[attr-defined]
    for number in range(3):
        address = "192.0.2.1" if agents is BROWSERS else f"192.0.2.{number}"
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://shop"
        ) as http:
            found = await asyncio.gather(*(http.get(path, headers={"user-agent": agent}) for agent in agents))
            assert {answer.status_code for answer in found} == {302}
    per_hour = await shop.owner.fetch(f"{STORED} group by visited_hour")
    assert max(row[0] for row in per_hour) == most


async def test_a_forged_token_leads_nowhere_and_stores_nothing(shop: Shop) -> None:
    anna = await shop.anonymous()
    token = urlsplit((await click(anna, await sold_by(shop, "north-shop")))["redirectUrl"]).path.removeprefix("/r/")
    forged = [encode_token(uuid4()), token[:-2] + "aa", token.upper(), f"{token}%00", f"{token}/x", "../" + token]
    for headers in ({}, {"authorization": f"Bearer {anna.token}"}, {"authorization": "Bearer forged"}):
        for wrong in forged:
            answer = await shop.http.get(f"/r/{wrong}", headers={"user-agent": BROWSERS[0], **headers})
            assert (answer.status_code, answer.headers.get("location")) == (404, None), wrong
    assert await shop.owner.fetchval(STORED) == 0


async def test_no_agent_and_no_address_is_stored_or_logged(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    path = urlsplit((await click(await shop.anonymous(), await sold_by(shop, "north-shop")))["redirectUrl"]).path
    app = shop.http._transport.app  # type: ignore[attr-defined]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("203.0.113.77", 1)), base_url="http://shop"
    ) as http:
        for agent in ("Mozilla/5.0 (iPhone; tell-tale) Mobile", "tell-tale-bot/1.0", "curl/8 tell-tale"):
            assert (await http.get(path, headers={"user-agent": agent})).status_code == 302
    await shop.services.storage_use.share()
    tables = await shop.owner.fetch(
        "select oid::regclass::text as name from pg_class where relkind = 'r'"
        " and relnamespace::regnamespace::text in ('public', 'private')"
    )
    everything = [await shop.owner.fetchval(f"select jsonb_agg(t)::text from {row['name']} t") for row in tables]
    assert re.findall(r"tell-tale|203\.0\.113", f"{everything} {capsys.readouterr()}") == []


HIT = "select private.record_affiliate_redirect($1, null, 'mobile', null, null)"
ROUTE = "select * from private.route_affiliate_click($1)"
SUBSTITUTE = "select private.substitute_affiliate_click($1, $1, null)"
ATTRIBUTED = "select from private.attributed_conversions('last') where $1::uuid is not null"
READ = "select from public.affiliate_redirects where click_id = $1"
FORGED = "insert into public.affiliate_redirects (user_id, click_id) values ($1, $1)"


async def test_only_the_service_records_and_reads_hits(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    for caller in (NOBODY, VISITOR, ANNA, BEN, ANALYST, ADMIN):
        for statement in (HIT, ROUTE, SUBSTITUTE, ATTRIBUTED, READ, FORGED):
            transaction = login.transaction()
            await transaction.start()
            await become(login, caller)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.fetch(statement, canary_id("affiliate_clicks", "anna"))
            await transaction.rollback()


async def test_a_click_is_no_click_in_place_of_anothers(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    """People make clicks through a function that takes no such argument, and cannot write the column."""
    transaction = login.transaction()
    await transaction.start()
    await become(login, BEN)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.execute(
            "update public.affiliate_clicks set substitute_of = $1", canary_id("affiliate_clicks", "anna")
        )
    await transaction.rollback()
