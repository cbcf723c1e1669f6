"""Reports become conversions, postings and exceptions; facts are only added."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.claims import SERVICE
from domain.affiliate import encode_token
from domain.ledger import amazon, generic, payments, rakuten, rates
from domain.ledger.booking import FIGURES
from resolvers import reconciliation
from services import ledger
from services.ledger import Imported
from tests.conftest import Shop
from tests.integration.waiting import until
from tests.ledger import awin, report

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"
CONVERSIONS = "{ me { analytics { conversions } } }"
FACTS = ("conversion_reports", "exchange_rates", "ledger_entries", "payments")


async def click(shop: Shop) -> tuple[Any, asyncpg.Record]:
    """Somebody, and their click on a product of a network; its rate is 5 %."""
    somebody = await shop.anonymous()
    await somebody.do(CLICK, id=(await somebody.product("Books 1"))["id"])
    row = await shop.owner.fetchrow("select * from public.affiliate_clicks order by id desc limit 1")
    assert row
    return somebody, row


async def pay(
    shop: Shop, amount: str, *, reference: str = "P1", period: str = "2026-07-01,2026-07-31", **others: str
) -> Imported:
    """Imports a payment; `others` are columns of the file."""
    row = {"network": "awin", "advertiser_id": "77", "currency": "GBP", "paid_on": "2026-08-20", **others}
    start, _, end = period.partition(",")
    text = f"{','.join(payments.COLUMNS)}\n" + ",".join(
        (row["network"], row["advertiser_id"], "", start, end, row["currency"], amount, row["paid_on"], reference)
    )
    rows, rejects = payments.read(text)
    assert not rejects
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        return await ledger.import_payments(session, rows)


async def reconciled(shop: Shop) -> dict[str, Any]:
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        return await reconciliation.report(session, None)


async def figures(shop: Shop, currency: str = "GBP") -> dict[str, str]:
    """The six figures that are not zero."""
    sums = (await reconciled(shop))["currencies"][currency]
    return {name: sums[name] for name in FIGURES if sums[name] != "0.00"}


async def balances(shop: Shop) -> dict[str, int]:
    rows = await shop.owner.fetch(
        "select account, sum(amount_minor) from public.ledger_entries group by 1 having sum(amount_minor) <> 0"
    )
    return {row[0]: int(row[1]) for row in rows}


async def test_a_sale_takes_what_it_needs_from_its_click_and_outlives_it(shop: Shop) -> None:
    _, row = await click(shop)
    await report(shop.services, awin("A1", click=row["id"], sale="20.10"))
    sale = await shop.owner.fetchrow("select * from public.conversions")
    assert sale
    assert [sale[name] for name in ("user_id", "retailer_id", "product_id")] == [
        row[name] for name in ("user_id", "retailer_id", "product_id")
    ]
    assert sale["clicked_at"] == row["click_timestamp"]
    assert sale["expected_minor"] == 101, "5 % of 20.10, half up"

    await shop.owner.execute("delete from public.profiles where id = $1", row["user_id"])

    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.rebuild(session)
    after = await shop.owner.fetchrow("select * from public.conversions")
    assert after
    assert (after["user_id"], after["pending_minor"], after["expected_minor"]) == (None, 120, 101)
    kept = await shop.owner.fetchrow("select raw, click_refs, amount_minor from public.conversion_reports")
    assert kept and tuple(kept) == (None, None, 120)


async def test_a_click_has_earned_what_its_sales_say_now(shop: Shop) -> None:
    somebody, row = await click(shop)

    async def earned() -> Any:
        return await shop.owner.fetchval("select actual_commission_minor from public.affiliate_clicks")

    async def conversions() -> int:
        found: int = (await somebody.ask(CONVERSIONS))["me"]["analytics"]["conversions"]
        return found

    assert (await earned(), await conversions()) == (None, 0)
    clicked = {"click": row["id"]}
    await report(
        shop.services, awin("A1", commission="0.70", **clicked), awin("A2", "approved", commission="0.30", **clicked)
    )
    await report(shop.services, awin("A3", "approved", commission="9.00", currency="USD", **clicked))
    assert (await earned(), await conversions()) == (100, 1)
    await report(shop.services, awin("A1", "declined", commission="0.70", **clicked))
    assert await earned() == 30
    await report(shop.services, awin("A2", "declined", commission="0.30", validated="2026-07-25T00:00:00", **clicked))
    assert (await earned(), await conversions()) == (None, 0)


async def test_concurrent_imports_wait_for_each_other(shop: Shop) -> None:
    _, row = await click(shop)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("ledger.lock")
        second = asyncio.create_task(report(shop.services, awin("A2", click=row["id"])))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
        assert await shop.owner.fetchval("select count(*) from public.conversions") == 0
    await second
    assert await figures(shop) == {"pending": "1.20"}


async def test_a_repeated_report_is_no_new_fact(shop: Shop) -> None:
    assert await report(shop.services, awin("A1"), awin("A1")) == Imported(1, 1)
    assert await report(shop.services, awin("A1"), awin("A1", "approved")) == Imported(1, 1)
    assert await figures(shop) == {"approved": "1.20"}


async def test_every_state_is_booked_and_balances(shop: Shop) -> None:
    _, row = await click(shop)
    await report(shop.services, awin("A1", click=row["id"], commission="10.00"))
    assert await balances(shop) == {"tracked": 1000, "deferred": -1000, "expected": 100, "expectation": -100}
    kept = await shop.owner.fetchrow("select click_id, first_click_id, matched_by from public.conversion_clicks")
    assert kept and tuple(kept) == (row["id"], row["id"], "click_id")
    await report(shop.services, awin("A1", "approved", click=row["id"], commission="10.00"))
    assert await balances(shop) == {"approved": 1000, "income": -1000, "expected": 100, "expectation": -100}
    await pay(shop, "10.00")
    assert await balances(shop) == {"received": 1000, "income": -1000, "expected": 100, "expectation": -100}
    late = awin(
        "A1", "approved", click=row["id"], commission="6.00", old="10.00", validated="2026-08-25T00:00:00", paid=True
    )
    await report(shop.services, late)
    assert await figures(shop) == {"paid": "6.00", "clawback": "4.00"}
    assert (await balances(shop))["receivable"] == -400, "the network will keep it back"
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await shop.owner.fetch(off) == []
    assert (await reconciled(shop))["exceptions"] == 0


async def test_what_arrives_late_is_booked_by_added_postings(shop: Shop) -> None:
    await report(shop.services, awin("A1", "approved", commission="5.00", validated="2026-07-20T00:00:00"))
    first = await shop.owner.fetch("select * from public.ledger_entries order by id")
    await report(shop.services, awin("A1", commission="7.00"))
    entries = await shop.owner.fetch("select * from public.ledger_entries order by id")
    assert [row for row in entries if row in first] == first
    assert len(entries) > len(first)
    assert await balances(shop) == {"approved": 500, "income": -500}


async def test_a_payment_that_does_not_meet_its_rows_is_an_exception_until_it_does(shop: Shop) -> None:
    await pay(shop, "3.00")
    assert (await reconciled(shop))["exceptions"] == 1
    await report(shop.services, awin("A1", "approved", commission="1.00"))
    (kind,) = await shop.owner.fetch("select kind from public.exceptions where closed_at is null")
    assert kind[0] == "over_payment"
    found = await reconciled(shop)
    assert found["by"][0]["variance"] == "-1.00"
    assert await figures(shop) == {"approved": "1.00"}
    await report(shop.services, awin("A2", "approved", commission="2.00"))
    assert (await reconciled(shop))["exceptions"] == 0
    assert await figures(shop) == {"paid": "3.00"}
    assert await pay(shop, "3.00") == Imported(0, 1)


async def test_what_fits_no_transition_moves_no_money(shop: Shop) -> None:
    await report(shop.services, awin("A1", "declined", commission="1.00"))
    await report(shop.services, awin("A1", "approved", commission="1.00", validated="2026-07-25T00:00:00"))
    found = await reconciled(shop)
    assert found["exceptions"] == 1
    assert await figures(shop) == {"declined": "1.00"}


async def test_only_a_click_of_ours_matches_and_never_a_guess(shop: Shop) -> None:
    _, row = await click(shop)
    north = await shop.owner.fetchval("select retailer_id from public.affiliate_clicks")
    at = row["click_timestamp"].strftime("%Y-%m-%dT%H:%M:%S")
    await report(shop.services, awin("foreign", click=UUID(int=1)), awin("timed", clickDate=at))
    assert (await reconciled(shop))["unmatched"] == 2, "the advertiser is unknown"
    await shop.owner.execute(
        "insert into public.advertisers (affiliate_network, advertiser_id, retailer_id) values ('awin', '77', $1)",
        north,
    )
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.rebuild(session)
    found = await reconciled(shop)
    assert found["unmatched"] == 1
    assert {each["retailer"] for each in found["by"]} == {"north-shop"}
    await click(shop)
    await report(shop.services, awin("between two", clickDate=at))
    assert (await reconciled(shop))["unmatched"] == 2


@pytest.mark.parametrize("seed", range(3))
async def test_order_and_repeats_of_imports_do_not_matter(shop: Shop, seed: int) -> None:
    _, row = await click(shop)
    clicked = {"click": row["id"]}
    files: list[Any] = [
        [awin("A1", commission="10.00", **clicked), awin("A2", commission="3.00")],
        [awin("A1", "approved", commission="10.00", **clicked), awin("A2", "declined", commission="3.00")],
        [awin("A1", "approved", commission="10.00", paid=True, **clicked), awin("A3", "approved", commission="4.00")],
        [awin("A1", "approved", commission="7.50", old="10.00", validated="2026-08-22T00:00:00", paid=True, **clicked)],
        [awin("A3", "declined", commission="4.00", validated="2026-08-01T00:00:00")],
        "payment",
    ]
    files = files * 3
    random.Random(seed).shuffle(files)
    for file in files:
        await (pay(shop, "10.00") if file == "payment" else report(shop.services, *file))
    assert await figures(shop) == {"declined": "3.00", "reversed": "4.00", "paid": "7.50", "clawback": "2.50"}
    assert (await reconciled(shop))["exceptions"] == 0
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        assert await ledger.rebuild(session) == 3
        assert await ledger.fingerprint(session) == before


async def test_conversions_that_are_gone_are_derived_again(shop: Shop) -> None:
    await report(shop.services, awin("A1", commission="10.00"))
    await shop.owner.execute("update public.conversions set pending_minor = 99, status = 'paid'")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.rebuild(session)
    assert await figures(shop) == {"pending": "10.00"}


async def test_an_amazon_row_needs_no_click_and_takes_back_in_its_own_month(shop: Shop) -> None:
    rows = ("B1,t-20,2026-07-30,5.00", "B1,t-20,2026-07-30,5.00", "B1,t-20,2026-08-02,-5.00")
    text = "\n".join(("ASIN,Tracking ID,Date Shipped,Ad Fees($)", *rows))
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.import_reports(session, amazon.read(text).reports, source="import")
    found = await reconciled(shop)
    assert [(row["month"], row["approved"], row["reversed"]) for row in found["by"]] == [
        ("2026-07", "10.00", "0.00"),
        ("2026-08", "-5.00", "5.00"),
    ]
    assert found["unmatched"] == 3


@pytest.mark.parametrize("table", FACTS)
@pytest.mark.parametrize("role", ["", "service_role", "authenticated"])
async def test_facts_are_nobodys_to_change(shop: Shop, table: str, role: str) -> None:
    await report(shop.services, awin("A1", "approved"))
    await pay(shop, "1.20")
    column = {"conversion_reports": "raw = null", "exchange_rates": "rate = 1"}.get(table, "amount_minor = 0")
    admin = json.dumps({"role": "authenticated", "sub": str(UUID(int=3)), "app_metadata": {"role": "admin"}})
    for statement in (
        f"update public.{table} set {column}",
        f"delete from public.{table}",
        f"truncate public.{table} cascade",
    ):
        connection = await asyncpg.connect(shop.dsns.api if role else shop.dsns.owner)
        await connection.execute("select set_config('request.jwt.claims', $1, false)", admin)
        await connection.execute("select set_config('role', $1, false)", role or "none")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()


async def test_an_unbalanced_transaction_is_refused_at_commit(shop: Shop) -> None:
    await pay(shop, "1.00")
    with pytest.raises(asyncpg.CheckViolationError, match="off balance by 5 minor units of GBP"):
        await shop.owner.execute(
            "insert into public.ledger_entries (transaction_id, payment_id, account, amount_minor, currency, event_at)"
            " select gen_random_uuid(), id, 'received', 5, 'GBP', now() from public.payments"
        )


async def test_amounts_in_the_reporting_currency_have_a_rate_or_are_unknown(shop: Shop) -> None:
    await report(shop.services, awin("A1", commission="10.01", currency="EUR"), awin("A2", commission="1.00"))

    async def pending() -> Any:
        async with shop.services.database.session(SERVICE, read_only=True) as session:
            found = await reconciliation.report(session, None, "GBP")
        return found["reporting"]["pending"]

    async def add(*rows: tuple[str, str, str]) -> tuple[Imported, int]:
        text = "\n".join(["date,currency,rate,source", *(f"{day},EUR,{rate},{source}" for day, rate, source in rows)])
        found, rejects = rates.read(text, "GBP")
        assert not rejects
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            done, differing = await ledger.import_rates(session, found, "GBP")
        return done, len(differing)

    assert await pending() is None
    await add(("2026-07-04", "0.9", "ecb"))
    assert await pending() is None, "a rate of the day after the order"
    assert await add(("2026-06-30", "0.7", "ecb"), ("2026-07-02", "0.85", "ecb")) == (Imported(2, 0), 0)
    assert await pending() == "9.51", "10.01 EUR are 8.51, and 1.00"
    assert await add(("2026-07-02", "0.8", "ecb"), ("2026-07-02", "0.85", "ecb")) == (Imported(0, 2), 2)
    await report(shop.services, awin("A1", "declined", commission="10.01", currency="EUR"))
    assert await pending() == "1.00", "nothing is left of another day's rate"
    off = "select 1 from private.reported_entries('GBP') group by transaction_id having sum(amount_minor) <> 0"
    assert await shop.owner.fetch(off) == []


async def test_an_advertiser_that_becomes_known_names_the_shop_of_its_sales(shop: Shop) -> None:
    await report(shop.services, awin("A1"), awin("A2", currency="USD"))
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.set_advertiser(session, "awin", "77", "no-shop") is None
        assert await ledger.set_advertiser(session, "awin", "77", "south-shop") == 2
        assert await ledger.set_advertiser(session, "awin", "77", "north-shop", "USD") == 2
    found = await reconciled(shop)
    assert {row["currency"]: row["retailer"] for row in found["by"]} == {"GBP": "south-shop", "USD": "north-shop"}


MAPPING = """
format = "json"
rows = "data.sales"
states = {P = "pending", A = "approved", D = "declined", X = "paid"}
times = {format = "%Y%m%d", zone = "Europe/Stockholm"}
[fields]
reference = "id"
state = "status"
amount = "money.commission"
currency = "=GBP"
advertiser_id = "program"
ordered_at = "sold"
stated_at = "changed"
click_ref = "epi"
"""


async def test_a_mapping_reads_another_network(shop: Shop) -> None:
    _, row = await click(shop)
    said = {"id": 5, "program": 9, "sold": "20260701", "epi": encode_token(row["id"])}
    rows = [
        {**said, "status": "P", "money": {"commission": "4.00"}, "changed": "20260701"},
        {**said, "status": "A", "money": {"commission": "4.00"}, "changed": "20260710"},
        {**said, "status": "X", "money": {"commission": "4.00"}, "changed": "20260810"},
        {**said, "status": "?", "money": {"commission": "4.00"}, "changed": "20260810"},
    ]
    source = generic.source("partnerize", generic.parse_mapping(MAPPING))
    reading = source.read(json.dumps({"data": {"sales": rows[::-1]}}))
    assert [reject.row for reject in reading.rejects] == [1]
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.import_reports(session, reading.reports, source="import")
    assert await figures(shop) == {"paid": "4.00"}
    (by,) = (await reconciled(shop))["by"]
    assert (by["network"], by["retailer"], by["month"]) == ("partnerize", "north-shop", "2026-06"), (
        "midnight in Stockholm"
    )


async def test_equal_reports_that_fit_nothing_yet_are_one_exception(shop: Shop) -> None:
    header = "Member ID (U1),MID,Order ID,Transaction Date,SKU,Sales,Total Commission,Process Date,Currency"
    ordered, taken_back = ",7,1,7/1/26,a,20.00,{},7/9/26,GBP", ",7,1,7/1/26,a,-20.00,{},8/9/26,GBP"
    for row, amount, exceptions in ((taken_back, "-2.00", 1), (ordered, "2.00", 0)):
        text = "\n".join((header, row.format(amount), row.format(amount)))
        async with shop.services.database.session(SERVICE, read_only=False) as session:
            await ledger.import_reports(session, rakuten.read(text).reports, source="import")
        assert (await reconciled(shop))["exceptions"] == exceptions
    assert await figures(shop) == {"reversed": "4.00"}


async def test_a_token_that_comes_later_counts_more_than_the_time_of_a_click(shop: Shop) -> None:
    _, first = await click(shop)
    _, second = await click(shop)
    await shop.owner.execute(
        "update public.affiliate_clicks set click_timestamp = click_timestamp - interval '1 day' where id = $1",
        second["id"],
    )
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.set_advertiser(session, "awin", "77", "north-shop")
    at = first["click_timestamp"].strftime("%Y-%m-%dT%H:%M:%S")
    await report(shop.services, awin("A1", clickDate=at))
    earned = "select id, actual_commission_minor from public.affiliate_clicks where actual_commission_minor is not null"
    assert [tuple(row) for row in await shop.owner.fetch(earned)] == [(first["id"], 120)]
    await report(shop.services, awin("A1", "approved", clickDate=at, click=second["id"]))
    assert [tuple(row) for row in await shop.owner.fetch(earned)] == [(second["id"], 120)]
    kept = await shop.owner.fetchrow("select click_id, matched_by from public.conversion_clicks")
    assert kept and tuple(kept) == (second["id"], "click_id")

    await shop.owner.execute("delete from public.profiles where id = $1", second["user_id"])
    await report(shop.services, awin("A1", "declined", validated="2026-07-25T00:00:00", click=first["id"]))
    kept = await shop.owner.fetchrow("select click_id, matched_by from public.conversion_clicks")
    assert kept and tuple(kept) == (second["id"], "click_id"), "an erased click is not exchanged for another person's"
    left = "select count(*) from public.conversion_reports where raw is not null or click_refs is not null"
    assert await shop.owner.fetchval(left) == 0, "nor is anything personal kept of later reports"


async def test_a_sale_that_is_reported_after_its_person_was_erased_is_nobodys(shop: Shop) -> None:
    """The click's token comes back, and a time at which somebody else clicked, too."""
    _, gone = await click(shop)
    await click(shop)
    await shop.owner.execute("update public.affiliate_clicks set click_timestamp = $1", gone["click_timestamp"])
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.set_advertiser(session, "awin", "77", "north-shop")
    await shop.owner.execute("delete from public.profiles where id = $1", gone["user_id"])
    at = gone["click_timestamp"].strftime("%Y-%m-%dT%H:%M:%S")
    for status in ("pending", "approved"):
        await report(shop.services, awin("A1", status, click=gone["id"], clickDate=at))
    await report(shop.services, awin("A1", "declined", clickDate=at))
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.rebuild(session)
    kept = await shop.owner.fetch("select raw, click_refs, clicked_at from public.conversion_reports")
    assert [tuple(row) for row in kept] == [(None, None, None)] * 3
    assert await shop.owner.fetchval("select count(*) from public.conversion_clicks") == 0
    assert await shop.owner.fetchval("select user_id from public.conversions") is None

    await report(shop.services, awin("A2", clickDate=at))
    assert await shop.owner.fetchval("select user_id from public.conversions where reference = 'A2'") is not None
    _, there = await click(shop)
    await report(shop.services, awin("A1", "approved", validated="2026-07-26T00:00:00", click=there["id"]))
    matched = "select click_id from public.conversion_clicks where reference = 'A1'"
    assert await shop.owner.fetchval(matched) == there["id"], "a token of a click that is there counts as ever"


async def test_a_sale_that_moves_to_another_advertiser_is_missing_from_the_payment_of_the_first(shop: Shop) -> None:
    await report(shop.services, awin("A1", "approved", commission="3.00"), awin("A2", "approved", commission="1.00"))
    await pay(shop, "4.00")
    assert await figures(shop) == {"paid": "4.00"}
    moved = awin("A1", "approved", commission="3.00", advertiserId=78, transactionDate="2026-07-01T00:00:00", paid=True)
    await report(shop.services, moved)
    found = await reconciled(shop)
    assert found["exceptions"] == 2, "the payment, and the sale of two advertisers"
    assert found["currencies"]["GBP"]["variance"] == "-1.00", "of A2"
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        await ledger.rebuild(session)
        assert await ledger.fingerprint(session) == before


@pytest.mark.parametrize("order", [1, -1])
async def test_a_row_that_comes_again_with_another_advertiser_is_an_exception(shop: Shop, order: int) -> None:
    for row in [awin("A1", "approved"), awin("A1", "approved", advertiserId=78)][::order]:
        await report(shop.services, row)
    await pay(shop, "1.20")
    details = await shop.owner.fetch(
        "select detail from public.exceptions where closed_at is null and kind = 'transition'"
    )
    assert len(details) == 1
    assert {"77", "78"} <= set(details[0]["detail"].replace(",", "").split())
    reports = "select distinct advertiser_id from public.conversion_reports"
    assert {row[0] for row in await shop.owner.fetch(reports)} == {"77", "78"}


async def test_imports_at_once_lose_nothing(shop: Shop) -> None:
    _, row = await click(shop)
    states = [
        awin("A1", click=row["id"], commission="10.00"),
        awin("A1", "approved", click=row["id"], commission="10.00"),
        awin("A1", "approved", commission="6.00", old="10.00", validated="2026-08-25T00:00:00", paid=True),
        awin("A2", "approved", commission="5.00"),
        awin("A2", "declined", commission="5.00", validated="2026-07-25T00:00:00"),
    ]
    await asyncio.gather(*(report(shop.services, state) for state in states * 2), pay(shop, "10.00"))
    assert await figures(shop) == {"paid": "6.00", "clawback": "4.00", "reversed": "5.00"}
    assert (await reconciled(shop))["exceptions"] == 0
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        await ledger.rebuild(session)
        assert await ledger.fingerprint(session) == before


@pytest.mark.parametrize(("currency", "expected"), [("GBP", 500), ("EUR", None)])
async def test_a_flat_amount_is_expected_in_its_own_currency_only(
    shop: Shop, currency: str, expected: int | None
) -> None:
    _, row = await click(shop)
    await shop.owner.execute("update public.affiliate_clicks set commission_flat_minor = 500, currency = 'GBP'")
    await report(shop.services, awin("A1", click=row["id"], currency=currency))
    assert await shop.owner.fetchval("select expected_minor from public.conversions") == expected


async def test_only_the_row_of_a_payment_that_differs_is_told(shop: Shop) -> None:
    await pay(shop, "1.00")
    lines = [f"awin,77,,2026-07-01,2026-07-31,GBP,{amount},2026-08-20,P1" for amount in (1, 2)]
    rows, _ = payments.read("\n".join((",".join(payments.COLUMNS), *lines)))
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        assert await ledger.differing_payments(session, rows) == rows[1:]
