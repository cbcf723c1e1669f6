"""Finance matches, adjusts, accepts and declines: what follows, that a rebuild gives the same, and who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.claims import SERVICE
from domain.affiliate import encode_token
from services import ledger
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_conversions import staff
from tests.integration.test_ledger import click, figures, pay, reconciled
from tests.ledger import ORDERED_AT, awin, report

SALES = """
{ conversions(first: 50) { nodes {
  id reference status matchedBy trackingId click { token } retailer { id slug } approved { amount }
  decisions { nodes { kind reason retailer { slug } trackingId report { amount { amount } source } } }
} } }
"""
EXCEPTIONS = """
query ($filter: ExceptionFilter) { exceptions(filter: $filter) { nodes {
  id kind detail closedAt concernsOn conversion { reference }
  payment { reference paidOn settlement { due { amount } difference { amount } conversions meets isAccepted } }
  decision { kind reason }
} } }
"""
ERRORS = "userErrors { code message field }"
MATCH = f"""
mutation ($input: MatchConversionInput!) {{ matchConversion(input: $input) {{ conversion {{ id }} {ERRORS} }} }}
"""
ADJUST = f"""
mutation ($input: AdjustConversionInput!) {{ adjustConversion(input: $input) {{ conversion {{ status }} {ERRORS} }} }}
"""
ACCEPT = f"""
mutation ($input: DecideExceptionInput!) {{ acceptException(input: $input) {{ exception {{ closedAt }} {ERRORS} }} }}
"""
DECLINE = ACCEPT.replace("acceptException", "declineException")


@pytest.fixture
async def finance(shop: Shop) -> AsyncIterator[Client]:
    """Somebody who keeps the books; at the end the books balance, and a rebuild gives the same."""
    yield staff(shop, "finance")
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await shop.owner.fetch(off) == []
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        await ledger.rebuild(session)
        assert await ledger.fingerprint(session) == before


async def sales(client: Client) -> dict[str, dict[str, Any]]:
    return {node["reference"]: node for node in (await client.ask(SALES))["conversions"]["nodes"]}


async def exceptions(client: Client, **filter: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask(EXCEPTIONS, filter=filter))["exceptions"]["nodes"]
    return found


async def balance(shop: Shop, account: str) -> int:
    found = await shop.owner.fetchval("select sum(amount_minor) from public.ledger_entries where account = $1", account)
    return int(found or 0)


async def made_in_time(shop: Shop, id: UUID) -> None:
    """Lets a click have been made an hour before the orders of these tests."""
    await shop.owner.execute(
        "update public.affiliate_clicks set click_timestamp = $2 where id = $1", id, ORDERED_AT - timedelta(hours=1)
    )


async def test_a_sale_is_matched_to_the_click_that_its_customer_shows(shop: Shop, finance: Client) -> None:
    somebody, row = await click(shop)
    await made_in_time(shop, row["id"])
    await report(shop.services, awin("A1", "approved"))
    assert (await reconciled(shop))["unmatched"] == 1
    sale = (await sales(finance))["A1"]
    link = f"https://aclue.example/r/{encode_token(row['id'])}"
    await finance.do(
        MATCH, input={"conversionId": sale["id"], "clickToken": link, "reason": "The customer sent the link."}
    )

    sale = (await sales(finance))["A1"]
    assert (sale["matchedBy"], sale["click"]["token"]) == ("MANUAL", encode_token(row["id"]))
    assert [(d["kind"], d["reason"]) for d in sale["decisions"]["nodes"]] == [("MATCH", "The customer sent the link.")]
    found = await reconciled(shop)
    assert (found["unmatched"], found["currencies"]["GBP"]["expected"]) == (0, "1.00")
    earned = await somebody.ask("{ me { analytics { conversions } } }")
    assert earned["me"]["analytics"]["conversions"] == 1

    await report(shop.services, awin("A1", "declined", click=uuid4(), validated="2026-07-28T00:00:00"))
    assert (await sales(finance))["A1"]["matchedBy"] == "MANUAL", "no report takes it away"


async def test_a_click_that_cannot_be_is_refused(shop: Shop, finance: Client) -> None:
    _, row = await click(shop)
    await report(shop.services, awin("A1"))
    token, sale = encode_token(row["id"]), (await sales(finance))["A1"]["id"]
    given: dict[str, Any] = {"conversionId": sale, "reason": "because"}
    later = await finance.refusal(MATCH, input={**given, "clickToken": token})
    assert (later["code"], later["message"]) == ("INVALID", "The click was made after the order.")
    await made_in_time(shop, row["id"])
    slug = await shop.owner.fetchval("select slug from public.retailers where id <> $1 limit 1", row["retailer_id"])
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.set_advertiser(session, "awin", "77", slug)
    elsewhere = await finance.refusal(MATCH, input={**given, "clickToken": token})
    assert "another shop" in elsewhere["message"]
    for wrong, code in (
        ({"clickToken": encode_token(uuid4())}, "NOT_FOUND"),
        ({"clickToken": "nonsense"}, "INVALID"),
        ({}, "INVALID"),
        ({"clickToken": token, "trackingId": "x"}, "INVALID"),
        ({"trackingId": "nobodys-21"}, "NOT_FOUND"),
        ({"retailerId": "nonsense"}, "NOT_FOUND"),
        ({"clickToken": token, "reason": " "}, "INVALID"),
        ({"clickToken": token, "conversionId": "nonsense"}, "NOT_FOUND"),
    ):
        assert (await finance.refusal(MATCH, input={**given, **wrong}))["code"] == code, wrong
    assert (await sales(finance))["A1"]["matchedBy"] is None
    assert await shop.owner.fetchval("select count(*) from public.ledger_decisions") == 0


async def test_a_sale_without_a_click_is_matched_to_a_shop_or_a_placement(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1"), awin("A2"))
    retailer = (await finance.ask("{ retailers { id slug } }"))["retailers"][0]
    await shop.owner.execute(
        "insert into public.placements (retailer_id, network, tracking_id, name)"
        " select id, 'awin', 'letter-21', 'newsletter' from public.retailers where slug = $1",
        retailer["slug"],
    )
    found = await sales(finance)
    by_shop = {"conversionId": found["A1"]["id"], "retailerId": retailer["id"], "reason": "Their invoice says so."}
    await finance.do(MATCH, input=by_shop)
    by_place = {"conversionId": found["A2"]["id"], "trackingId": "letter-21", "reason": "Only the letter had it."}
    await finance.do(MATCH, input=by_place)
    found = await sales(finance)
    assert [found[name]["retailer"]["slug"] for name in ("A1", "A2")] == [retailer["slug"]] * 2
    assert found["A2"]["trackingId"] == "letter-21"
    assert (await reconciled(shop))["unmatched"] == 0

    _, row = await click(shop)
    await report(shop.services, awin("A1", "approved", click=row["id"]))
    assert (await sales(finance))["A1"]["matchedBy"] == "CLICK_ID", "what the network returns is better than a shop"
    refused = await finance.refusal(MATCH, input=by_shop)
    assert (refused["code"], refused["field"]) == ("CONFLICT", ["conversionId"])


async def test_an_erased_click_is_not_replaced(shop: Shop, finance: Client) -> None:
    _, row = await click(shop)
    await report(shop.services, awin("A1", click=row["id"]))
    await shop.owner.execute("delete from public.profiles where id = $1", row["user_id"])
    _, other = await click(shop)
    await made_in_time(shop, other["id"])
    sale = (await sales(finance))["A1"]["id"]
    given = {"conversionId": sale, "clickToken": encode_token(other["id"]), "reason": "mistaken"}
    assert (await finance.refusal(MATCH, input=given))["code"] == "CONFLICT"


async def test_an_adjustment_stands_until_the_network_says_something_later(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1"), awin("A2", "approved", commission="4.00"))
    found = await sales(finance)
    amounts = {"A1": "2.00", "A2": "3.00"}
    for name, amount in amounts.items():
        given = {
            "conversionId": found[name]["id"],
            "amount": amount,
            "reason": "agreed by phone",
            "at": "2026-08-01T00:00:00Z",
        }
        for _ in range(2):  # a repeat changes nothing
            await finance.do(ADJUST, input=given)
    assert await figures(shop) == {"pending": "2.00", "approved": "3.00", "reversed": "1.00"}
    (decision, _) = (await sales(finance))["A2"]["decisions"]["nodes"]
    assert (decision["kind"], decision["report"]) == ("ADJUST", {"amount": {"amount": "3.00"}, "source": "MANUAL"})

    await report(shop.services, awin("A1", "approved", validated="2026-07-20T00:00:00", commission="1.20"))
    assert await figures(shop) == {"approved": "5.00", "reversed": "1.00"}, "said of a time before the adjustment"
    late = awin("A2", "approved", commission="3.50", old="4.00", validated="2026-08-05T00:00:00")
    await report(shop.services, late)
    assert await figures(shop) == {"approved": "5.50", "reversed": "0.50"}, "0.50 were given again"


async def test_what_was_declined_or_reversed_is_approved_again_by_an_adjustment(shop: Shop, finance: Client) -> None:
    await report(
        shop.services,
        awin("A1", "declined", commission="2.00"),
        awin("A2", "approved", commission="5.00"),
        awin("A2", "declined", commission="5.00", validated="2026-07-25T00:00:00"),
    )
    assert await figures(shop) == {"declined": "2.00", "reversed": "5.00"}
    for sale in (await sales(finance)).values():
        await finance.do(ADJUST, input={"conversionId": sale["id"], "amount": "1.50", "reason": "goodwill"})
    assert await figures(shop) == {"approved": "3.00", "reversed": "3.50"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": "2100-01-01T00:00:00Z"}, "to come"),
        ({"at": "2026-07-19T00:00:00Z"}, "cannot be earlier"),
        ({"amount": "-1"}, "zero or more"),
        ({"amount": "1.234"}, "2 decimals"),
        ({"amount": "1e15"}, "too large"),
        ({"reason": ""}, "Say why"),
        ({"conversionId": "nonsense"}, "no such conversion"),
    ],
)
async def test_an_adjustment_that_makes_no_sense_is_refused(
    shop: Shop, finance: Client, wrong: dict[str, str], says: str
) -> None:
    await report(shop.services, awin("A1", "approved"))
    given = {"conversionId": (await sales(finance))["A1"]["id"], "amount": "1.00", "reason": "because", **wrong}
    assert says in (await finance.refusal(ADJUST, input=given))["message"]
    assert await figures(shop) == {"approved": "1.20"}


async def test_an_accepted_short_payment_pays_its_sales_and_the_difference_is_kept(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1", "approved", commission="5.00"), awin("A2", "approved", commission="1.00"))
    await pay(shop, "5.50")
    (short,) = await exceptions(finance, isOpen=True, network="awin", kind="SHORT_PAYMENT")
    assert short["payment"]["settlement"]["difference"] == {"amount": "-0.50"}
    await finance.do(ACCEPT, input={"exceptionId": short["id"], "reason": "Their bank took a fee."})
    assert await figures(shop) == {"paid": "6.00"}
    found = await reconciled(shop)
    assert (found["exceptions"], found["currencies"]["GBP"]["variance"]) == (0, "0.00")
    assert (await balance(shop, "difference"), await balance(shop, "receivable")) == (50, 0)
    (after,) = await exceptions(finance, isOpen=False)
    assert (after["decision"], after["payment"]["settlement"]["isAccepted"]) == (
        {"kind": "ACCEPT", "reason": "Their bank took a fee."}, True,
    )  # fmt: skip
    assert (await finance.refusal(ACCEPT, input={"exceptionId": short["id"], "reason": "again"}))["code"] == "CONFLICT"

    await report(shop.services, awin("A3", "approved", commission="2.00"))
    assert await figures(shop) == {"approved": "8.00"}, "another sum is due, and nobody accepted that one"
    (other,) = await exceptions(finance, isOpen=True)
    await finance.do(DECLINE, input={"exceptionId": other["id"], "reason": "They must pay the rest."})
    found = await reconciled(shop)
    assert (found["exceptions"], found["currencies"]["GBP"]["variance"]) == (0, "-8.00"), "closed, and not paid"
    late = await finance.refusal(ACCEPT, input={"exceptionId": short["id"], "reason": "again"})
    assert late["code"] == "CONFLICT"


async def test_an_acceptance_can_be_taken_back(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1", "approved", commission="5.00"))
    await pay(shop, "6.00")
    (over,) = await exceptions(finance, isOpen=True)
    await finance.do(ACCEPT, input={"exceptionId": over["id"], "reason": "a bonus"})
    assert (await figures(shop), await balance(shop, "difference")) == ({"paid": "5.00"}, -100)
    await finance.do(DECLINE, input={"exceptionId": over["id"], "reason": "no bonus after all"})
    assert (await figures(shop), await balance(shop, "difference")) == ({"approved": "5.00"}, 0)
    await finance.do(ACCEPT, input={"exceptionId": over["id"], "reason": "a bonus, they say"})
    assert await figures(shop) == {"paid": "5.00"}


async def test_a_payment_for_nothing_is_accepted_as_income_of_another_kind(shop: Shop, finance: Client) -> None:
    await pay(shop, "9.00")
    (found,) = await exceptions(finance, kind="PAYMENT_WITHOUT_ROWS")
    await finance.do(ACCEPT, input={"exceptionId": found["id"], "reason": "a placement fee"})
    assert (await balance(shop, "received"), await balance(shop, "difference")) == (900, -900)
    assert (await reconciled(shop))["exceptions"] == 0


async def test_a_state_that_fits_no_transition_is_taken_if_it_is_accepted(shop: Shop, finance: Client) -> None:
    await report(
        shop.services,
        awin("A1", "declined", commission="7.00"),
        awin("A1", "approved", commission="7.00", validated="2026-07-25T00:00:00"),
        awin("A2", "declined", commission="1.00"),
        awin("A2", "approved", commission="1.00", validated="2026-07-25T00:00:00"),
    )
    found = {each["conversion"]["reference"]: each["id"] for each in await exceptions(finance, isOpen=True)}
    await finance.do(ACCEPT, input={"exceptionId": found["A1"], "reason": "They changed their mind."})
    await finance.do(DECLINE, input={"exceptionId": found["A2"], "reason": "A mistake of theirs."})
    assert await figures(shop) == {"approved": "7.00", "declined": "1.00"}
    assert (await reconciled(shop))["exceptions"] == 0
    await report(shop.services, awin("A1", "approved", commission="7.00", validated="2026-07-25T00:00:00", paid=True))
    assert await figures(shop) == {"paid": "7.00", "declined": "1.00"}


async def test_what_names_no_state_cannot_be_accepted(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1", "approved"), awin("A1", "approved", currency="USD"))
    (found,) = await exceptions(finance, isOpen=True)
    refused = await finance.refusal(ACCEPT, input={"exceptionId": found["id"], "reason": "because"})
    assert refused["code"] == "CONFLICT"
    assert (await exceptions(finance, isOpen=True))[0]["decision"] is None, "nothing of it was kept"
    await finance.do(DECLINE, input={"exceptionId": found["id"], "reason": "a slip of theirs"})
    assert (await reconciled(shop))["exceptions"] == 0


async def test_what_explains_itself_is_not_decided_on(shop: Shop, finance: Client) -> None:
    await pay(shop, "1.20")
    (found,) = await exceptions(finance, isOpen=True)
    await report(shop.services, awin("A1", "approved"))
    for mutation in (ACCEPT, DECLINE):
        refused = await finance.refusal(mutation, input={"exceptionId": found["id"], "reason": "because"})
        assert refused["code"] == "CONFLICT"
        assert "closed" in refused["message"]
    unknown = await finance.refusal(ACCEPT, input={"exceptionId": "nonsense", "reason": "because"})
    assert unknown["code"] == "NOT_FOUND"


async def test_the_audit_log_says_who_decided(shop: Shop) -> None:
    await report(shop.services, awin("A1"))
    person = uuid4()
    client = shop.client(shop.token(person, app_metadata={"role": "finance"}))
    sale = (await sales(client))["A1"]["id"]
    await client.do(ADJUST, input={"conversionId": sale, "amount": "9.00", "reason": "agreed by phone"})
    entry = await shop.owner.fetchrow("select * from public.audit_log where table_name = 'public.ledger_decisions'")
    assert entry
    assert (entry["actor"], entry["role"], entry["app_role"]) == (person, "service_role", "finance")
    assert "agreed by phone" in entry["changes"]


async def test_nobody_else_decides(shop: Shop) -> None:
    await report(shop.services, awin("A1"))
    await pay(shop, "9.00")
    admin = staff(shop, "admin")
    sale, (found,) = (await sales(admin))["A1"]["id"], await exceptions(admin)
    asked = (
        (MATCH, {"conversionId": sale, "clickToken": encode_token(uuid4()), "reason": "x"}),
        (ADJUST, {"conversionId": sale, "amount": "9.00", "reason": "x"}),
        (ACCEPT, {"exceptionId": found["id"], "reason": "x"}),
        (DECLINE, {"exceptionId": found["id"], "reason": "x"}),
    )
    for mutation, given in asked:
        assert await shop.client().code(mutation, input=given) == "UNAUTHENTICATED"
        for client in (await shop.anonymous(), await shop.account(), staff(shop, "analyst")):
            assert await client.code(mutation, input=given) == "FORBIDDEN"
    assert await shop.owner.fetchval("select count(*) from public.ledger_decisions") == 0
    await admin.do(ADJUST, input=asked[1][1])


async def test_an_adjustment_is_of_now_without_a_time(shop: Shop, finance: Client) -> None:
    await report(shop.services, awin("A1"))
    before = datetime.now(UTC)
    await finance.do(
        ADJUST, input={"conversionId": (await sales(finance))["A1"]["id"], "amount": "0", "reason": "none"}
    )
    at = await shop.owner.fetchval("select stated_at from public.conversion_reports where source = 'manual'")
    assert before <= at <= datetime.now(UTC)
    assert await figures(shop) == {}
