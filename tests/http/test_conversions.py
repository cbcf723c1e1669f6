"""Conversions over GraphQL: who sees what of them, which ones, and how their figures are explained."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from domain.affiliate import encode_token
from domain.ledger.booking import FIGURES
from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_ledger import click, pay
from tests.ledger import awin, report

FULL = """
{
  conversions(first: 5) {
    totalCount
    nodes {
      id network reference status matchedBy orderedAt
      sale { amount currencyCode } expected { amount } variance { amount }
      pending { amount } approved { amount } declined { amount } reversed { amount } paid { amount } clawback { amount }
      retailer { slug } product { id }
      click { token personId clickedAt matchedBy rate }
      reports(first: 5) { totalCount nodes { id state raw clickRefs source origin amount { amount } } }
      entries(first: 10) { nodes { account amount { amount } eventAt conversion { reference } } }
      explanation {
        steps { at status isPaid amount { amount } reportIds }
        movements { at debit credit amount { amount } payment { reference } reportIds }
        faults
      }
    }
  }
}
"""
REFERENCES = """
query ($first: Int, $after: String, $filter: ConversionFilter, $orderBy: ConversionOrder! = NEWEST) {
  conversions(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
    pageInfo { endCursor } nodes { reference }
  }
}
"""
BOOKS = """
{ ledger { nodes { id } } payments { nodes { id } } exceptions { nodes { id } } }
"""


def staff(shop: Shop, role: str) -> Client:
    return shop.client(shop.token(uuid4(), app_metadata={"role": role}))


async def references(client: Client, **variables: Any) -> list[str]:
    return [node["reference"] for node in (await client.ask(REFERENCES, **variables))["conversions"]["nodes"]]


async def test_finance_sees_a_sale_with_its_click_and_every_figure_opens(shop: Shop) -> None:
    somebody, row = await click(shop)
    link = {"click": row["id"], "commission": "3.00"}
    await report(shop.services, awin("A1", **link), awin("A1", "approved", **link))
    await pay(shop, "3.00")
    late = awin("A1", "approved", commission="2.00", old="3.00", validated="2026-09-01T00:00:00", paid=True)
    await report(shop.services, late)

    (sale,) = (await staff(shop, "finance").ask(FULL))["conversions"]["nodes"]
    assert (sale["network"], sale["status"], sale["matchedBy"]) == ("awin", "PAID", "CLICK_ID")
    assert sale["expected"] == {"amount": "1.00"}, "5 % of 20.00"
    assert (sale["paid"], sale["clawback"]) == ({"amount": "2.00"}, {"amount": "1.00"})
    assert sale["click"]["token"] == encode_token(row["id"])
    assert sale["click"]["personId"] == await somebody.my_id()
    assert sale["reports"]["totalCount"] == 3
    assert sale["reports"]["nodes"][0]["raw"]["id"] == "A1"
    assert sale["reports"]["nodes"][0]["clickRefs"] == [encode_token(row["id"])]
    assert {entry["conversion"]["reference"] for entry in sale["entries"]["nodes"]} == {"A1"}

    steps = sale["explanation"]["steps"]
    assert [(step["status"], step["amount"]["amount"], len(step["reportIds"])) for step in steps] == [
        ("PENDING", "3.00", 1), ("APPROVED", "3.00", 1), ("APPROVED", "2.00", 1),
    ]  # fmt: skip
    moves = [
        (move["debit"], move["credit"], move["amount"]["amount"], move["payment"] and move["payment"]["reference"])
        for move in sale["explanation"]["movements"]
    ]
    assert moves == [
        ("TRACKED", "DEFERRED", "3.00", None),
        ("APPROVED", "TRACKED", "3.00", None),
        ("DEFERRED", "INCOME", "3.00", None),
        ("RECEIVABLE", "APPROVED", "3.00", "P1"),
        ("CLAWED_BACK", "RECEIVABLE", "1.00", None),
    ]
    said = {node["id"]: node for node in sale["reports"]["nodes"]}
    (because,) = sale["explanation"]["movements"][-1]["reportIds"]
    assert said[because]["amount"] == {"amount": "2.00"}


async def test_analysts_see_the_figures_without_the_click_the_person_and_the_reports(shop: Shop) -> None:
    somebody, row = await click(shop)
    await report(shop.services, awin("A1", click=row["id"]))
    answer = (await staff(shop, "analyst").post(FULL)).text
    (sale,) = (await staff(shop, "analyst").ask(FULL))["conversions"]["nodes"]
    assert (sale["pending"], sale["matchedBy"]) == ({"amount": "1.20"}, "CLICK_ID")
    assert (sale["click"], sale["explanation"]) == (None, None)
    assert sale["reports"] == {"totalCount": 0, "nodes": []}
    assert sale["entries"] == {"nodes": []}
    for secret in (encode_token(row["id"]), str(row["id"]), await somebody.my_id()):
        assert secret not in answer
    assert await staff(shop, "analyst").code(BOOKS) == "FORBIDDEN"
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await staff(shop, "analyst").ask(node, id=sale["id"]))["node"] == {"id": sale["id"]}


async def test_nobody_else_sees_any_money(shop: Shop) -> None:
    await report(shop.services, awin("A1"))
    (sale,) = (await staff(shop, "finance").ask(FULL))["conversions"]["nodes"]
    node = "query ($id: ID!) { node(id: $id) { id } }"
    for document in (FULL, BOOKS, "{ reconciliation { unmatched } }", "{ ledgerBalances { account } }"):
        assert await shop.client().code(document) == "UNAUTHENTICATED"
    for client in (await shop.anonymous(), await shop.account(), staff(shop, "editor")):
        for document in (FULL, BOOKS, "{ reconciliation { unmatched } }", "{ ledgerBalances { account } }"):
            assert await client.code(document) == "FORBIDDEN"
        assert (await client.ask(node, id=sale["id"]))["node"] is None


async def test_finance_keeps_the_books_and_nothing_else(shop: Shop) -> None:
    finance = staff(shop, "finance")
    for field in ("auditLog", "importRuns", "systemLogs"):
        assert await finance.code(f"{{ {field} {{ nodes {{ id }} }} }}") == "FORBIDDEN"
    assert await finance.code('{ eventCounts(since: "2026-07-01T00:00:00Z") { name } }') == "FORBIDDEN"
    assert (await finance.ask(BOOKS))["ledger"] == {"nodes": []}


async def test_a_second_factor_that_was_not_shown_hides_the_money(shop: Shop) -> None:
    await report(shop.services, awin("A1"))
    person = uuid4()
    await shop.owner.execute("insert into public.profiles (id) values ($1)", person)
    if not shop.base.accounts_are_ours:
        pytest.skip("second factors are another service's")
    await shop.owner.execute("insert into auth.users (id) values ($1) on conflict do nothing", person)
    await shop.owner.execute(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, secret, created_at, updated_at)"
        " values (gen_random_uuid(), $1, 'totp', 'verified', 'x', now(), now())",
        person,
    )
    client = shop.client(shop.token(person, app_metadata={"role": "finance"}))
    assert (await client.ask(REFERENCES))["conversions"]["nodes"] == []
    assert await client.code("{ reconciliation { unmatched } }") == "FORBIDDEN"


async def test_filters_and_pages(shop: Shop) -> None:
    _, row = await click(shop)
    await report(
        shop.services,
        awin("A1", click=row["id"]),
        awin("A2", "approved", transactionDate="2026-08-01T00:00:00"),
        awin("A3", currency="USD", transactionDate="2026-06-30T23:59:59"),
    )
    client = staff(shop, "analyst")
    assert await references(client) == ["A2", "A1", "A3"]
    assert await references(client, orderBy="OLDEST") == ["A3", "A1", "A2"]
    retailer = await shop.owner.fetchval("select retailer_id from public.affiliate_clicks")
    slug = await shop.owner.fetchval("select slug from public.retailers where id = $1", retailer)
    shops = (await client.ask("{ retailers { id slug } }"))["retailers"]
    for wanted, expected in (
        ({"month": "2026-07"}, ["A1"]),
        ({"month": "2026-07", "since": "2026-07-20T00:00:00Z"}, []),
        ({"since": "2026-07-01T00:00:00Z", "until": "2026-08-01T00:00:00Z"}, ["A1"]),
        ({"status": ["APPROVED"]}, ["A2"]),
        ({"currencyCode": "USD"}, ["A3"]),
        ({"reference": "A3"}, ["A3"]),
        ({"isMatched": True}, ["A1"]),
        ({"isMatched": False}, ["A2", "A3"]),
        ({"networks": ["awin"], "retailerId": next(s["id"] for s in shops if s["slug"] == slug)}, ["A1"]),
        ({"networks": []}, []),
    ):
        assert await references(client, filter=wanted) == expected, wanted
    for bad in ({"month": "2026-13"}, {"currencyCode": "GBPX"}, {"retailerId": "x"}, {"networks": ["x"] * 51}):
        assert await client.code(REFERENCES, filter=bad) == "BAD_USER_INPUT", bad
    first = (await client.ask(REFERENCES, first=2))["conversions"]
    assert await references(client, first=2, after=first["pageInfo"]["endCursor"]) == ["A3"]


async def test_an_explanation_adds_up_to_the_figures(shop: Shop) -> None:
    """Of sales that were paid, partly reversed, declined, and disputed."""
    await report(
        shop.services,
        awin("A1", "approved", commission="5.00"),
        awin("A2", commission="2.00"),
        awin("A2", "declined", commission="2.00"),
        awin("A3", "approved", commission="4.00"),
        awin("A3", "approved", commission="1.00", old="4.00", validated="2026-08-01T00:00:00"),
        awin("A4", "declined", commission="7.00"),
        awin("A4", "approved", commission="7.00", validated="2026-07-25T00:00:00"),
    )
    await pay(shop, "6.00")
    accounts = {
        "pending": "TRACKED", "approved": "APPROVED", "declined": "DECLINED", "reversed": "REVERSED",
        "paid": "RECEIVABLE", "clawback": "CLAWED_BACK",
    }  # fmt: skip
    assert accounts.keys() == FIGURES.keys()
    sales = (await staff(shop, "admin").ask(FULL))["conversions"]["nodes"]
    for sale in sales:
        sums = dict.fromkeys(accounts, 0.0)
        for move in sale["explanation"]["movements"]:
            for figure, account in accounts.items():
                sums[figure] += float(move["amount"]["amount"]) * (
                    (move["debit"] == account) - (move["credit"] == account)
                )
        assert {name: f"{amount:.2f}" for name, amount in sums.items()} == {
            name: sale[name]["amount"] for name in accounts
        }, sale["reference"]
    faults = {sale["reference"]: sale["explanation"]["faults"] for sale in sales if sale["explanation"]["faults"]}
    assert faults == {"A4": ["declined cannot become approved, as said of 2026-07-25 00:00:00 UTC"]}
