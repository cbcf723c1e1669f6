"""Suspicious sales are flagged and held, whatever the order in which they came, and until a person releases them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.claims import SERVICE
from domain import ids
from domain.affiliate import encode_token
from domain.errors import UserError
from domain.fraud import Limits
from services import conversion_flags, ledger
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_gift_links import make, token_of, visit
from tests.integration.test_ledger import reconciled
from tests.ledger import ORDERED_AT, awin, report

CLICK = """
mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { click { id } userErrors { code } } }
"""
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) Mobile/15E148"
DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
HELD = "select f.kind from public.conversion_flags f where f.is_held order by f.kind, f.id"
STANDING = """
select v.reference, f.kind, f.detail, f.click_id from public.conversion_flags f
join public.conversions v on v.id = f.conversion_id where f.cleared_at is null order by 1, 2, 3
"""
FEW = Limits(visitor_clicks=2, network_clicks=3, visitor_sales=2, network_sales=3)


async def clicked(shop: Shop, client: Client, at: datetime, name: str = "Books 1", **more: Any) -> UUID:
    made = await client.do(CLICK, input={"productId": (await client.product(name))["id"], **more})
    id = ids.decode_as("AffiliateClick", made["click"]["id"])
    assert id
    await shop.owner.execute("update public.affiliate_clicks set click_timestamp = $2 where id = $1", id, at)
    return id


async def followed(shop: Shop, click: UUID, at: datetime, *, by: str = PHONE, address: str = "192.0.2.1") -> None:
    app = shop.http._transport.app  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as visitor:
        assert (await visitor.get(f"/r/{encode_token(click)}", headers={"user-agent": by})).status_code == 302
    await shop.owner.execute(
        "update public.affiliate_redirects set redirected_at = $2, visited_hour = date_trunc('hour', $2, 'UTC')"
        " where click_id = $1 and visited_hour > $2",
        click,
        at,
    )


async def flag(shop: Shop, limits: Limits = FEW) -> dict[str, int]:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        return dict(await conversion_flags.update_all(session, limits))


async def held(shop: Shop) -> list[str]:
    return [row["kind"] for row in await shop.owner.fetch(HELD)]


async def decide(shop: Shop, reference: str, reason: str = "Checked.", *, holds: bool = False) -> None:
    id = await shop.owner.fetchval("select id from public.conversions where reference = $1", reference)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await (conversion_flags.hold if holds else conversion_flags.release)(session, id, reason)


def ordered(reference: str, after: timedelta = timedelta(), **more: Any) -> dict[str, Any]:
    """A sale at a minute that no rule takes for the name of a day."""
    at = ORDERED_AT + timedelta(minutes=34, seconds=56) + after
    return awin(reference, transactionDate=at.strftime("%Y-%m-%dT%H:%M:%S"), **more)


AT = ORDERED_AT + timedelta(minutes=34, seconds=56)


async def test_an_order_under_two_references_or_networks_is_flagged_but_the_first(shop: Shop) -> None:
    await report(
        shop.services,
        ordered("T2", timedelta(minutes=1), orderRef="1001"),
        ordered("T1", orderRef="1001"),
        ordered("T3", timedelta(minutes=2), orderRef="1002"),
        ordered("T4", timedelta(minutes=3), orderRef="1001", advertiserId=78),  # another shop's 1001
        ordered("T5", timedelta(minutes=4)),
        ordered("T6", timedelta(minutes=4)),
    )
    before = await reconciled(shop)
    assert await flag(shop) == {"duplicate_order": 1}
    (row,) = await shop.owner.fetch(STANDING)
    assert (row["reference"], row["detail"]) == ("T2", "order 1001 is also awin T1")
    assert await reconciled(shop) == before, "figures and exceptions do not depend on flags"
    for network, advertiser in (("awin", "78"), ("awin", "77")):  # both turn out to be one shop's
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            await ledger.set_advertiser(session, network, advertiser, "north-shop")
    assert await flag(shop) == {"duplicate_order": 1}
    assert [row["reference"] for row in await shop.owner.fetch(STANDING)] == ["T2", "T4"]
    assert await flag(shop) == {}


async def test_a_sale_within_seconds_of_its_click(shop: Shop) -> None:
    anna = await shop.anonymous()
    early, late = [await clicked(shop, anna, AT - timedelta(seconds=seconds)) for seconds in (9, 10)]
    await report(shop.services, ordered("T1", click=early), ordered("T2", click=late))
    assert await flag(shop, Limits()) == {"early_sale": 1}
    assert [row["reference"] for row in await shop.owner.fetch(STANDING)] == ["T1"]


async def sales_of_visits(
    shop: Shop, visits: Sequence[tuple[str, str]], *, hours: Sequence[int] = (1,) * 9
) -> list[dict[str, Any]]:
    """A sale for each visit (agent, address), each by a click of its own person."""
    found = []
    for number, ((agent, address), hour) in enumerate(zip(visits, hours, strict=False), 1):
        at = AT - timedelta(hours=hour)
        click = await clicked(shop, await shop.anonymous(), at)
        await followed(shop, click, at, by=agent, address=address)
        found.append(ordered(f"T{number}", timedelta(minutes=number), click=click))
    return found


NEAR, SAME_24, FAR = "192.0.2.1", "192.0.2.9", "198.51.100.1"


@pytest.mark.parametrize(
    ("visits", "hours", "kinds"),
    [
        ([(PHONE, NEAR)] * 2, (1, 1), {}),
        ([(PHONE, NEAR)] * 3, (1, 1, 1), {"visitor_clicks": 3, "visitor_sales": 3}),
        ([(PHONE, NEAR)] * 3, (1, 2, 3), {"visitor_sales": 3}),  # never three in an hour
        ([(PHONE, NEAR), (PHONE, NEAR), (PHONE, FAR), (PHONE, FAR)], (1,) * 4, {}),
        (
            [(PHONE, NEAR), (PHONE, NEAR), (DESK, SAME_24), (DESK, SAME_24)],
            (1,) * 4,
            {"network_clicks": 4, "network_sales": 4},
        ),
    ],
    ids=["few", "a visitor", "a visitor slowly", "two networks", "a network"],
)
async def test_velocity(
    shop: Shop, visits: list[tuple[str, str]], hours: tuple[int, ...], kinds: dict[str, int]
) -> None:
    await report(shop.services, *await sales_of_visits(shop, visits, hours=hours))
    assert await flag(shop) == kinds


async def test_visitors_who_ask_for_privacy_are_not_told_apart(shop: Shop) -> None:
    sales = await sales_of_visits(shop, [(PHONE, NEAR)] * 4)
    await shop.owner.execute("update public.affiliate_redirects set visitor_hash = null, network_hash = null")
    await report(shop.services, *sales)
    assert await flag(shop) == {}


async def test_hashes_cannot_be_compared_across_days_and_say_no_address(shop: Shop) -> None:
    click = await clicked(shop, await shop.anonymous(), AT)
    await followed(shop, click, AT)
    row = await shop.owner.fetchrow("select * from public.affiliate_redirects")
    assert row
    assert len(row["network_hash"]) == len(row["visitor_hash"]) == 16
    assert "192.0.2" not in str(dict(row))
    hashes = {shop.services.visitor_pseudonyms.of("192.0.2.0/24", day * 86400.0) for day in range(3)}
    assert len(hashes) == 3


async def test_a_gift_link_that_its_own_maker_follows(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    token = token_of(await make(anna, (await anna.product("Books 1"))["id"]))
    own = await clicked(shop, anna, AT - timedelta(hours=1), giftLinkToken=token)
    of_ben = await clicked(shop, ben, AT - timedelta(hours=1), giftLinkToken=token)
    await report(shop.services, ordered("T1", click=own), ordered("T2", click=of_ben))
    assert await flag(shop) == {"own_gift_link": 1}
    assert [row["reference"] for row in await shop.owner.fetch(STANDING)] == ["T1"]


async def test_a_gift_link_followed_by_the_device_of_its_maker(shop: Shop) -> None:
    anna = await shop.anonymous()
    await visit(shop, await make(anna, (await anna.product("Books 1"))["id"]), **{"user-agent": PHONE})
    click = await shop.owner.fetchval("select id from public.affiliate_clicks")
    await report(shop.services, ordered("T1", click=click))
    assert await flag(shop) == {}, "a stranger's purchase, though the click is in the maker's name"
    hit = await shop.owner.fetchrow("select * from public.affiliate_redirects")
    assert hit
    own = await clicked(shop, anna, AT - timedelta(hours=1))
    await followed(shop, own, AT - timedelta(hours=1))
    await shop.owner.execute(
        "update public.affiliate_redirects set visitor_hash = $2 where click_id = $1", own, hit["visitor_hash"]
    )
    assert await flag(shop) == {"own_gift_link": 1}


async def test_a_spike_of_hits_of_a_product(shop: Shop) -> None:
    anna = await shop.anonymous()
    hour = AT - timedelta(hours=1)
    clicks = [await clicked(shop, anna, hour, campaign="summer") for _ in range(3)]
    await report(shop.services, ordered("T1", click=clicks[0]))
    for number, click in enumerate(clicks[:2]):
        await followed(shop, click, hour, address=f"203.0.{number}.1")
    limits = Limits(spike_hits=3, spike_factor=2)
    assert await flag(shop, limits) == {}
    await followed(shop, clicks[2], hour, address="203.0.9.1")
    assert await flag(shop, limits) == {"click_spike": 3}, "of the product, the campaign and the network"
    for days in range(1, 8):  # usual from then on: two in each hour of the week before
        await shop.owner.execute(
            "insert into public.affiliate_redirects (user_id, click_id, redirected_at, visited_hour, visitor_hash)"
            " select c.user_id, c.id, t.at, date_trunc('hour', t.at, 'UTC'), substr(sha256(int4send(n)), 1, 16)"
            " from public.affiliate_clicks c, generate_series(1, 48) n,"
            " lateral (select $2::timestamptz - $3 * interval '1 day' + (n % 24) * interval '1 hour') t (at)"
            " where c.id = $1 on conflict do nothing",
            clicks[0],
            hour - timedelta(hours=1),
            days,
        )
    await report(shop.services, ordered("T2", click=clicks[1]))
    assert await flag(shop, limits) == {}
    assert len(await held(shop)) == 3, "and what was flagged stays so"


async def test_what_is_released_is_not_held_again_for_the_same_facts(shop: Shop) -> None:
    anna = await shop.anonymous()
    click, other = [await clicked(shop, anna, AT - timedelta(seconds=seconds)) for seconds in (3, 2)]
    sale = ordered("T1", click=click, orderRef="1001")
    await report(shop.services, ordered("T0", -timedelta(minutes=1), orderRef="1001"), sale)
    assert await flag(shop) == {"duplicate_order": 1, "early_sale": 1}
    await decide(shop, "T1", " They ordered twice. ")
    rows = await shop.owner.fetch("select release_reason, is_held from public.conversion_flags")
    assert {tuple(row) for row in rows} == {("They ordered twice.", False)}
    assert not await shop.owner.fetchval("select bool_or(is_held) from public.conversions")
    await report(shop.services, sale, ordered("T1", status="approved", click=click, orderRef="1001"))
    assert await flag(shop) == {}
    assert await held(shop) == []
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("ledger_decisions.match", network="awin", reference="T1", click=other)
        await ledger.rebuild(session)
    assert await flag(shop) == {"early_sale": 1}, "another click is another fact"
    assert await held(shop) == ["early_sale"]


async def test_what_no_longer_holds_is_cleared_and_not_deleted(shop: Shop) -> None:
    click = await clicked(shop, await shop.anonymous(), AT - timedelta(seconds=3))
    await report(shop.services, ordered("T1", click=click))
    assert await flag(shop) == {"early_sale": 1}
    assert await flag(shop, Limits(early_sale_seconds=1)) == {}
    assert await held(shop) == []
    assert await shop.owner.fetchval("select count(*) from public.conversion_flags") == 1
    assert await flag(shop) == {}, "the same flag, as found at first"
    assert await held(shop) == ["early_sale"]


async def test_nobody_frees_a_sale_by_erasing_the_person(shop: Shop) -> None:
    sales = await sales_of_visits(shop, [(PHONE, NEAR)] * 3)
    await report(shop.services, *sales)
    await flag(shop)
    before = await held(shop)
    assert "visitor_sales" in before
    await shop.owner.execute("delete from public.profiles")
    assert await flag(shop) == {}
    assert await held(shop) == before


async def test_holds_by_hand(shop: Shop) -> None:
    await report(shop.services, ordered("T1"))
    await decide(shop, "T1", "The shop asked.", holds=True)
    assert await flag(shop) == {}
    assert await held(shop) == ["manual"]
    for reference, holds, says in (("T1", True, "held already"), ("T9", False, "no such"), ("T9", True, "no such")):
        with pytest.raises(UserError, match=says):
            await decide(shop, reference, holds=holds)
    with pytest.raises(UserError, match="Say why"):
        await decide(shop, "T1", "  ")
    await decide(shop, "T1")
    with pytest.raises(UserError, match="not held"):
        await decide(shop, "T1")
    await decide(shop, "T1", holds=True)
    assert await held(shop) == ["manual"]


@pytest.mark.parametrize("seed", range(3))
async def test_flags_are_equal_whatever_the_order_of_imports(shop: Shop, seed: int) -> None:
    sales = await sales_of_visits(shop, [(PHONE, NEAR)] * 3 + [(DESK, SAME_24)])
    for sale, order in zip(sales, ("1001", "1001", "1002", "1001"), strict=True):
        sale["orderRef"] = order
    random.Random(seed).shuffle(sales)
    for sale in [*sales, sales[0]]:
        done = await report(shop.services, sale)
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            await conversion_flags.update(session, FEW, {key.id for key in done.keys})
    standing = [tuple(row)[:3] for row in await shop.owner.fetch(STANDING)]
    assert standing == sorted(
        [
            *((f"T{n}", "duplicate_order", "order 1001 is also awin T1") for n in (2, 4)),
            *((f"T{n}", "visitor_clicks", "3 links followed by one visitor in the hour") for n in (1, 2, 3)),
            *((f"T{n}", "visitor_sales", "3 sales came from one visitor's clicks of the day") for n in (1, 2, 3)),
            *((f"T{n}", "network_clicks", "4 links followed from one network in the hour") for n in (1, 2, 3, 4)),
            *((f"T{n}", "network_sales", "4 sales came from one network's clicks of the day") for n in (1, 2, 3, 4)),
        ]
    )
    assert await flag(shop, FEW) == {}, "an import finds all that follows from it"
