"""People are erased and sessions merged while their sales are imported: nobody waits for ever, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.claims import SERVICE
from db.session import Session
from domain import ids
from domain.ledger.awin import SOURCE
from services import conversion_flags, ledger
from services.ledger import Imported
from tests.client import Client
from tests.conftest import Shop
from tests.ledger import awin

CLICK = """
mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { click { id } userErrors { code } } }
"""
MERGE = "mutation ($token: String!) { mergeSession(input: {refreshToken: $token}) { swipes userErrors { code } } }"
ERASE = "select private.delete_person($1)"


async def clicks_of(client: Client, number: int) -> list[UUID]:
    product = (await client.product("Books 1"))["id"]
    made = [await client.do(CLICK, input={"productId": product}) for _ in range(number)]
    return [id for each in made if (id := ids.decode_as("AffiliateClick", each["click"]["id"])) is not None]


async def imported(shop: Shop, clicks: list[UUID], state: str, *, repeats: bool = False) -> Imported:
    """A sale per click, of four advertisers in turn; without `repeats` a conflict is an error."""
    rows = [awin(f"A{place}", state, click=click, advertiserId=70 + place % 4) for place, click in enumerate(clicks)]

    async def work(session: Session) -> Imported:
        done = await ledger.import_reports(session, SOURCE.read(json.dumps(rows)).reports, source="import")
        await conversion_flags.update(session, shop.services.settings.fraud_limits, {key.id for key in done.keys})
        return done

    if repeats:
        return await shop.services.database.transaction(SERVICE, work)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        return await work(session)


async def person_of(client: Client) -> UUID:
    person = ids.decode_as("Profile", await client.my_id())
    assert person
    return person


@pytest.mark.drill
async def test_people_are_erased_while_their_sales_are_imported(shop: Shop, superuser: asyncpg.Connection[Any]) -> None:
    """No import is repeated here: there is one order of locks, and no deadlock."""
    people = [await shop.anonymous() for _ in range(6)]
    clicks = [click for person in people for click in await clicks_of(person, 8)]
    random.Random(5).shuffle(clicks)
    await imported(shop, clicks, "pending")

    async def erase() -> None:
        for person in people[:5]:
            await superuser.fetchval(ERASE, await person_of(person))
            await asyncio.sleep(0.02)

    erased = asyncio.create_task(erase())
    for state in ("approved", "declined", "approved"):
        await imported(shop, clicks, state)
    await erased
    await _is_whole(shop, len(clicks))
    assert await shop.owner.fetchval("select count(*) from public.conversions where user_id is not null") == 8


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.drill
async def test_sessions_are_merged_while_their_sales_are_imported(shop: Shop) -> None:
    sessions = [await shop.anonymous() for _ in range(5)]
    clicks = [click for session in sessions for click in await clicks_of(session, 8)]
    random.Random(6).shuffle(clicks)
    await imported(shop, clicks, "pending")
    accounts = [await shop.account(f"{number}-{uuid4()}@people.example") for number in range(5)]

    async def merge() -> None:
        for session, account in zip(sessions, accounts, strict=True):
            merged = await account.do(MERGE, token=session.refresh_token)
            assert merged["userErrors"] == []

    merging = asyncio.create_task(merge())
    for state in ("approved", "declined", "approved"):
        await imported(shop, clicks, state, repeats=True)
    await merging
    await _is_whole(shop, len(clicks))
    owners = {row[0] for row in await shop.owner.fetch("select distinct user_id from public.conversions")}
    assert owners == {await person_of(account) for account in accounts}


async def _is_whole(shop: Shop, sales: int) -> None:
    assert await shop.owner.fetchval("select count(*) from public.conversions") == sales
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.rebuild_and_compare(session) == (sales, False)
