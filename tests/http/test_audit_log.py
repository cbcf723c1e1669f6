"""Who changed what: written by the database with every change that counts, read by administrators."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.product_imports import import_products
from domain import ids
from domain.feed_mappings import parse_mapping
from tests.catalogue import NEW_PRODUCT
from tests.client import Client
from tests.conftest import Shop

LOG = """
query ($first: Int, $after: String, $filter: AuditLogFilter) {
  auditLog(first: $first, after: $after, filter: $filter) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id at actorId personId role appRole requestId operation tableName rowKey changes times erasedAt
    }
  }
}
"""
CREATE = """
mutation ($input: ProductInput!) { createProduct(input: $input) { product { id } userErrors { message } } }
"""
UPDATE = """
mutation ($input: UpdateProductInput!) { updateProduct(input: $input) { product { id } userErrors { message } } }
"""
RENAME = 'mutation { updateProfile(input: {displayName: "Anna"}) { userErrors { message } } }'
INPUT = {**NEW_PRODUCT, "description": "Nobody's business."}


def admin(shop: Shop, subject: UUID | None = None) -> Client:
    return shop.client(shop.token(subject or uuid4(), app_metadata={"role": "admin"}))


async def entries(client: Client, table: str | None = None, **variables: Any) -> list[dict[str, Any]]:
    wanted = {"filter": {"tableName": table}} if table else {}
    found: list[dict[str, Any]] = (await client.ask(LOG, **wanted, **variables))["auditLog"]["nodes"]
    return found


def key(global_id: str, of: str = "Product") -> str:
    return str(ids.decode_as(of, global_id))


async def test_a_change_of_the_catalogue_says_who_what_and_in_which_request(shop: Shop) -> None:
    subject = uuid4()
    client = admin(shop, subject)
    answer = await client.post(CREATE, input=INPUT)
    product = answer.json()["data"]["createProduct"]["product"]["id"]
    marked, entry = await entries(client, "public.products")
    assert marked["changes"] == {"edited": {"old": [], "new": ["category", "description", "name"]}}
    assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("at")) < timedelta(minutes=1)
    entry.pop("id")
    changes = entry.pop("changes")
    assert entry == {
        "actorId": ids.encode("Profile", subject),
        "personId": None,
        "role": "authenticated",
        "appRole": "admin",
        "requestId": answer.headers["x-request-id"],
        "operation": "insert",
        "tableName": "public.products",
        "rowKey": {"id": key(product)},
        "times": 1,
        "erasedAt": None,
    }
    assert changes["name"] == {"old": None, "new": "A new gift"}
    assert changes["price_minor"] == {"old": None, "new": 1000}
    assert changes["description"] == {"left_out": True}
    assert not {"popularity", "search", "search_names", "updated_at"} & set(changes)


async def test_an_update_names_the_columns_that_changed_and_no_other(shop: Shop) -> None:
    client = admin(shop)
    product = await client.product("Books 1")
    await client.do(UPDATE, input={"id": product["id"], "name": "A better book", "tags": product["tags"]})
    (entry,) = await entries(client, "public.products")
    assert (entry["operation"], entry["changes"]) == (
        "update",
        {"name": {"old": "Books 1", "new": "A better book"}, "edited": {"old": [], "new": ["name", "tags"]}},
    )
    await client.do(UPDATE, input={"id": product["id"], "name": "A better book"})
    assert len(await entries(client, "public.products")) == 1, "nothing changed, so there is nothing to note"
    await client.do(UPDATE, input={"id": product["id"], "description": "Another text."})
    assert (await entries(client, "public.products"))[0]["changes"] == {
        "description": {"left_out": True},
        "edited": {"old": ["name", "tags"], "new": ["description", "name", "tags"]},
    }


async def test_a_refused_change_leaves_no_entry(shop: Shop) -> None:
    client = admin(shop)
    await client.refusal(CREATE, input={**INPUT, "categorySlug": "no-such"})
    assert await entries(client) == []


async def test_service_role_is_noted_as_such(shop: Shop) -> None:
    service = shop.client(shop.token(uuid4(), role="service_role"))
    await service.do(CREATE, input=INPUT)
    entry = (await entries(service, "public.products"))[-1]
    assert (entry["role"], entry["appRole"]) == ("service_role", None)


async def test_an_account_is_noted_without_its_secrets_and_an_anonymous_session_not_at_all(shop: Shop) -> None:
    await shop.anonymous()
    assert await entries(admin(shop)) == []
    anna = await shop.account("anna@people.example")
    me = await anna.my_id()
    found = {entry["tableName"]: entry for entry in await entries(admin(shop))}
    assert set(found) == {"auth.users", "public.profiles"}
    assert found["auth.users"]["changes"]["encrypted_password"] == {"left_out": True}
    assert found["auth.users"]["changes"]["email"]["new"] == "anna@people.example"
    assert [entry["personId"] for entry in found.values()] == [me, me]
    stored = "".join(str(tuple(row)) for row in await shop.owner.fetch("select * from public.audit_log"))
    assert "argon2" not in stored


async def test_what_somebody_does_to_their_own_profile_is_theirs(shop: Shop) -> None:
    anna = await shop.account()
    await anna.do(RENAME)
    entry = (await entries(admin(shop), "public.profiles"))[0]
    assert entry["actorId"] == entry["personId"] == await anna.my_id()
    assert entry["changes"] == {"display_name": {"old": None, "new": "Anna"}}


async def test_a_session_ended_early_is_noted_and_a_refreshed_one_is_not(shop: Shop) -> None:
    anna = await shop.account()
    payload = await anna.do(
        "mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken userErrors { code } } }",
        t=anna.refresh_token,
    )
    assert await entries(admin(shop), "public.user_sessions") == []
    await shop.client(payload["accessToken"]).do("mutation { signOut { signedOut userErrors { code } } }")
    (entry,) = await entries(admin(shop), "public.user_sessions")
    assert set(entry["changes"]) == {"revoked_at"}


async def test_commission_changes_are_audited_for_all_roles(shop: Shop) -> None:
    await shop.owner.execute("update public.retailers set commission_rate = 0.2 where slug = 'north-shop'")
    await shop.owner.execute("update public.network_link_rules set parameter = 'mine' where network = 'awin'")
    (rate,) = await entries(admin(shop), "public.retailers")
    assert rate["changes"] == {"commission_rate": {"old": 0.05, "new": 0.2}}
    assert (rate["role"], rate["actorId"], rate["requestId"]) == ("aclue_owner", None, None)
    (parameter,) = await entries(admin(shop), "public.network_link_rules")
    assert (parameter["rowKey"], parameter["changes"]["parameter"]) == (
        {"network": "awin", "position": 1},
        {"old": "clickref", "new": "mine"},
    )


async def test_a_new_model_is_nobodys_change(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.swipe((await anna.product("Books 1"))["id"])
    await shop.owner.execute("select private.refresh_model()")
    changed = await shop.owner.fetchval("select count(*) from public.products where updated_at > created_at")
    assert changed > 0
    assert await entries(admin(shop)) == []


async def test_an_import_is_one_entry_whatever_its_size(shop: Shop, tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    lines = [f"{i},Gift {i},{i}.00,https://shop.example/{i}" for i in range(1, 101)]
    feed.write_text("\n".join(["id,name,price,url", *lines]))
    mapping = parse_mapping(
        'format = "csv"\n[retailer]\nslug = "new-shop"\n[constants]\ncurrency = "GBP"\n'
        '[fields]\nexternal_id = "id"\nname = "name"\nprice = "price"\naffiliate_url = "url"\n'
    )
    await import_products(shop.owner, feed, mapping)
    (entry,) = await entries(admin(shop))
    assert (entry["operation"], entry["tableName"], entry["role"]) == ("import", "public.products", "aclue_owner")
    assert entry["changes"] == {
        "file": "feed.csv", "read": 100, "rejected": 0, "inserted": 100, "updated": 0, "unchanged": 0,
        "deactivated": 0, "reactivated": 0, "merged": 0, "split": 0,
    }  # fmt: skip
    await import_products(shop.owner, feed, mapping)
    assert len(await entries(admin(shop))) == 1, "an import that changed nothing"


async def test_pages_and_filters(shop: Shop) -> None:
    client = admin(shop)
    anna = await shop.account()
    for number in range(5):
        await client.do(CREATE, input={**INPUT, "externalId": f"new-{number}"})
    first = (await client.ask(LOG, first=3))["auditLog"]
    rest = (await client.ask(LOG, first=100, after=first["pageInfo"]["endCursor"]))["auditLog"]
    times = [entry["id"] for entry in (*first["nodes"], *rest["nodes"])]
    assert first["totalCount"] == len(times) == len(set(times)) == 12
    assert first["pageInfo"]["hasNextPage"]
    moments = [datetime.fromisoformat(entry["at"]) for entry in (*first["nodes"], *rest["nodes"])]
    assert moments == sorted(moments, reverse=True)

    async def count(**wanted: Any) -> int:
        found: int = (await client.ask(LOG, filter=wanted))["auditLog"]["totalCount"]
        return found

    assert await count(tableName="public.products") == 10
    assert await count(subjectId=await anna.my_id()) == 2
    assert await count(subjectId=first["nodes"][0]["actorId"]) == 10
    assert await count(since="2020-01-01T00:00:00Z") == 12
    assert await count(since="1900-01-01T00:00:00Z") == 12
    assert await count(since="2999-01-01T00:00:00Z") == 0
    assert await client.code(LOG, filter={"tableName": "public.products\0"}) == "BAD_USER_INPUT"
    assert await client.code(LOG, filter={"subjectId": "nobody"}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("app_role", [None, "analyst"])
async def test_the_log_is_for_administrators(shop: Shop, app_role: str | None) -> None:
    await admin(shop).do(CREATE, input=INPUT)
    entry, _ = await entries(admin(shop))
    node = "query ($id: ID!) { node(id: $id) { id } }"
    people = [shop.client(shop.token(uuid4(), app_metadata={"role": app_role})), await shop.anonymous()]
    for client in people:
        assert await client.code(LOG) == "FORBIDDEN"
        assert (await client.ask(node, id=entry["id"]))["node"] is None
    assert await shop.client().code(LOG) == "UNAUTHENTICATED"
    assert (await shop.client().ask(node, id=entry["id"]))["node"] is None
    assert (await admin(shop).ask(node, id=entry["id"]))["node"] == {"id": entry["id"]}


async def test_a_request_that_does_the_same_many_times_leaves_one_entry(shop: Shop) -> None:
    anna = await shop.account()
    me = await anna.my_id()
    names = ("A", "B", "C")
    call = "updateProfile(input: {displayName: %s}) { userErrors { code } }"
    calls = " ".join(f"{name}: " + call.replace("%s", f'"{name}"') for name in names)
    await anna.ask(f"mutation {{ {calls} }}")
    await anna.do(RENAME)
    of_anna = {"tableName": "public.profiles", "subjectId": me}
    found = (await admin(shop).ask(LOG, filter=of_anna))["auditLog"]["nodes"]
    updates = [entry for entry in found if entry["operation"] == "update"]
    assert [(entry["changes"]["display_name"], entry["times"]) for entry in updates] == [
        ({"old": "C", "new": "Anna"}, 1),
        ({"old": None, "new": "C"}, 3),
    ]


async def test_decisions_of_one_request_leave_an_entry_per_purpose(shop: Shop) -> None:
    anna = await shop.account()
    decide = (
        'updateConsents(input: {policyVersion: "1", consents: ['
        "{purpose: MARKETING, granted: %s}, {purpose: ANALYTICS, granted: true}]}) { userErrors { code } }"
    )
    calls = " ".join(f"c{n}: {decide % str(n % 2 == 0).lower()}" for n in range(20))
    await anna.ask(f"mutation {{ {calls} }}")
    found = await entries(admin(shop), "public.consents")
    assert sorted((e["changes"]["purpose"]["new"], e["changes"]["granted"]["new"], e["times"]) for e in found) == [
        ("analytics", True, 20),
        ("marketing", False, 20),
    ]
    assert await shop.owner.fetchval("select count(*) from public.consents") == 40


async def test_the_rows_that_go_with_a_person_leave_an_entry_per_table(shop: Shop) -> None:
    anna = await shop.account()
    decide = 'updateConsents(input: {policyVersion: "1", consents: [{purpose: MARKETING, granted: true}]})'
    for _ in range(3):
        await anna.ask(f"mutation {{ {decide} {{ userErrors {{ code }} }} }}")
    await anna.do("mutation { deleteMyAccount(input: {confirm: true}) { userErrors { code } } }")
    (entry,) = [e for e in await entries(admin(shop), "public.consents") if e["operation"] == "delete"]
    assert (entry["times"], entry["personId"], entry["rowKey"]["id"]) == (3, None, "[erased]")
