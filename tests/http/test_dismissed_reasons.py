"""Reasons that are dismissed and restored: listed, bounded, safe to repeat, and nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop

DISMISS = """
mutation ($kind: ReasonSourceKind!, $key: String!) {
  dismissReason(input: {source: {kind: $kind, key: $key}}) {
    dismissedReason { id kind label dismissedAt restoredAt product { id name } } userErrors { code field message }
  }
}
"""
RESTORE = """
mutation ($id: ID!) {
  restoreReason(input: {id: $id}) { dismissedReason { id restoredAt } userErrors { code field } }
}
"""
LIST = """
query ($first: Int, $after: String) {
  me { dismissedReasons(first: $first, after: $after) {
    totalCount nodes { id kind label restoredAt product { name } } pageInfo { hasNextPage endCursor }
  } }
}
"""


@pytest.fixture
async def anna(shop: Shop) -> Client:
    return await shop.anonymous()


async def dismiss(client: Client, kind: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.do(DISMISS, kind=kind, key=key))["dismissedReason"]
    return found


async def refused(client: Client, document: str, **variables: Any) -> list[dict[str, Any]]:
    (payload,) = (await client.ask(document, **variables)).values()
    assert payload["dismissedReason"] is None
    errors: list[dict[str, Any]] = payload["userErrors"]
    return errors


async def listed(client: Client, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(LIST, **variables))["me"]["dismissedReasons"]
    return found


async def product_of(shop: Shop, name: str) -> str:
    return ids.encode("Product", await shop.owner.fetchval("select id from public.products where name = $1", name))


async def person_of(client: Client) -> UUID:
    found = ids.decode_as("Profile", await client.my_id())
    assert found is not None
    return found


async def some_tag(shop: Shop) -> str:
    tag: str = await shop.owner.fetchval("select tag from public.products, unnest(tags) tag order by tag limit 1")
    return tag


async def test_each_kind_is_dismissed_with_a_label_and_listed_newest_first(shop: Shop, anna: Client) -> None:
    category = await shop.owner.fetchrow("select slug, name from public.categories order by slug limit 1")
    brand = await shop.owner.fetchrow("select slug, name from public.brands order by slug limit 1")
    tag = await some_tag(shop)
    product = await dismiss(anna, "PRODUCT", await product_of(shop, "Books 1"))
    assert (product["label"], product["product"]["name"], product["restoredAt"]) == ("Books 1", "Books 1", None)
    await dismiss(anna, "CATEGORY", category["slug"])
    await dismiss(anna, "BRAND", brand["slug"])
    await dismiss(anna, "TAG", tag)
    await dismiss(anna, "TRAIT", "CREATIVE")

    page = await listed(anna)
    assert page["totalCount"] == 5
    assert [(node["kind"], node["label"]) for node in page["nodes"]] == [
        ("TRAIT", "Creative"),
        ("TAG", tag.replace("-", " ").title()),
        ("BRAND", brand["name"]),
        ("CATEGORY", category["name"]),
        ("PRODUCT", "Books 1"),
    ]
    assert [node["product"] for node in page["nodes"]] == [None, None, None, None, {"name": "Books 1"}]
    first = await listed(anna, first=2)
    rest = await listed(anna, first=4, after=first["pageInfo"]["endCursor"])
    assert first["nodes"] + rest["nodes"] == page["nodes"]


async def test_what_ranking_reads_is_what_was_dismissed_at_the_time(shop: Shop, anna: Client) -> None:
    async def dismissed(at: str) -> list[tuple[str, str]]:
        query = f"select kind, key from private.dismissed_reasons($1, {at}) order by kind"
        return [tuple(row) for row in await shop.owner.fetch(query, user)]

    user = await person_of(anna)
    product = await product_of(shop, "Books 1")
    key = str(ids.decode_as("Product", product))
    before = f"'{await shop.owner.fetchval('select clock_timestamp()::text')}'"
    reason = await dismiss(anna, "PRODUCT", product)
    between = f"'{await shop.owner.fetchval('select clock_timestamp()::text')}'"
    assert await dismissed("'infinity'") == [("product", key)]
    await anna.do(RESTORE, id=reason["id"])
    assert await dismissed("'infinity'") == await dismissed(before) == []
    assert await dismissed(between) == [("product", key)]  # a feed that started then goes on as it began


async def test_repeats_change_nothing(shop: Shop, anna: Client) -> None:
    once = await dismiss(anna, "TRAIT", "social")
    assert await dismiss(anna, "TRAIT", "SOCIAL") == once
    restored = (await anna.do(RESTORE, id=once["id"]))["dismissedReason"]
    assert restored["restoredAt"] is not None
    assert (await anna.do(RESTORE, id=once["id"]))["dismissedReason"] == restored
    assert (await listed(anna))["totalCount"] == 0
    again = await dismiss(anna, "TRAIT", "social")
    assert again["id"] != once["id"]
    assert (await listed(anna))["totalCount"] == 1


async def test_at_once_it_is_dismissed_once(shop: Shop, anna: Client) -> None:
    found = await asyncio.gather(*(dismiss(anna, "TRAIT", "social") for _ in range(5)))
    assert len({reason["id"] for reason in found}) == 1


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("PRODUCT", "Books 1"),
        ("PRODUCT", ids.encode("Product", UUID(int=1))),
        ("PRODUCT", ids.encode("Category", UUID(int=2))),
        ("CATEGORY", "no-such-category"),
        ("CATEGORY", ""),
        ("BRAND", "no-such-brand"),
        ("TAG", "no-such-tag"),
        ("TAG", "x" * 5000),
        ("TRAIT", "balanced"),
        ("TRAIT", "grumpy"),
    ],
)
async def test_what_the_catalogue_does_not_know_is_not_found(shop: Shop, anna: Client, kind: str, key: str) -> None:
    (error,) = await refused(anna, DISMISS, kind=kind, key=key)
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["source", "key"])
    assert (await listed(anna))["totalCount"] == 0


async def test_a_nul_is_refused(anna: Client) -> None:
    (error,) = await refused(anna, DISMISS, kind="TAG", key="a\0b")
    assert error["code"] == "INVALID"


async def test_without_a_token_nothing_is_dismissed_or_restored(shop: Shop, anna: Client) -> None:
    reason = await dismiss(anna, "TRAIT", "social")
    assert await shop.client().code(DISMISS, kind="TRAIT", key="social") == "UNAUTHENTICATED"
    assert await shop.client().code(RESTORE, id=reason["id"]) == "UNAUTHENTICATED"


async def test_somebody_elses_is_neither_seen_nor_restored(shop: Shop, anna: Client) -> None:
    reason = await dismiss(anna, "TRAIT", "social")
    ben = await shop.anonymous()
    assert (await listed(ben))["nodes"] == []
    for id in (reason["id"], ids.encode("DismissedReason", uuid4()), "nonsense"):
        (error,) = await refused(ben, RESTORE, id=id)
        assert (error["code"], error["field"]) == ("NOT_FOUND", ["id"])
    assert (await listed(anna))["totalCount"] == 1


async def fill(shop: Shop, user: UUID, current: int, restored: int = 0, days_ago: int = 0) -> None:
    await shop.owner.execute(
        "insert into public.dismissed_reasons (user_id, tag, label, dismissed_at, restored_at)"
        " select $1, 't' || i, 'T', now() - make_interval(days => $4, mins => 1),"
        " case when i > $2 then now() - make_interval(days => $4) end"
        " from generate_series(1, $2::int + $3::int) i",
        user,
        current,
        restored,
        days_ago,
    )


async def test_a_person_has_at_most_two_hundred(shop: Shop, anna: Client) -> None:
    await fill(shop, await person_of(anna), 199)
    answers = await asyncio.gather(
        *(anna.ask(DISMISS, kind="TRAIT", key=trait) for trait in ("social", "creative", "practical"))
    )
    codes = [[error["code"] for error in answer["dismissReason"]["userErrors"]] for answer in answers]
    assert sorted(codes) == [[], ["LIMIT_REACHED"], ["LIMIT_REACHED"]]


async def test_dismissing_and_restoring_over_and_over_ends(shop: Shop, anna: Client) -> None:
    await fill(shop, await person_of(anna), 0, 1000)
    (error,) = await refused(anna, DISMISS, kind="TRAIT", key="social")
    assert error["code"] == "LIMIT_REACHED"


async def test_what_was_restored_long_ago_is_forgotten(shop: Shop, anna: Client) -> None:
    await fill(shop, await person_of(anna), 0, 1000, days_ago=31)
    await dismiss(anna, "TRAIT", "social")
    assert await shop.owner.fetchval("select count(*) from public.dismissed_reasons") == 1


async def test_of_a_deleted_product_nothing_stays(shop: Shop, anna: Client) -> None:
    await dismiss(anna, "PRODUCT", await product_of(shop, "Books 1"))
    await shop.owner.execute("delete from public.products where name = 'Books 1'")
    assert (await listed(anna))["nodes"] == []


async def test_merging_joins_what_both_dismissed_and_keeps_the_newest_two_hundred(shop: Shop) -> None:
    account, visitor = await shop.account(), await shop.anonymous()
    for client in (account, visitor):
        await dismiss(client, "TRAIT", "social")
    await dismiss(visitor, "TRAIT", "creative")
    await fill(shop, await person_of(account), 199, days_ago=1)
    merge = "mutation ($t: String!) { mergeSession(input: {refreshToken: $t}) { userErrors { code } } }"
    await account.do(merge, t=visitor.refresh_token)
    page = await listed(account, first=2)
    assert page["totalCount"] == 200
    assert [node["label"] for node in page["nodes"]] == ["Creative", "Social"]
