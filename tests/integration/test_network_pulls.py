"""Pulls from the APIs of networks: what is asked for, what is imported, what is repeated, and what a failure leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from db.claims import SERVICE
from domain.ledger import generic
from resolvers import reconciliation
from services import ledger, network_pulls
from services.network_clients import api
from services.network_clients.api import MAX_ANSWER_BYTES, MAX_ATTEMPTS, PullFailed
from services.network_clients.client import Account
from services.network_clients.clients import CLIENTS
from services.network_pulls import BadAccount, NotDue, Pulled, PullsFailed
from settings import Settings
from tests.conftest import Shop
from tests.feed_server import Handler, feed_server
from tests.ledger import awin
from tests.month import END, FIRST, SHOPS, Month, figures_of, prepare
from tests.network_server import PASSWORD, PUBLISHER, TOKEN, Networks

NOW = datetime(2026, 7, 30, 12, tzinfo=UTC)
SECRETS = {
    "token": TOKEN,
    "report_token": TOKEN,
    "client_id": TOKEN,
    "client_secret": PASSWORD,
    "user": "us3r",
    "password": PASSWORD,
    "secret_key": TOKEN,
}
WEBGAINS = """
format = "json"
rows = "data"
states = {10 = "paid", 20 = "approved", 30 = "pending", 70 = "declined"}
times = {format = "unix"}
decimals = 4

[fields]
reference = "id"
state = "status"
amount = "commission.amount"
currency = "commission.currency_code"
advertiser_id = "program.id"
ordered_at = "date"
sale = "value.amount"
click_ref = "click_reference"
"""


@pytest.fixture
def networks() -> Iterator[Networks]:
    with feed_server() as running:
        yield Networks(running)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"SOURCE_{name.upper()}", value)


def account(networks: Networks, code: str, **changes: Any) -> Account:
    """An account of a network at the local server."""
    base = networks.server.url("")
    mapping = msgspec.json.encode(generic.parse_mapping(WEBGAINS)).decode() if code == "webgains" else None
    options = {"cj": {"currency": "USD"}, "tradedoubler": {"currency": "EUR"}, "rakuten": {"reports_url": base}}
    made = Account(
        code,
        "main",
        PUBLISHER,
        base,
        {name: f"SOURCE_{name.upper()}" for name in CLIENTS[code].secrets},
        options.get(code, {}),
        mapping,
    )
    return dataclasses.replace(made, **changes)


class Waits(list[float]):
    """Instead of sleeping."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


async def pull(shop: Shop, pulled: Account, *, settings: Settings | None = None, **options: Any) -> Pulled:
    """Stores the account and pulls it, as of NOW and without waiting."""
    if not await network_pulls.accounts(shop.services.database, pulled.network, pulled.name):
        await network_pulls.put_account(shop.owner, pulled)
    chosen = settings or msgspec.structs.replace(shop.services.settings, allow_private_sources=True)
    given: dict[str, Any] = {"started_by": "anna", "now": NOW, "sleep": Waits(), **options}
    return await network_pulls.pull(shop.services.database, chosen, pulled, **given)


async def watermarks(shop: Shop) -> dict[str, datetime]:
    return {
        row["date_type"]: row["read_until"]
        for row in await shop.owner.fetch("select date_type, read_until from public.network_watermarks")
    }


async def reports(shop: Shop) -> list[str]:
    found = await shop.owner.fetch("select reference from public.conversion_reports order by reference")
    return [row["reference"] for row in found]


def sale(
    reference: str, day: str, status: str = "pending", validated: str | None = None, **more: Any
) -> dict[str, Any]:
    validated = f"{validated}T09:00:00" if validated else None
    return awin(reference, status, validated=validated, **{"transactionDate": f"{day}T12:00:00", **more})


def never(handler: Handler) -> None:
    raise AssertionError("a request that must not be sent")


# What is asked for ---------------------------------------------------------------------------------------------------


async def test_a_first_pull_reads_its_history_in_windows_that_the_network_allows(
    shop: Shop, networks: Networks
) -> None:
    networks.rows["awin"] = [sale("A1", "2026-02-10"), sale("A2", "2026-07-29"), sale("A0", "2025-12-24")]
    done = await pull(shop, account(networks, "awin"))
    assert (done.new, done.windows, done.requests) == (2, 18, 18)
    assert await reports(shop) == ["A1", "A2"]
    assert await watermarks(shop) == {"transaction": NOW, "validation": NOW, "amendment": NOW}
    row = await shop.owner.fetchrow("select source, origin from public.conversion_reports limit 1")
    assert row is not None
    assert tuple(row) == ("pull", "awin/main")


async def test_the_next_pull_begins_a_little_before_the_watermark_of_each_date_type(
    shop: Shop, networks: Networks
) -> None:
    await pull(shop, account(networks, "awin"), since=NOW - timedelta(days=10))
    networks.requests.clear()
    networks.rows["awin"] = [sale("late", "2026-07-02"), sale("L2", "2026-02-01", "approved", "2026-07-31")]
    later = NOW + timedelta(days=2)
    done = await pull(shop, account(networks, "awin"), now=later)
    assert (done.new, await reports(shop)) == (2, ["L2", "late"])
    first = NOW - timedelta(days=93)
    asked = [params for _, params in networks.requests if params["dateType"] == "validation"]
    assert asked[0]["startDate"] == f"{first:%Y-%m-%dT%H:%M:%S}"
    assert asked[-1]["endDate"] == f"{later:%Y-%m-%dT%H:%M:%S}"
    assert set((await watermarks(shop)).values()) == {later}


async def test_since_reads_again_and_leaves_no_gap(shop: Shop, networks: Networks) -> None:
    await pull(shop, account(networks, "awin"), since=NOW - timedelta(days=10))
    networks.rows["awin"] = [sale("old", "2026-01-05"), sale("between", "2026-08-01")]
    networks.requests.clear()
    later = NOW + timedelta(days=30)
    await pull(shop, account(networks, "awin"), now=later, since=later - timedelta(days=1))
    assert await reports(shop) == ["between"]
    await pull(shop, account(networks, "awin"), now=later, since=datetime(2026, 1, 1, tzinfo=UTC))
    assert await reports(shop) == ["between", "old"]
    with pytest.raises(PullFailed, match="not in the past"):
        await pull(shop, account(networks, "awin"), since=NOW)


async def test_what_was_read_is_no_error_and_changes_nothing(shop: Shop, networks: Networks) -> None:
    networks.rows["awin"] = [sale("A1", "2026-07-01"), sale("A2", "2026-07-01", "approved", "2026-07-20")]
    await pull(shop, account(networks, "awin"))
    before = await shop.owner.fetch("select xmin::text, * from public.conversions order by reference")
    done = await pull(shop, account(networks, "awin"))
    assert done.new == 0
    assert done.repeated > 2
    assert await shop.owner.fetch("select xmin::text, * from public.conversions order by reference") == before


async def test_two_pulls_at_once_import_everything_once(shop: Shop, networks: Networks) -> None:
    networks.rows["awin"] = [sale(f"A{number}", "2026-07-01", "approved", "2026-07-20") for number in range(20)]
    await network_pulls.put_account(shop.owner, account(networks, "awin"))
    one, other = await asyncio.gather(pull(shop, account(networks, "awin")), pull(shop, account(networks, "awin")))
    assert one.new + other.new == 20
    assert await shop.owner.fetchval("select count(*) from public.conversions") == 20
    assert (
        await shop.owner.fetchval("select sum(amount_minor) from public.ledger_entries where account = 'approved'")
        == 2400
    )


# Each network --------------------------------------------------------------------------------------------------------


async def test_impact_follows_its_pages_and_asks_for_updates_and_locked_actions(shop: Shop, networks: Networks) -> None:
    networks.page = 3
    month = Month(seed=11, clicks=0, sales=40)
    await prepare(shop.owner, month)
    for file in month.files:
        if file.network == "impact":
            networks.add(file)
    done = await pull(shop, account(networks, "impact"), now=END)
    assert done.requests > done.windows
    assert {path.rpartition("/")[2] for path, _ in networks.requests} == {"Actions", "ActionUpdates"}
    expected = {f"81.4636.{sale.number}" for sale in month.sales if sale.shop.network == "impact"}
    assert set(await reports(shop)) == expected
    assert set(await watermarks(shop)) == {"action", "locking", "update"}


async def test_a_next_page_on_another_server_is_not_asked(shop: Shop, networks: Networks) -> None:
    elsewhere = json.dumps({"Actions": [], "@nextpageuri": "https://elsewhere.example/Actions?Page=2"}).encode()
    networks.faults = [lambda h: h.answer(200, elsewhere)]
    with pytest.raises(PullFailed, match="on another server"):
        await pull(shop, account(networks, "impact"))


async def test_cj_follows_the_commission_ids_until_the_payload_is_complete(shop: Shop, networks: Networks) -> None:
    networks.page = 2
    networks.rows["cj"] = [commission(number, "closed" if number % 2 else "new") for number in range(5)]
    done = await pull(shop, account(networks, "cj"), since=NOW - timedelta(days=20))
    assert len(await reports(shop)) == 5
    assert done.requests == 6
    paid = "select count(*) from public.conversions where status = 'paid' and currency = 'USD'"
    assert await shop.owner.fetchval(paid) == 2


async def test_closed_means_paid_only_if_the_account_says_so(shop: Shop, networks: Networks) -> None:
    networks.rows["cj"] = [commission(1, "closed")]
    options = {"currency": "GBP", "closed_is_paid": "false"}
    await pull(shop, account(networks, "cj", options=options), since=NOW - timedelta(days=20))
    found = await shop.owner.fetchrow("select status, currency from public.conversions")
    assert found is not None
    assert tuple(found) == ("approved", "GBP")


async def test_a_refusal_by_graphql_is_a_failure_and_quotes_no_secret(shop: Shop, networks: Networks) -> None:
    with pytest.raises(PullFailed, match=r"errors: .*not of \*\*\*"):
        await pull(shop, account(networks, "cj", publisher_id="other"))


async def test_rakuten_asks_for_an_access_token_and_reads_page_by_page(shop: Shop, networks: Networks) -> None:
    event = {
        "advertiser_id": 5, "sku_number": "s", "sale_amount": 10.0, "commissions": 1.0, "currency": "GBP",
        "process_date": "Tue Jul 28 2026 10:00:00 GMT+0000 (UTC)", "is_event": "N",
        "transaction_date": "Tue Jul 28 2026 09:00:00 GMT+0000 (UTC)",
    }  # fmt: skip
    networks.rows["rakuten-event"] = [{**event, "etransaction_id": f"e{n}", "order_id": f"o{n}"} for n in range(1001)]
    done = await pull(shop, account(networks, "rakuten"), since=NOW - timedelta(days=3))
    assert done.new == 1001
    assert [params["page"] for path, params in networks.requests if "events" in path] == ["1", "2"]


async def test_tradedoubler_is_read_by_pages_in_the_currency_that_was_asked_for(shop: Shop, networks: Networks) -> None:
    networks.rows["tradedoubler"] = [tradedoubler(number) for number in range(150)]
    done = await pull(shop, account(networks, "tradedoubler"), since=NOW - timedelta(days=15))
    assert done.new == 150
    states = await shop.owner.fetch(
        "select status, count(*), sum(paid_minor) from public.conversions group by 1 order by 1"
    )
    assert [tuple(row) for row in states] == [("approved", 50, 0), ("declined", 50, 0), ("paid", 50, 50 * 250)]
    assert {"fromDate": "20260715", "lastModified": "true", "reportCurrencyCode": "EUR"}.items() <= next(
        params for path, params in networks.requests if "report" in path
    ).items()


async def test_webgains_is_read_by_the_mapping_of_its_account(shop: Shop, networks: Networks) -> None:
    networks.page = 2
    moment = int(datetime(2026, 7, 20, 10, tzinfo=UTC).timestamp())
    networks.rows["webgains"] = [
        {
            "id": number, "date": moment, "status": status, "program": {"id": 9}, "click_reference": "",
            "value": {"amount": 1000000, "currency_code": "GBP"},
            "commission": {"amount": 52500, "currency_code": "GBP"},
        }
        for number, status in enumerate((10, 20, 30, 70, 55))
    ]  # fmt: skip
    done = await pull(shop, account(networks, "webgains"), since=NOW - timedelta(days=20))
    assert (done.new, done.rejected, done.requests) == (4, 1, 3)
    rows = await shop.owner.fetch("select status, tracked_minor from public.conversions order by status")
    assert [tuple(row) for row in rows] == [(state, 525) for state in ("approved", "declined", "paid", "pending")]


async def test_sovrn_is_asked_for_a_day_a_minute(shop: Shop, networks: Networks) -> None:
    row = {"revenueId": 5, "merchantGroupId": 7, "orderValue": 50, "cuid": "", "commissionDate": "2026-07-28T10:00:00"}
    networks.rows["sovrn"] = [
        {**row, "updateDate": "2026-07-28T10:00:00", "publisherRevenue": 2.5},
        {**row, "updateDate": "2026-07-29T10:00:00", "publisherRevenue": 1.5},
    ]
    waits = Waits()
    await pull(shop, account(networks, "sovrn"), since=NOW - timedelta(days=2), sleep=waits)
    assert [params["updateDate"] for _, params in networks.requests] == ["2026-07-28", "2026-07-29", "2026-07-30"]
    assert waits[:2] == [pytest.approx(60, abs=2), pytest.approx(60, abs=2)]
    found = await shop.owner.fetchrow("select status, approved_minor, reversed_minor from public.conversions")
    assert found is not None
    assert tuple(found) == ("approved", 150, 100)


def commission(number: int, status: str) -> dict[str, Any]:
    return {
        "commissionId": f"90{number}", "original": True, "originalActionId": f"80{number}", "actionStatus": status,
        "advertiserId": "5", "shopperId": "", "clickDate": None, "eventDate": "2026-07-20T10:00:00Z",
        "postingDate": "2026-07-20T11:00:00Z", "lockingDate": "2026-07-25T11:00:00Z",
        "pubCommissionAmountPubCurrency": "1.50", "saleAmountPubCurrency": "30.00",
    }  # fmt: skip


def tradedoubler(number: int) -> dict[str, Any]:
    state = ("A", "D", "A")[number % 3]
    return {
        "transactionId": 7000 + number, "programId": 3, "status": state, "paid": number % 3 == 2,
        "timeOfTransaction": "2026-07-20 10:00:00.0", "timeOfLastModified": "2026-07-22 10:00:00.0",
        "orderValue": 50.00, "commission": 2.50, "epi": None, "epi2": None,
    }  # fmt: skip


# The month -----------------------------------------------------------------------------------------------------------


async def test_a_month_served_by_apis_reconciles_to_the_penny(shop: Shop, networks: Networks) -> None:
    """Amazon has no API, and payments have none: those are files."""
    month = Month(seed=20260801, clicks=300, sales=150)
    await prepare(shop.owner, month)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        for each in SHOPS:
            await ledger.set_advertiser(session, each.network, each.advertiser_id, each.slug, each.currency)
        for file in month.files:
            if file.network == "amazon":
                reading = ledger_source(file.network)(file.text)
                await ledger.import_reports(session, reading.reports, source="import", origin=file.name)
            elif not file.network:
                rows, _ = ledger_payments(file.text)
                await ledger.import_payments(session, rows)
            else:
                networks.add(file)
    networks.page = 7
    for code in ("ebay", "impact", "rakuten", "cj", "awin"):
        await pull(shop, account(networks, code), now=END, since=FIRST)
    for code in ("awin", "rakuten"):
        assert (await pull(shop, account(networks, code), now=END, since=FIRST)).new == 0
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        found = await reconciliation.report(session, None)
    by = {(row["network"], row["retailer"], row["month"], row["currency"]): figures_of(row) for row in found["by"]}
    assert by == month.by
    assert (found["exceptions"], found["unmatched"]) == (0, month.unmatched)


def ledger_source(code: str) -> Any:
    from domain.ledger.sources import SOURCES

    return SOURCES[code].read


def ledger_payments(text: str) -> Any:
    from domain.ledger import payments

    return payments.read(text)


# Failures ------------------------------------------------------------------------------------------------------------


async def test_what_may_pass_is_asked_again(shop: Shop, networks: Networks) -> None:
    networks.rows["awin"] = [sale("A1", "2026-07-29")]
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    networks.faults = [
        lambda h: h.answer(500),
        lambda h: h.answer(429, retry_after="75"),
        lambda h: h.answer(429, x_ratelimit_reset="30"),
        lambda h: h.answer(503, retry_after=soon),
        lambda h: h.answer(200, b'[{"id": "A1", "adver', length=5000),
    ]
    waits = Waits()
    done = await pull(shop, account(networks, "awin"), since=NOW - timedelta(days=3), sleep=waits)
    assert (done.new, done.requests) == (1, 3 + len(networks.faults) + 5)
    assert 1 <= waits[0] <= 2
    assert sum(waits[1:3]) == 75  # a minute, and the rest
    assert waits[3] == 30
    assert 30 < waits[4] <= 40


async def test_a_network_that_asks_for_hours_is_asked_by_the_next_pull(shop: Shop, networks: Networks) -> None:
    networks.faults = [lambda h: h.answer(429, retry_after="7200")]
    with pytest.raises(PullFailed, match="answered 429, and asked us to wait for 7200 seconds"):
        await pull(shop, account(networks, "awin"))
    assert len(networks.requests) == 1


async def test_a_network_holds_up_the_schedule_for_two_minutes_at_most(shop: Shop, networks: Networks) -> None:
    await network_pulls.put_account(shop.owner, account(networks, "ebay", every_seconds=3600))
    networks.faults = [lambda h: h.answer(503, retry_after="50") for _ in range(5)]
    waits = Waits()
    with pytest.raises(PullFailed, match="answered 503, and asked us to wait for 50 seconds"):
        await pull(shop, account(networks, "ebay"), started_by=network_pulls.SCHEDULE, sleep=waits)
    assert waits == [50, 50]


async def test_the_pace_of_a_network_is_kept(shop: Shop, networks: Networks) -> None:
    waits = Waits()
    done = await pull(shop, account(networks, "awin"), since=NOW - timedelta(days=300), sleep=waits)
    assert done.requests == 30
    assert len(waits) == 10  # beyond the first 20 of a minute
    assert waits[0] == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda h: h.answer(200, b'[{"id": "A1", "advertiserId"'), "cut off"),
        (lambda h: h.answer(200, b'[{"id": "A1"}]', length=90), "ended after 14 of 90 bytes"),
        (lambda h: h.answer(502), "answered 502"),
        (lambda h: h.connection.close(), "the connection"),
    ],
)
async def test_a_window_that_is_not_read_in_full_leaves_nothing(
    shop: Shop, networks: Networks, fault: Any, says: str
) -> None:
    networks.rows["awin"] = [sale("A1", "2026-06-05"), sale("A2", "2026-07-29")]
    await network_pulls.put_account(shop.owner, account(networks, "awin"))
    asked: list[str] = []

    def second_window(handler: Handler) -> None:
        asked.append(handler.path)
        if len(asked) > 1:
            fault(handler)
        else:
            networks._awin(handler, networks.requests[-1][1])

    networks.faults = [second_window] * (1 + MAX_ATTEMPTS)
    since = datetime(2026, 6, 1, tzinfo=UTC)
    with pytest.raises(PullFailed, match=says):
        await pull(shop, account(networks, "awin"), since=since)
    assert await reports(shop) == ["A1"]
    assert await watermarks(shop) == {"transaction": since + timedelta(days=31)}
    record = await shop.owner.fetchrow("select * from public.network_pulls")
    assert record is not None
    assert (record["outcome"], record["windows"], record["failures"]) == ("failed", 1, 1)
    assert says in record["error"]

    await pull(shop, account(networks, "awin"))
    assert await reports(shop) == ["A1", "A2"]


async def test_a_report_in_csv_must_say_how_long_it_is(shop: Shop, networks: Networks) -> None:
    def to_the_end_of_the_connection(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nEvent Date,Update Date\r\n")

    networks.faults = [to_the_end_of_the_connection] * MAX_ATTEMPTS
    with pytest.raises(PullFailed, match="does not say how long it is"):
        await pull(shop, account(networks, "ebay"))


async def test_a_server_that_says_nothing_is_left(shop: Shop, networks: Networks) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(handler: Handler) -> None:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

    networks.faults = [silent] * MAX_ATTEMPTS
    try:
        with pytest.raises(PullFailed, match=f"it took more than 0 seconds, {MAX_ATTEMPTS} times"):
            await pull(shop, account(networks, "awin"), seconds=0.1)
    finally:
        released.set()


async def test_wrong_credentials_are_said_without_them(shop: Shop, networks: Networks, monkeypatch: Any) -> None:
    monkeypatch.setenv("SOURCE_TOKEN", "wr0ng-s3cret")
    with pytest.raises(PullFailed, match=r"refused our credentials \(401\): check SOURCE_TOKEN"):
        await pull(shop, account(networks, "awin"))
    assert len(networks.requests) == 1
    monkeypatch.delenv("SOURCE_TOKEN")
    with pytest.raises(PullFailed, match="SOURCE_TOKEN, which is not set"):
        await pull(shop, account(networks, "awin"))
    assert len(networks.requests) == 1


async def test_secrets_are_neither_stored_nor_quoted(shop: Shop, networks: Networks) -> None:
    networks.faults = [lambda h: h.answer(400, f"bad token {TOKEN}\n<b>".encode()), never]
    with pytest.raises(PullFailed, match=r"answered 400: 'bad token \*\*\* <b>'"):
        await pull(shop, account(networks, "rakuten"))
    networks.faults.clear()
    echo: list[Any] = [lambda h: h.answer(400, h.headers["authorization"].encode())]
    networks.faults = echo
    with pytest.raises(PullFailed, match=r"answered 400: 'Basic \*\*\*'"):
        await pull(shop, account(networks, "impact"))
    await pull(shop, account(networks, "rakuten"))
    stored = await shop.owner.fetch(
        "select p::text from public.network_pulls p union all select a::text from public.network_accounts a"
        " union all select l::text from public.audit_log l union all select s::text from public.system_logs s"
    )
    assert len(stored) > 3
    assert not [row for row in stored if TOKEN in row[0] or PASSWORD in row[0]]


async def test_a_redirect_takes_no_credentials_along(shop: Shop, networks: Networks) -> None:
    target = networks.server.url("/elsewhere")
    networks.faults = [lambda h: h.answer(302, location=target), never]
    with pytest.raises(PullFailed, match="answered 302: redirects are not followed"):
        await pull(shop, account(networks, "awin"))


async def test_private_networks_are_not_asked(shop: Shop, networks: Networks) -> None:
    strict = msgspec.structs.replace(shop.services.settings, allow_private_sources=False)
    with pytest.raises(PullFailed, match="only https is fetched"):
        await pull(shop, account(networks, "awin"), settings=strict)
    secure = account(networks, "awin", base_url=networks.server.url("").replace("http:", "https:"))
    with pytest.raises(PullFailed, match="is in a private network"):
        await pull(shop, secure, settings=strict)
    assert networks.requests == []


async def test_an_endless_answer_is_refused(shop: Shop, networks: Networks) -> None:
    networks.faults = [lambda h: h.answer(200, b"[", length=MAX_ANSWER_BYTES + 1)]
    with pytest.raises(PullFailed, match="larger than"):
        await pull(shop, account(networks, "awin"))


async def test_the_answers_of_a_window_are_bounded(
    shop: Shop, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_WINDOW_BYTES", len("[]"))
    assert (await pull(shop, account(networks, "awin"))).windows == 18, "each window by itself"
    networks.rows["awin"] = [sale("A1", "2026-07-29")]
    with pytest.raises(PullFailed, match="answers of a window are larger than 2 bytes"):
        await pull(shop, account(networks, "awin"))
    assert await reports(shop) == []


async def test_a_rejected_row_is_told_and_the_watermark_waits_before_it(shop: Shop, networks: Networks) -> None:
    bad = sale("bad", "2026-06-05", currency="XQQ")
    networks.rows["awin"] = [bad, sale("good", "2026-06-05"), sale("later", "2026-07-20")]
    since = datetime(2026, 6, 1, tzinfo=UTC)
    done = await pull(shop, account(networks, "awin"), since=since)
    assert (done.new, done.rejected, done.held) == (2, 1, {"transaction"})
    assert done.rejects == ["transaction of 2026-06-01, row 1: currency: XQQ is no currency of ISO 4217"]
    assert set(await watermarks(shop)) == {"validation", "amendment"}
    record = await shop.owner.fetchrow("select outcome, rejected_rows, rejects from public.network_pulls")
    assert record is not None
    assert tuple(record) == ("done", 1, done.rejects)
    done = await pull(shop, account(networks, "awin"), since=since, accept_rejects=True)
    assert (done.rejected, done.held) == (1, set())
    assert (await watermarks(shop))["transaction"] == NOW


# Accounts and the schedule -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "changes", "says"),
    [
        ("awin", {"secrets": {}}, "--secret token=VARIABLE is missing"),
        ("awin", {"secrets": {"token": "JWT_SECRET"}}, "begins with SOURCE_"),
        ("awin", {"secrets": {"token": "SOURCE_A", "key": "SOURCE_B"}}, "--secret key: awin has none of this name"),
        ("awin", {"options": {"page_size": "1"}}, "no such option"),
        ("awin", {"publisher_id": "../admin"}, "--publisher"),
        ("awin", {"base_url": "https://a:b@c.example"}, "--url"),
        ("awin", {"mapping": "{}"}, "read without one"),
        ("impact", {"options": {"page_size": "100"}}, "from 2000 to 20000"),
        ("cj", {"options": {}}, "--option currency=VALUE is missing"),
        ("cj", {"options": {"currency": "USD", "closed_is_paid": "maybe"}}, "none of true, false"),
        ("webgains", {"mapping": None}, "--mapping: webgains needs one"),
        ("amazon", {}, "amazon has no API client"),
    ],
)
async def test_an_account_that_cannot_be_pulled_is_refused(
    shop: Shop, networks: Networks, code: str, changes: dict[str, Any], says: str
) -> None:
    made = account(networks, "awin" if code == "amazon" else code, **changes)
    with pytest.raises(BadAccount) as error:
        await network_pulls.put_account(shop.owner, dataclasses.replace(made, network=code))
    assert says in str(error.value)


async def test_an_account_of_another_publisher_has_read_nothing(shop: Shop, networks: Networks) -> None:
    await pull(shop, account(networks, "awin"))
    await network_pulls.put_account(shop.owner, account(networks, "awin", every_seconds=3600))
    assert len(await watermarks(shop)) == 3
    await network_pulls.put_account(shop.owner, account(networks, "awin", publisher_id="1"))
    assert await watermarks(shop) == {}


async def due(shop: Shop) -> list[str]:
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        return [row["name"] for row in await session.fetch("network_pulls.due")]


async def test_the_schedule_pulls_what_is_due_whatever_happens_to_others(shop: Shop, networks: Networks) -> None:
    settings = msgspec.structs.replace(shop.services.settings, allow_private_sources=True)
    hourly = account(networks, "ebay", every_seconds=3600)
    for each in (
        dataclasses.replace(hourly, name="bad", publisher_id="1"),
        dataclasses.replace(hourly, name="good"),
        dataclasses.replace(hourly, name="byhand", every_seconds=None),
    ):
        await network_pulls.put_account(shop.owner, each)
    assert await due(shop) == ["bad", "good"]
    done = {each.account.name: each async for each in network_pulls.pull_due(shop.services.database, settings)}
    assert set(done) == {"bad", "good"}
    assert "answered 404" in (done["bad"].error or "")
    assert done["good"].error is None
    assert await due(shop) == []
    with pytest.raises(NotDue):
        await network_pulls.pull(shop.services.database, settings, hourly, started_by=network_pulls.SCHEDULE)

    for minutes, expected in ((14, []), (16, ["bad"]), (59, ["bad"]), (61, ["bad", "good"])):
        async with shop.owner.transaction():
            await shop.owner.execute(
                "update public.network_pulls set started_at = started_at - $1::interval,"
                " finished_at = finished_at - $1::interval",
                timedelta(minutes=minutes),
            )
        assert await due(shop) == expected, minutes
        await shop.owner.execute(
            "update public.network_pulls set started_at = started_at + $1::interval,"
            " finished_at = finished_at + $1::interval",
            timedelta(minutes=minutes),
        )


async def test_a_network_that_wants_us_to_wait_stops_no_other_and_is_due_when_it_said(
    shop: Shop, networks: Networks
) -> None:
    settings = msgspec.structs.replace(shop.services.settings, allow_private_sources=True)
    hourly = account(networks, "ebay", every_seconds=3600)
    for name in ("first", "second"):
        await network_pulls.put_account(shop.owner, dataclasses.replace(hourly, name=name))
    networks.faults = [lambda h: h.answer(429, retry_after="1800")]
    done = {each.account.name: each async for each in network_pulls.pull_due(shop.services.database, settings)}
    assert "asked us to wait for 1800 seconds" in (done["first"].error or "")
    assert done["second"].error is None
    for minutes, expected in ((29, []), (2, ["first"])):
        await shop.owner.execute(
            "update public.network_pulls set finished_at = finished_at - $1::interval,"
            " retry_at = retry_at - $1::interval",
            timedelta(minutes=minutes),
        )
        assert await due(shop) == expected


async def test_a_fault_of_ours_in_one_pull_ends_no_other(
    shop: Shop, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = msgspec.structs.replace(shop.services.settings, allow_private_sources=True)
    hourly = account(networks, "ebay", every_seconds=3600)
    for name in ("first", "second"):
        await network_pulls.put_account(shop.owner, dataclasses.replace(hourly, name=name))
    import_reports = ledger.import_reports

    async def faulty(session: Any, found: Any, *, source: str, origin: str) -> Any:
        if origin == "ebay/first":
            raise KeyError("what a row said")
        return await import_reports(session, found, source=source, origin=origin)

    monkeypatch.setattr(ledger, "import_reports", faulty)
    done = {each.account.name: each async for each in network_pulls.pull_due(shop.services.database, settings)}
    assert (done["first"].error, done["second"].error) == ("a fault of ours: KeyError", None)
    kept = await shop.owner.fetch("select outcome, error from public.network_pulls order by account_name")
    assert [tuple(row) for row in kept] == [("failed", "KeyError"), ("done", None)]


async def test_a_pull_that_was_killed_is_repeated_and_called_interrupted(shop: Shop, networks: Networks) -> None:
    await network_pulls.put_account(shop.owner, account(networks, "ebay", every_seconds=3600))
    await shop.owner.execute(
        "insert into public.network_pulls (affiliate_network, account_name, started_by) values ('ebay', 'main', 'anna')"
    )
    assert await due(shop) == []
    await shop.owner.execute("update public.network_pulls set seen_at = now() - interval '20 minutes'")
    assert await due(shop) == ["main"]
    await pull(shop, account(networks, "ebay"))
    outcomes = await shop.owner.fetch("select outcome from public.network_pulls order by id")
    assert [row["outcome"] for row in outcomes] == ["interrupted", "done"]


async def test_a_server_starts_nothing_if_nothing_is_due(shop: Shop) -> None:
    assert await network_pulls.run_due(shop.services) == 0


async def test_a_server_pulls_what_is_due_in_a_process_of_its_own(
    shop: Shop, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_SOURCES", "true")
    hourly = account(networks, "ebay", every_seconds=3600)
    await network_pulls.put_account(shop.owner, dataclasses.replace(hourly, name="bad", publisher_id="1"))
    await network_pulls.put_account(shop.owner, hourly)
    with pytest.raises(PullsFailed, match="ebay/bad: the network answered 404"):
        await network_pulls.run_due(shop.services)
    pulls = await shop.owner.fetch(
        "select account_name, outcome, started_by from public.network_pulls order by account_name"
    )
    assert [tuple(row) for row in pulls] == [("bad", "failed", "schedule"), ("main", "done", "schedule")]


async def test_a_slow_network_holds_up_no_other_not_even_its_next_turn(
    shop: Shop, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = msgspec.structs.replace(shop.services.settings, allow_private_sources=True)
    for network in ("awin", "ebay"):
        await network_pulls.put_account(shop.owner, account(networks, network, every_seconds=3600))
    others_are_done = asyncio.Event()
    turns: list[str] = []
    real_pull = network_pulls.pull

    async def pull_slowly(database: Any, settings: Any, account: Any, **more: Any) -> Any:
        if account.network == "awin":
            await asyncio.wait_for(others_are_done.wait(), 30)
        done = await real_pull(database, settings, account, **more)
        turns.append(account.network)
        if turns == ["ebay"]:
            await shop.owner.execute("update public.network_pulls set started_at = started_at - interval '2 hours'")
        if turns == ["ebay", "ebay"]:
            others_are_done.set()
        return done

    monkeypatch.setattr(network_pulls, "pull", pull_slowly)
    pulled = network_pulls.pull_due(shop.services.database, settings, interval=0.1)
    assert [done.error async for done in pulled] == [None] * 3
    assert turns == ["ebay", "ebay", "awin"]
