"""Gift links in the database: what ties a click to its link, and what becomes of it when a person's rows move."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from tests.catalogue import fill_catalogue

Connection: TypeAlias = "asyncpg.Connection[Any]"
PROFILE = "insert into public.profiles (is_anonymous) values (true) returning id"
LINK = """
insert into public.gift_links (user_id, product_id, max_uses)
select $1, id, 2 from public.products where name = 'Books 1' returning id
"""
USE = "select * from private.use_gift_link($1, $2, $3, null, null, null, null)"


@pytest.fixture
async def maker(owner: Connection) -> UUID:
    """Somebody with a link to Books 1 that two may use."""
    await fill_catalogue(owner)
    found: UUID = await owner.fetchval(PROFILE)
    await owner.execute(LINK, found)
    return found


async def link_of(owner: Connection) -> UUID:
    found: UUID = await owner.fetchval("select id from public.gift_links")
    return found


async def test_a_click_keeps_what_the_offer_said_and_its_link(owner: Connection, maker: UUID) -> None:
    link, clicker = await link_of(owner), await owner.fetchval(PROFILE)
    made = await owner.fetchrow(USE, link, clicker, None)
    row = await owner.fetchrow(
        "select c.*, p.price_minor as price from public.affiliate_clicks c"
        " join public.products p on p.id = c.product_id where p.name = 'Books 1'"
    )
    assert made is not None and row is not None
    assert (made["click_id"], made["refusal"]) == (row["id"], None)
    assert (row["user_id"], row["gift_link_user_id"], row["gift_link_id"]) == (clicker, maker, link)
    assert row["price_minor"] == row["price"]


async def test_why_there_is_no_click(owner: Connection, maker: UUID) -> None:
    link = await link_of(owner)
    another = await owner.fetchval("select id from public.products where name = 'Books 2'")

    async def refusal(product: UUID | None = None, id: UUID = link) -> str | None:
        made = await owner.fetchrow(USE, id, None, product)
        assert made is not None
        said: str | None = made["refusal"]
        return said

    assert await refusal(id=another) == "unknown"
    assert await refusal(another) == "another product"
    await owner.execute("update public.products set is_active = false where name = 'Books 1'")
    assert await refusal() == "not on offer"
    await owner.execute("update public.products set is_active = true where name = 'Books 1'")
    assert [await refusal() for _ in range(3)] == [None, None, "used up"]
    await owner.execute("update public.gift_links set expires_at = now() - interval '1 day'")
    assert await refusal() == "expired"
    await owner.execute("update public.gift_links set expires_at = null, revoked_at = now()")
    assert await refusal() == "expired"
    counted = "select clicks, (select count(*) from public.affiliate_clicks) from public.gift_links"
    assert tuple(await owner.fetchrow(counted) or ()) == (2, 2)


async def test_a_click_names_a_link_and_its_maker_or_neither(owner: Connection, maker: UUID) -> None:
    await owner.fetchrow(USE, await link_of(owner), None, None)
    for column in ("gift_link_user_id", "gift_link_id"):
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="affiliate_clicks_gift_link_fkey"):
            await owner.execute(f"update public.affiliate_clicks set {column} = null")


async def test_links_can_be_given_to_another_profile_in_one_transaction(owner: Connection, maker: UUID) -> None:
    clicker, heir = await owner.fetchval(PROFILE), await owner.fetchval(PROFILE)
    await owner.fetchrow(USE, await link_of(owner), clicker, None)
    moves = "update public.gift_links set user_id = $1 where user_id = $2"
    follows = "update public.affiliate_clicks set gift_link_user_id = $1 where gift_link_user_id = $2"
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute(moves, heir, maker)
    async with owner.transaction():
        await owner.execute("set constraints all deferred")
        await owner.execute(moves, heir, maker)
        await owner.execute(follows, heir, maker)
    row = await owner.fetchrow("select user_id, gift_link_user_id from public.affiliate_clicks")
    assert tuple(row or ()) == (clicker, heir)
