"""Administrators read and write affiliate networks, and links follow their rules."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from db import reference
from domain import ids
from tests.client import Client
from tests.conftest import Shop

NETWORK = """
code name trackingHosts commissionRate rules { host path place parameter destination carries removes maxLength }
"""
CREATE = f"""
mutation ($input: AffiliateNetworkInput!) {{
  createNetwork(input: $input) {{ network {{ {NETWORK} }} userErrors {{ code field }} }}
}}
"""
UPDATE = f"""
mutation ($input: UpdateAffiliateNetworkInput!) {{
  updateNetwork(input: $input) {{ network {{ {NETWORK} }} userErrors {{ code field }} }}
}}
"""
ONE = f"query ($code: String!) {{ affiliateNetwork(code: $code) {{ {NETWORK} }} }}"
ALL = "{ affiliateNetworks { code name commissionRate rules { parameter } } }"
KESTREL: dict[str, Any] = {
    "code": "kestrel",
    "name": "Kestrel",
    "trackingHosts": ["https://Go.Kestrel.example/"],
    "commissionRate": "0.07",
    "rules": [{"parameter": "sub", "place": "BEFORE", "destination": ["TO"]}],
}
RULE = {
    "host": "*", "path": "*", "place": "BEFORE", "parameter": "sub", "destination": ["to"], "carries": "CLICK",
    "removes": [], "maxLength": 255,
}  # fmt: skip


@pytest.fixture
def admin(shop: Shop) -> Client:
    return shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))


async def write(client: Client, document: str, **given: Any) -> dict[str, Any]:
    (payload,) = (await client.ask(document, input=given)).values()
    written: dict[str, Any] = payload
    return written


async def test_a_network_is_created_read_and_changed(shop: Shop, admin: Client) -> None:
    made = await write(admin, CREATE, **KESTREL)
    expected = {**KESTREL, "trackingHosts": ["go.kestrel.example"], "commissionRate": "0.0700", "rules": [RULE]}
    assert made == {"network": expected, "userErrors": []}
    assert (await admin.ask(ONE, code="kestrel"))["affiliateNetwork"] == expected
    listed = (await admin.ask(ALL))["affiliateNetworks"]
    assert [network["code"] for network in listed] == sorted(network["code"] for network in listed)
    assert {"code": "kestrel", "name": "Kestrel", "commissionRate": "0.0700", "rules": [{"parameter": "sub"}]} in listed
    more = [{"parameter": "sid"}, {"parameter": "x", "place": "PAIRS", "path": "/click/*"}]
    changed = await write(admin, UPDATE, code="kestrel", name="Kestrels", rules=more)
    assert [rule["parameter"] for rule in changed["network"]["rules"]] == ["sid", "x"]
    assert changed["network"]["name"] == "Kestrels"
    changed = await write(admin, UPDATE, code="kestrel", trackingHosts=["a.example", "a.example"], rules=more[1:])
    assert (changed["network"]["trackingHosts"], len(changed["network"]["rules"])) == (["a.example"], 1)
    assert (await admin.ask(ONE, code="kestrels"))["affiliateNetwork"] is None
    logged = await shop.owner.fetch(
        "select table_name, operation, count(*) from audit_log where table_name like 'public.%network%' group by 1, 2"
    )
    assert {tuple(row) for row in logged} == {
        ("public.affiliate_networks", "insert", 1),
        ("public.affiliate_networks", "update", 2),
        ("public.network_link_rules", "insert", 2),
        ("public.network_link_rules", "update", 2),
        ("public.network_link_rules", "delete", 1),
    }


async def test_a_click_goes_where_the_networks_rule_says(shop: Shop, admin: Client) -> None:
    await write(admin, CREATE, **KESTREL)
    key = await shop.owner.fetchval("select id from products where name = 'Camping 3'")
    seller = await shop.owner.fetchval("select seller_id from products where id = $1", key)
    await shop.owner.execute("update retailers set affiliate_network = 'kestrel' where id = $1", seller)
    link = "https://go.kestrel.example/c?to=https%3A%2F%2Fshop.example%2F1"
    update = "mutation ($i: UpdateProductOfferInput!) { updateOffer(input: $i) { userErrors { code field } } }"
    assert (await admin.ask(update, i={"id": ids.encode("ProductOffer", key), "url": link}))["updateOffer"] == {
        "userErrors": []
    }
    anna = await shop.account()
    click = "mutation ($p: ID!) { createAffiliateClick(input: {productId: $p}) { click { redirectUrl } userErrors "
    made = await anna.do(click + "{ code } } }", p=ids.encode("Product", key))
    path = made["click"]["redirectUrl"].removeprefix("http://test")
    token = path.rpartition("/")[2]
    answer = await anna.http.get(f"/r/{token}", headers={"user-agent": "a browser"})
    assert answer.headers["location"] == f"https://go.kestrel.example/c?sub={token}&{link.partition('?')[2]}"
    await write(admin, UPDATE, code="kestrel", trackingHosts=["other.example"])
    assert (await anna.http.get(f"/r/{token}", headers={"user-agent": "a browser"})).status_code == 404


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"code": "Kestrel"}, "INVALID", ["code"]),
        ({"code": "awin"}, "CONFLICT", ["code"]),
        ({"code": "a\0"}, "INVALID", ["code"]),
        ({"name": " "}, "INVALID", ["name"]),
        ({"trackingHosts": []}, "INVALID", ["trackingHosts"]),
        ({"trackingHosts": ["ok.example", "127.0.0.1"]}, "INVALID", ["trackingHosts", "1"]),
        ({"trackingHosts": ["a\0.example"]}, "INVALID", ["trackingHosts", "0"]),
        ({"trackingHosts": [f"h{n}.example" for n in range(201)]}, "INVALID", ["trackingHosts"]),
        ({"commissionRate": "1.01"}, "INVALID", ["commissionRate"]),
        ({"rules": []}, "INVALID", ["rules"]),
        ({"rules": [{"parameter": "p"}] * 101}, "INVALID", ["rules"]),
        ({"rules": [{"parameter": "p"}, {"parameter": "p&q"}]}, "INVALID", ["rules", "1"]),
        ({"rules": [{"parameter": "p", "maxLength": 25}]}, "INVALID", ["rules", "0"]),
        ({"rules": [{"parameter": "p", "maxLength": 2**31 - 1}]}, "INVALID", ["rules", "0"]),
        ({"rules": [{"parameter": "p", "path": "/a\0"}]}, "INVALID", ["rules", "0"]),
        ({"rules": [{"parameter": "p", "removes": [f"r{n}" for n in range(11)]}]}, "INVALID", ["rules", "0"]),
        ({"rules": [{"parameter": "p", "characters": "a-z]"}]}, "INVALID", ["rules", "0"]),
    ],
)
async def test_what_cannot_be(shop: Shop, admin: Client, given: dict[str, Any], code: str, field: list[str]) -> None:
    before = await shop.owner.fetchval("select count(*) from affiliate_networks")
    refused = await write(admin, CREATE, **{**KESTREL, **given})
    assert refused == {"network": None, "userErrors": [{"code": code, "field": field}]}
    if "code" not in given and given != {"trackingHosts": []}:
        refused = await write(admin, UPDATE, code="awin", **given)
        assert refused == {"network": None, "userErrors": [{"code": code, "field": field}]}
    assert await shop.owner.fetchval("select count(*) from affiliate_networks") == before


async def test_an_unknown_network_is_not_changed(admin: Client) -> None:
    for code in ("nonsense", "a\0"):
        (error,) = (await write(admin, UPDATE, code=code, name="X"))["userErrors"]
        assert error["field"] == ["code"]


async def test_nobody_else_may_read_or_write(shop: Shop) -> None:
    analyst = shop.client(shop.token(uuid4(), app_metadata={"role": "analyst"}))
    for document, given in (
        (CREATE, {"input": KESTREL}),
        (UPDATE, {"input": {"code": "awin", "commissionRate": "1"}}),
        (ONE, {"code": "awin"}),
        (ALL, {}),
    ):
        for client in (await shop.account(), await shop.anonymous(), analyst):
            assert await client.code(document, **given) == "FORBIDDEN"
        assert await shop.client().code(document, **given) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from affiliate_networks where code = 'kestrel'") == 0


async def test_loads_of_the_reference_data_keep_what_was_changed(shop: Shop, admin: Client) -> None:
    await reference.load(shop.owner)
    await write(admin, UPDATE, code="cj", rules=[{"parameter": "mine"}])
    await write(admin, UPDATE, code="awin", commissionRate="0.09")
    await reference.load(shop.owner)
    cj, awin = [(await admin.ask(ONE, code=code))["affiliateNetwork"] for code in ("cj", "awin")]
    assert [rule["parameter"] for rule in cj["rules"]] == ["mine"]
    assert (awin["commissionRate"], [rule["parameter"] for rule in awin["rules"]]) == ("0.0900", ["clickref"])
