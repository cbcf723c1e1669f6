"""Finance sees suspicious sales, holds and releases them; what a hold keeps back, and who may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.affiliate import encode_token
from services import conversion_flags
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_conversions import staff
from tests.http.test_purchases import bought, click, listed, purchases
from tests.integration.test_conversion_flags import AT, DESK, clicked, ordered
from tests.integration.test_ledger import reconciled
from tests.ledger import report

SALES = """
query ($filter: ConversionFilter) { conversions(filter: $filter) { nodes {
  id reference isHeld flags { nodes { kind isHeld releaseReason } }
} } }
"""
FLAGS = """
query ($filter: ConversionFlagFilter) { conversionFlags(filter: $filter) { nodes {
  id kind detail flaggedAt isHeld clearedAt releasedAt releaseReason conversion { reference }
} } }
"""
HOLD = """
mutation ($input: HoldConversionInput!) {
  holdConversion(input: $input) {
    conversion { isHeld flags { nodes { kind detail } } } userErrors { code message field }
  }
}
"""
RELEASE = HOLD.replace("HoldConversion", "ReleaseConversion").replace("holdConversion", "releaseConversion")


async def suspicious(shop: Shop) -> None:
    """The sale T1, which came too early, and T2, which did not."""
    anna = await shop.anonymous()
    for number, seconds in enumerate((3, 300), 1):
        made = await clicked(shop, anna, AT - timedelta(seconds=seconds))
        await report(shop.services, ordered(f"T{number}", click=made))
    assert await conversion_flags.update_recent(shop.services) == 1


async def sales(client: Client, **filter: Any) -> dict[str, dict[str, Any]]:
    return {node["reference"]: node for node in (await client.ask(SALES, filter=filter))["conversions"]["nodes"]}


async def flags(client: Client, **filter: Any) -> list[tuple[str, str]]:
    found = (await client.ask(FLAGS, filter=filter))["conversionFlags"]["nodes"]
    return [(node["conversion"]["reference"], node["kind"]) for node in found]


async def test_finance_releases_what_a_job_found(shop: Shop) -> None:
    await suspicious(shop)
    before = await reconciled(shop)
    finance = staff(shop, "finance")
    found = await sales(finance)
    assert {name: sale["isHeld"] for name, sale in found.items()} == {"T1": True, "T2": False}
    assert set(await sales(finance, isHeld=True)) == {"T1"}
    early = [("T1", "EARLY_SALE")]
    for filter in (
        {},
        {"isHeld": True},
        {"kind": "EARLY_SALE"},
        {"network": "awin"},
        {"until": "2999-01-01T00:00:00Z"},
    ):
        assert await flags(finance, **filter) == early, filter
    for filter in ({"isHeld": False}, {"kind": "MANUAL"}, {"network": "cj"}, {"since": "2999-01-01T00:00:00Z"}):
        assert await flags(finance, **filter) == [], filter

    released = await finance.do(RELEASE, input={"conversionId": found["T1"]["id"], "reason": "The shop confirms it."})
    assert released["conversion"]["isHeld"] is False
    assert await flags(finance, isHeld=True) == []
    assert await conversion_flags.update_recent(shop.services) == 0
    (flag,) = (await finance.ask(FLAGS, filter={}))["conversionFlags"]["nodes"]
    assert (flag["isHeld"], flag["releaseReason"], flag["clearedAt"]) == (False, "The shop confirms it.", None)
    assert flag["releasedAt"]
    assert await reconciled(shop) == before, "a hold moves no money"
    again = await finance.refusal(RELEASE, input={"conversionId": found["T1"]["id"], "reason": "again"})
    assert (again["code"], again["field"]) == ("CONFLICT", ["conversionId"])


async def test_who_held_and_who_released_is_in_the_audit_log(shop: Shop) -> None:
    await suspicious(shop)
    person = uuid4()
    finance = shop.client(shop.token(person, app_metadata={"role": "finance"}))
    sale = (await sales(finance))["T2"]["id"]
    held = await finance.do(HOLD, input={"conversionId": sale, "reason": "The shop asked."})
    assert held["conversion"] == {"isHeld": True, "flags": {"nodes": [{"kind": "MANUAL", "detail": "The shop asked."}]}}
    await finance.do(RELEASE, input={"conversionId": sale, "reason": "It was an error."})
    entries = await shop.owner.fetch(
        "select operation, actor, role, app_role from public.audit_log"
        " where table_name = 'public.conversion_flags' order by id"
    )
    assert [tuple(entry) for entry in entries] == [
        (operation, person, "service_role", "finance") for operation in ("insert", "update")
    ]


async def test_nobody_else_reads_flags_holds_or_releases(shop: Shop) -> None:
    await suspicious(shop)
    given = {"conversionId": (await sales(staff(shop, "admin")))["T1"]["id"], "reason": "x"}
    for document, variables in ((FLAGS, {"filter": {}}), (HOLD, {"input": given}), (RELEASE, {"input": given})):
        assert await shop.client().code(document, **variables) == "UNAUTHENTICATED"
        for client in (await shop.anonymous(), await shop.account(), staff(shop, "analyst")):
            assert await client.code(document, **variables) == "FORBIDDEN"
    analyst = await sales(staff(shop, "analyst"))
    assert analyst["T1"]["isHeld"] is True
    assert analyst["T1"]["flags"]["nodes"] == []
    unknown = await staff(shop, "finance").refusal(HOLD, input={**given, "conversionId": "nonsense"})
    assert unknown["code"] == "NOT_FOUND"


@pytest.mark.parametrize("role", ["service_role", "aclue_owner"])
async def test_flags_are_nobodys_to_delete(shop: Shop, role: str) -> None:
    await suspicious(shop)
    become = "set local role service_role; " if role == "service_role" else ""
    for statement in ("delete from public.conversion_flags", "truncate public.conversion_flags"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shop.owner.execute(become + statement)


async def test_a_held_sale_is_not_bought_until_it_is_released(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    shown, *_ = (await anna.feed(first=1))["nodes"]
    _, made = await click(shop, anna, shown)
    await report(shop.services, ordered("T1", click=made))
    finance = staff(shop, "finance")
    sale = (await sales(finance))["T1"]["id"]
    changed = "select updated_at from public.conversions"
    before = await shop.owner.fetchval(changed)
    is_bought = "select bool_or(is_bought) from private.impression_outcomes('2020-01-01', '2100-01-01', null)"
    assert (len(await bought(shop)), await purchases(shop)) == (1, 1)
    await finance.do(HOLD, input={"conversionId": sale, "reason": "Looks odd."})
    assert (await bought(shop), await purchases(shop)) == ([], 0)
    assert shown["product"]["id"] in await listed(anna)
    assert not await shop.owner.fetchval(is_bought)
    await report(shop.services, ordered("T1", status="approved", click=made))
    assert await bought(shop) == []
    await finance.do(RELEASE, input={"conversionId": sale, "reason": "It is fine."})
    assert (len(await bought(shop)), await purchases(shop)) == (1, 1)
    assert shown["product"]["id"] not in await listed(anna)
    assert before < await shop.owner.fetchval(changed), "by the report"


async def test_a_hold_does_not_show_in_when_a_sale_changed(shop: Shop) -> None:
    await report(shop.services, ordered("T1"))
    before = await shop.owner.fetchval("select updated_at from public.conversions")
    finance = staff(shop, "finance")
    await finance.do(HOLD, input={"conversionId": (await sales(finance))["T1"]["id"], "reason": "Looks odd."})
    assert await shop.owner.fetchval("select updated_at from public.conversions") == before


async def test_hits_carry_hashes_of_visitor_and_network_only_with_consent(shop: Shop) -> None:
    made: UUID = await clicked(shop, await shop.anonymous(), AT)
    for headers in ({"sec-gpc": "1"}, {}):
        await shop.http.get(f"/r/{encode_token(made)}", headers={"user-agent": DESK, **headers})
    hits = await shop.owner.fetch(
        "select visitor_hash, network_hash from public.affiliate_redirects order by redirected_at"
    )
    assert [tuple(hash is not None for hash in hit) for hit in hits] == [(False, False), (True, True)]
