"""Administrators write brands, categories, retailers and products, and imports keep what they set."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop

WRITE = {
    "createBrand": "mutation ($input: BrandInput!) { createBrand(input: $input) { brand { %s } %s } }",
    "updateBrand": "mutation ($input: UpdateBrandInput!) { updateBrand(input: $input) { brand { %s } %s } }",
    "createCategory": "mutation ($input: CategoryInput!) { createCategory(input: $input) { category { %s } %s } }",
    "updateCategory": "mutation ($input: UpdateCategoryInput!) { updateCategory(input: $input) "
    "{ category { %s } %s } }",
    "createRetailer": "mutation ($input: RetailerInput!) { createRetailer(input: $input) { retailer { %s } %s } }",
    "updateRetailer": "mutation ($input: UpdateRetailerInput!) { updateRetailer(input: $input) "
    "{ retailer { %s } %s } }",
}
FIELDS = {"Brand": "id name slug isActive", "Category": "id name slug isActive parent { slug }"}
FIELDS["Retailer"] = "id name slug isActive network"


@pytest.fixture
async def admin(shop: Shop) -> Client:
    return shop.client(shop.token((await person(shop)), app_metadata={"role": "admin"}))


async def person(shop: Shop) -> Any:
    await shop.account()
    return await shop.owner.fetchval("select id from profiles where not is_anonymous limit 1")


async def write(client: Client, mutation: str, /, **given: Any) -> dict[str, Any]:
    """The payload, with the row as `row`."""
    document = WRITE[mutation] % (FIELDS[mutation[6:]], "userErrors { code field }")
    payload = (await client.ask(document, input=given))[mutation]
    return {"row": payload[mutation[6:].lower()], "errors": payload["userErrors"]}


async def made(client: Client, mutation: str, /, **given: Any) -> dict[str, Any]:
    payload = await write(client, mutation, **given)
    assert payload["errors"] == []
    row: dict[str, Any] = payload["row"]
    return row


async def code(client: Client, mutation: str, /, **given: Any) -> tuple[str, list[str]]:
    payload = await write(client, mutation, **given)
    assert payload["row"] is None
    (error,) = payload["errors"]
    return error["code"], error["field"]


async def test_a_brand(shop: Shop, admin: Client) -> None:
    brand = await made(admin, "createBrand", name="  Zürcher   Söhne & Co ")
    assert brand["name"] == "Zürcher Söhne & Co" and brand["slug"] == "zurcher-sohne-co" and brand["isActive"]
    changed = await made(admin, "updateBrand", id=brand["id"], name="Zürcher", isActive=False)
    assert changed == {**brand, "name": "Zürcher", "isActive": False}
    listed = await shop.client().ask('{ brands(search: "zurcher") { nodes { id } } }')
    assert listed["brands"]["nodes"] == []
    logged = await shop.owner.fetch("select operation from audit_log where table_name = 'public.brands' order by id")
    assert [row["operation"] for row in logged] == ["insert", "update"]


async def test_names_and_slugs_are_unique(admin: Client) -> None:
    assert await code(admin, "createBrand", name="ALDER") == ("CONFLICT", ["name"])
    assert await code(admin, "createBrand", name="Other", slug="alder") == ("CONFLICT", ["slug"])
    first = await made(admin, "createBrand", name="C++")
    second = await made(admin, "createBrand", name="C#")
    assert first["slug"] != second["slug"]
    assert await code(admin, "updateBrand", id=first["id"], name="c#") == ("CONFLICT", ["name"])
    assert (await made(admin, "updateBrand", id=first["id"], name="c++"))["name"] == "c++"


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("createBrand", {"name": " "}, "name"),
        ("createBrand", {"name": "x" * 256}, "name"),
        ("createBrand", {"name": "a\0"}, "name"),
        ("createBrand", {"name": "Ok", "slug": "Not A Slug"}, "slug"),
        ("createBrand", {"name": "Ok", "slug": ""}, "slug"),
        ("createRetailer", {"name": "Ok", "domain": "shop.example/gifts"}, "domain"),
        ("createRetailer", {"name": "Ok", "domain": "localhost"}, "domain"),
        ("createRetailer", {"name": "Ok", "network": "nonsense"}, "network"),
        ("createRetailer", {"name": "Ok", "commissionRate": "1.5"}, "commissionRate"),
        ("createRetailer", {"name": "Ok", "commissionRate": "0.00001"}, "commissionRate"),
        ("createRetailer", {"name": "Ok", "clickWindowHours": 0}, "clickWindowHours"),
        ("createRetailer", {"name": "Ok", "clickWindowHours": 8785}, "clickWindowHours"),
    ],
)
async def test_what_cannot_be(admin: Client, name: str, given: dict[str, Any], field: str) -> None:
    assert await code(admin, name, **given) == ("INVALID", [field])


async def test_what_is_unknown(admin: Client) -> None:
    for noun in ("Brand", "Category", "Retailer"):
        for nothing in (ids.encode(noun, uuid4()), "nonsense", ids.encode("Product", uuid4())):
            assert await code(admin, f"update{noun}", id=nothing, name="X") == ("NOT_FOUND", ["id"])
    assert await code(admin, "createCategory", name="X", parentId="nonsense") == ("NOT_FOUND", ["parentId"])


async def test_a_category_moves_with_all_below_it(shop: Shop, admin: Client) -> None:
    top = await made(admin, "createCategory", name="Outside")
    below = await made(admin, "createCategory", name="Garden", parentId=top["id"])
    assert below["slug"] == "outside-garden" and below["parent"] == {"slug": "outside"}
    camping = ids.encode("Category", await shop.owner.fetchval("select id from categories where slug = 'camping'"))
    moved = await made(admin, "updateCategory", id=camping, parentId=below["id"])
    assert moved["parent"] == {"slug": "outside-garden"}
    found = await shop.client().ask('{ products(filter: {categorySlug: "outside"}) { totalCount } }')
    assert found["products"]["totalCount"] > 0
    for parent in (top["id"], below["id"], camping):
        assert await code(admin, "updateCategory", id=top["id"], parentId=parent) == ("INVALID", ["parentId"])
    assert (await made(admin, "updateCategory", id=camping, parentId=None))["parent"] is None


async def test_two_moves_at_once_make_no_circle(shop: Shop, admin: Client) -> None:
    left, right = [await made(admin, "createCategory", name=name) for name in ("Left", "Right")]
    move = WRITE["updateCategory"] % ("id", "userErrors { code }")
    await asyncio.gather(
        admin.post(move, input={"id": left["id"], "parentId": right["id"]}),
        admin.post(move, input={"id": right["id"], "parentId": left["id"]}),
    )
    parents = await shop.owner.fetch("select parent_id from categories where slug in ('left', 'right')")
    assert [row["parent_id"] for row in parents].count(None) >= 1


async def test_a_retailer(shop: Shop, admin: Client) -> None:
    new = {"name": "Müller", "domain": "Müller.example", "network": "awin", "commissionRate": "0.05"}
    retailer = await made(admin, "createRetailer", **new)
    stored = await shop.owner.fetchrow("select domain, commission_rate::text from retailers where slug = 'muller'")
    assert tuple(stored) == ("xn--mller-kva.example", "0.0500") and retailer["network"] == "awin"
    changed = await made(admin, "updateRetailer", id=retailer["id"], network=None, commissionRate=None)
    assert changed["network"] is None
    stored = await shop.owner.fetchrow("select domain, commission_rate from retailers where slug = 'muller'")
    assert tuple(stored) == ("xn--mller-kva.example", None)
    window = "select click_window_hours from retailers where slug = 'muller'"
    for change, hours in (({"clickWindowHours": 24}, 24), ({"name": "Muller"}, 24), ({"clickWindowHours": None}, None)):
        await made(admin, "updateRetailer", id=retailer["id"], **change)
        assert await shop.owner.fetchval(window) == hours


@pytest.mark.parametrize("noun", ["Brand", "Category", "Retailer"])
async def test_a_key_makes_a_repeat_harmless(admin: Client, noun: str) -> None:
    first = await made(admin, f"create{noun}", name="Once", idempotencyKey="k")
    assert await made(admin, f"create{noun}", name="Once", idempotencyKey="k") == first
    assert await code(admin, f"create{noun}", name="Twice", idempotencyKey="k") == (
        "IDEMPOTENCY_KEY_REUSED",
        ["idempotencyKey"],
    )


async def test_service_role_writes_too(shop: Shop) -> None:
    service = shop.client(shop.token(uuid4(), role="service_role"))
    assert (await made(service, "createBrand", name="By the service"))["slug"] == "by-the-service"


async def test_a_renamed_brand_is_found_by_its_new_name(shop: Shop, admin: Client) -> None:
    alder = ids.encode("Brand", await shop.owner.fetchval("select id from brands where slug = 'alder'"))
    await made(admin, "updateBrand", id=alder, name="Quercus")
    search = "query ($search: String) { products(search: $search) { totalCount } }"
    assert (await shop.client().ask(search, search="quercus"))["products"]["totalCount"] > 0
    assert (await shop.client().ask(search, search="alder"))["products"]["totalCount"] == 0


@pytest.mark.parametrize("name", WRITE)
async def test_nobody_else_may(shop: Shop, name: str) -> None:
    document = WRITE[name] % ("id", "userErrors { code }")
    given: dict[str, Any] = {"name": "X"} if name.startswith("create") else {"id": "x", "name": "X"}
    analyst = shop.client(shop.token(uuid4(), app_metadata={"role": "analyst"}))
    for client in (await shop.account(), await shop.anonymous(), analyst):
        assert await client.code(document, input=given) == "FORBIDDEN"
    assert await shop.client().code(document, input=given) == "UNAUTHENTICATED"
