"""The reconciliation over GraphQL says what the command says, and the balances and explanations agree with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.claims import SERVICE
from domain.affiliate import decode_token
from domain.ledger import payments
from domain.ledger.booking import FIGURES
from domain.ledger.sources import SOURCES
from resolvers import reconciliation
from services import ledger
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_conversions import staff
from tests.integration.test_ledger import pay
from tests.ledger import awin, report

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "money"
NEXT_MONTH = sorted(path.name.removesuffix("-payments-next.csv") for path in CASES.glob("*-payments-next.csv"))
SUMS = " ".join(reconciliation.SUMS)
RECONCILIATION = f"""
query ($month: String) {{ reconciliation(month: $month) {{
  currencies {{ currencyCode {SUMS} }}
  rowCount by(first: 400) {{ network month currencyCode retailer {{ slug }} {SUMS} }}
  exceptions unmatched
  overdue {{ network advertiserId month currencyCode amount conversions days retailer {{ slug }} }}
  reporting {{ currencyCode expected {" ".join(FIGURES)} rounding }}
}} }}
"""
BALANCES = """
{ ledgerBalances(by: [NETWORK, RETAILER, MONTH]) {
  account network month retailer { slug } amount { amount currencyCode }
} }
"""


async def as_the_command(shop: Shop, month: str | None = None) -> dict[str, Any]:
    first = datetime.fromisoformat(f"{month}-01").date() if month else None
    async with shop.services.database.session(SERVICE, read_only=True) as session:
        return await reconciliation.report(session, first, shop.services.settings.default_currency)


async def over_graphql(client: Client, month: str | None = None) -> dict[str, Any]:
    """In the shape of the command's JSON."""
    found = (await client.ask(RECONCILIATION, month=month))["reconciliation"]
    assert found.pop("rowCount") == len(found["by"])
    for row in found["by"]:
        row["currency"] = row.pop("currencyCode")
        row["retailer"] = row["retailer"] and row["retailer"]["slug"]
    for row in found["overdue"]:
        row["currency"], row["advertiser"] = row.pop("currencyCode"), row.pop("advertiserId")
        row["retailer"] = row["retailer"] and row["retailer"]["slug"]
    found["currencies"] = {sums.pop("currencyCode"): sums for sums in found["currencies"]}
    found["reporting"]["currency"] = found["reporting"].pop("currencyCode")
    answer: dict[str, Any] = found
    return answer


async def figures_of_balances(client: Client) -> dict[tuple[str, ...], dict[str, str]]:
    """The figures that are not zero, by network, shop, month and currency, as the balances of their accounts. Not what
    is paid: a payment has a month of its own."""
    names = {account.upper(): figure for figure, account in FIGURES.items() if figure != "paid"}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in (await client.ask(BALANCES))["ledgerBalances"]:
        if row["account"] in names:
            key = (
                row["network"],
                row["retailer"] and row["retailer"]["slug"],
                row["month"],
                row["amount"]["currencyCode"],
            )
            found.setdefault(key, {})[names[row["account"]]] = row["amount"]["amount"]
    return found


async def balance_of(client: Client, currency: str, *accounts: str) -> str:
    found = (await client.ask("{ ledgerBalances { account amount { amount currencyCode } } }"))["ledgerBalances"]
    amounts = [
        Decimal(row["amount"]["amount"])
        for row in found
        if row["account"] in accounts and row["amount"]["currencyCode"] == currency
    ]
    return f"{sum(amounts):.2f}"


async def test_a_month_is_one_thing_by_command_and_by_graphql(shop: Shop) -> None:
    await report(
        shop.services,
        awin("A1", "approved", commission="5.00"),
        awin("A2", currency="JPY", commission="70", sale="900"),
        awin("A3", "declined", commission="2.00", transactionDate="2026-06-30T12:00:00"),
    )
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        slug = await shop.owner.fetchval("select slug from public.retailers order by slug limit 1")
        await ledger.set_advertiser(session, "awin", "77", slug, "GBP")
    for role in ("analyst", "finance", "admin"):
        for month in (None, "2026-07", "2026-06", "2030-01"):
            found = await over_graphql(staff(shop, role), month)
            assert found == await as_the_command(shop, month)
    assert found["currencies"] == {}
    assert await staff(shop, "finance").code(RECONCILIATION, month="July") == "BAD_USER_INPUT"


async def test_rows_come_in_parts(shop: Shop) -> None:
    await report(shop.services, *(awin(f"A{n}", transactionDate=f"2026-0{n}-03T00:00:00") for n in range(1, 6)))
    document = (
        "query ($first: Int!, $skip: Int!) { reconciliation { rowCount by(first: $first, skip: $skip) { month } } }"
    )
    found = (await staff(shop, "analyst").ask(document, first=2, skip=3))["reconciliation"]
    assert found == {"rowCount": 5, "by": [{"month": "2026-04"}, {"month": "2026-05"}]}
    assert await staff(shop, "analyst").code(document, first=501, skip=0) == "BAD_USER_INPUT"


async def test_balances_are_of_a_time_as_known_at_a_time(shop: Shop) -> None:
    """Pending in July, approved in August by a file of September, then paid."""

    async def balances(**when: Any) -> dict[str, tuple[str, str | None]]:
        document = """
        query ($asOf: DateTime, $knownAt: DateTime) {
          ledgerBalances(asOf: $asOf, knownAt: $knownAt) { account network amount { amount } reporting { amount } }
        }"""
        found = (await staff(shop, "analyst").ask(document, **when))["ledgerBalances"]
        return {
            row["account"]: (row["amount"]["amount"], row["reporting"] and row["reporting"]["amount"]) for row in found
        }

    async def now() -> str:
        found: datetime = await shop.owner.fetchval("select clock_timestamp()")
        return found.astimezone(UTC).isoformat()

    assert await balances() == {}
    await report(shop.services, awin("A1", commission="3.00", currency="USD"))
    pending = {"TRACKED": ("3.00", None), "DEFERRED": ("-3.00", None)}
    first = await now()
    await shop.owner.execute(
        "insert into public.exchange_rates (rate_on, currency, reporting_currency, rate, source)"
        " values ('2026-07-01', 'USD', $1, 0.5, 'test')",
        shop.services.settings.default_currency,
    )
    valued = {"TRACKED": ("3.00", "1.50"), "DEFERRED": ("-3.00", "-1.50")}
    approval = awin("A1", "approved", commission="3.00", currency="USD", validated="2026-08-10T00:00:00")
    await report(shop.services, approval)
    second = await now()
    await pay(shop, "3.00", currency="USD", period="2026-08-01,2026-08-31", paid_on="2026-09-20")

    approved = {"APPROVED": ("3.00", "1.50"), "INCOME": ("-3.00", "-1.50")}
    assert await balances(asOf="2026-08-09T00:00:00Z") == valued, "nothing had been approved then"
    assert await balances(asOf="2026-09-01T00:00:00Z") == approved
    assert await balances(asOf="2026-09-01T00:00:00Z", knownAt=first) == pending, "we did not know, nor the rate"
    assert await balances(knownAt=second) == approved, "of the payment nothing was known"
    assert await balances() == {"RECEIVED": ("3.00", "1.50"), "INCOME": ("-3.00", "-1.50")}
    assert await balances(knownAt="2020-01-01T00:00:00Z") == {}


async def test_a_payment_is_the_shops_in_the_month_of_its_day(shop: Shop) -> None:
    await pay(shop, "9.00")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        slug = await shop.owner.fetchval("select slug from public.retailers order by slug limit 1")
        await ledger.set_advertiser(session, "awin", "77", slug)
    found = (await staff(shop, "finance").ask(BALANCES))["ledgerBalances"]
    assert [(row["account"], row["network"], row["month"], row["retailer"]) for row in found] == [
        ("RECEIVABLE", "awin", "2026-08", {"slug": slug}),
        ("RECEIVED", "awin", "2026-08", {"slug": slug}),
    ]


async def import_cases(shop: Shop, truth: dict[str, Any]) -> None:
    """The shops and clicks of the small month, and what the networks reported and paid."""
    for each in truth["shops"]:
        await shop.owner.execute(
            "insert into public.retailers (slug, name, affiliate_network, commission_rate)"
            " values ($1, $1, $2, $3::text::numeric)",
            each["slug"],
            each["network"],
            each["rate"],
        )
    somebody = await shop.owner.fetchval("insert into public.profiles (is_anonymous) values (true) returning id")
    await shop.owner.execute(
        "insert into public.affiliate_clicks (user_id, id, product_id, retailer_id, affiliate_network, affiliate_url,"
        " price_minor, currency, commission_rate, click_timestamp)"
        " select $1, c.id, (select id from public.products limit 1), r.id, r.affiliate_network, 'https://shop.example/',"
        " 1000, 'GBP', r.commission_rate, c.clicked_at"
        " from unnest($2::uuid[], $3::text[], $4::timestamptz[]) c (id, shop, clicked_at)"
        " join public.retailers r on r.slug = c.shop",
        somebody,
        [decode_token(each["token"]) for each in truth["clicks"]],
        [each["shop"] for each in truth["clicks"]],
        [datetime.fromisoformat(each["at"]).replace(tzinfo=UTC) for each in truth["clicks"]],
    )
    month = [path for path in sorted(CASES.iterdir()) if path.name.partition("-")[0] in (*SOURCES, "payments")]
    await import_files(shop, [(path.name.partition("-")[0], path) for path in month])


async def import_files(shop: Shop, files: list[tuple[str, Path]]) -> None:
    """What networks reported, or, of `payments`, paid."""
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        for network, path in files:
            if network == "payments":
                await ledger.import_payments(session, payments.read(path.read_text())[0])
            else:
                await ledger.import_reports(session, SOURCES[network].read(path.read_text()).reports, source="import")


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases (../shared/cases/money) does not exist")
async def test_the_small_month_is_true_to_the_penny_and_every_figure_opens(shop: Shop) -> None:
    truth = json.loads((CASES / "truth.json").read_text())
    await import_cases(shop, truth)
    finance = staff(shop, "finance")
    found = await over_graphql(finance)
    assert found == await as_the_command(shop)
    for code, sums in truth["currencies"].items():
        assert {name: int(found["currencies"][code][name].replace(".", "")) for name in sums} == sums
    balances = await figures_of_balances(finance)
    for row in found["by"]:
        key = (row["network"], row["retailer"], row["month"], row["currency"])
        figures = {name: row[name] for name in FIGURES if row[name] != "0.00" and name != "paid"}
        assert balances.get(key, {}) == figures, key
    for code, sums in found["currencies"].items():
        assert await balance_of(finance, code, "RECEIVABLE", "RECEIVED") == sums["paid"]
    assert await explained(finance) == len(await shop.owner.fetch("select from public.conversions")) > 30


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases (../shared/cases/money) does not exist")
@pytest.mark.parametrize("name", NEXT_MONTH or ["none"])
async def test_a_payment_meets_its_rows_or_is_an_exception(shop: Shop, name: str) -> None:
    """What was paid in the month after, with the reports of its rows: as they were, one missing, twice, or with another
    amount."""
    await import_cases(shop, json.loads((CASES / "truth.json").read_text()))
    before = await as_the_command(shop)
    assert before["exceptions"] == 0
    kind, network, _ = name.split("-", 2)
    files = [(network, path) for path in sorted(CASES.glob(f"{name}-{network}-next*"))]
    assert files
    for order in (files, files[::-1]):  # the second time nothing is new
        await import_files(shop, [("payments", CASES / f"{name}-payments-next.csv"), *order])
        after = await as_the_command(shop)
        variances = [row["variance"] for row in after["by"] if row["variance"] not in ("0.00", None)]
        known = [row["variance"] for row in before["by"] if row["variance"] not in ("0.00", None)]
        assert (after["exceptions"] == 0 and variances == known) == (kind == "right"), (after["exceptions"], variances)


EXPLAINED = f"""
query ($after: String) {{ conversions(first: 8, after: $after) {{
  pageInfo {{ hasNextPage endCursor }}
  nodes {{
    reference {" ".join(f"{name} {{ amount }}" for name in FIGURES)}
    explanation {{ movements {{ debit credit amount {{ amount }} reportIds payment {{ reference }} }} }}
  }}
}} }}
"""


async def explained(client: Client) -> int:
    """How many conversions there are, each of whose figures is the sum of its movements, which all have a reason."""
    after, count = None, 0
    while True:
        page = (await client.ask(EXPLAINED, after=after))["conversions"]
        for sale in page["nodes"]:
            count += 1
            moves = sale["explanation"]["movements"]
            assert all(move["reportIds"] or move["payment"] for move in moves)
            for figure, account in FIGURES.items():
                sums = [
                    round(float(move["amount"]["amount"]) * 100) * ((move["debit"] == name) - (move["credit"] == name))
                    for move in moves
                    for name in [account.upper()]
                ]
                assert sum(sums) == round(float(sale[figure]["amount"]) * 100), (sale["reference"], figure)
        if not page["pageInfo"]["hasNextPage"]:
            return count
        after = page["pageInfo"]["endCursor"]
