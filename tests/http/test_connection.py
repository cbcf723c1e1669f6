"""Pages of connections: sizes, directions, cursors. Products stand for all of them; each noun's file has its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Shop

PAGE = """
query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: ProductOrder! = NAME) {
  products(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
    edges { cursor node { name } } nodes { name }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def page(shop: Shop, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await shop.client().ask(PAGE, **variables))["products"]
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [node["name"] for node in found["nodes"]]


async def all_names(shop: Shop, order: str = "name, id") -> list[str]:
    return [row["name"] for row in await shop.owner.fetch(f"select name from public.products order by {order}")]


async def test_twenty_unless_said_otherwise(shop: Shop) -> None:
    expected = await all_names(shop)
    found = await page(shop)
    assert names(found) == expected[:20]
    assert [edge["node"]["name"] for edge in found["edges"]] == names(found)
    assert found["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": found["edges"][0]["cursor"],
        "endCursor": found["edges"][-1]["cursor"],
    }
    assert names(await page(shop, first=None, last=None)) == expected[:20]


async def test_forwards_through_all_pages_of_every_order(shop: Shop) -> None:
    for order_by in ("NEWEST", "PRICE_ASC", "PRICE_DESC", "NAME", "POPULARITY", "RELEVANCE"):
        whole = names(await page(shop, first=100, orderBy=order_by))
        assert len(whole) == 50
        seen: list[str] = []
        after = None
        for _ in range(8):
            found = await page(shop, first=7, after=after, orderBy=order_by)
            seen += names(found)
            assert found["pageInfo"]["hasPreviousPage"] is (after is not None)
            assert found["pageInfo"]["hasNextPage"] is (len(seen) < 50)
            after = found["pageInfo"]["endCursor"]
        assert seen == whole, order_by


async def test_backwards_through_all_pages_of_every_order(shop: Shop) -> None:
    for order_by in ("NEWEST", "PRICE_ASC", "PRICE_DESC", "NAME", "POPULARITY"):
        whole = names(await page(shop, first=100, orderBy=order_by))
        seen: list[str] = []
        before = None
        for _ in range(8):
            found = await page(shop, last=7, before=before, orderBy=order_by)
            seen = names(found) + seen
            assert found["pageInfo"]["hasNextPage"] is (before is not None)
            assert found["pageInfo"]["hasPreviousPage"] is (len(seen) < 50)
            before = found["pageInfo"]["startCursor"]
        assert seen == whole, order_by


async def test_forth_and_back_again(shop: Shop) -> None:
    whole = await all_names(shop)
    first = await page(shop, first=5)
    second = await page(shop, first=5, after=first["pageInfo"]["endCursor"])
    back = await page(shop, last=5, before=second["pageInfo"]["startCursor"])
    assert names(second) == whole[5:10]
    assert names(back) == names(first)
    assert (back["pageInfo"]["hasPreviousPage"], back["pageInfo"]["hasNextPage"]) == (False, True)


async def test_what_comes_in_between_pages_repeats_and_skips_nothing(shop: Shop) -> None:
    whole = await all_names(shop)
    first = await page(shop, first=5)
    await shop.owner.execute("update public.products set name = 'Aardvark' where name = 'Tools 9'")
    await shop.owner.execute("delete from public.products where name = $1", names(first)[4])
    second = await page(shop, first=5, after=first["pageInfo"]["endCursor"])
    assert names(second) == whole[5:10]


async def test_an_empty_page(shop: Shop) -> None:
    whole = await page(shop, first=100)
    found = await page(shop, first=1, after=whole["pageInfo"]["endCursor"])
    assert (found["edges"], found["nodes"]) == ([], [])
    assert found["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


async def test_arguments_that_cannot_be(shop: Shop) -> None:
    for arguments in (
        {"first": 101},
        {"first": -1},
        {"last": 101},
        {"last": -2147483648},
        {"first": 5, "last": 5},
        {"first": 5, "after": "forged"},
        {"last": 5, "before": "forged"},
        {"after": "é"},
        {"after": "\0"},
        {"after": "x" * 10_000},
    ):
        assert await shop.client().code(PAGE, **arguments) == "BAD_USER_INPUT", arguments


@pytest.mark.parametrize(("argument", "more"), [("first", "hasNextPage"), ("last", "hasPreviousPage")])
async def test_a_page_of_nothing_says_that_there_is_more_and_how_much(shop: Shop, argument: str, more: str) -> None:
    found = (await shop.client().ask(PAGE.replace("edges", "totalCount edges", 1), **{argument: 0}))["products"]
    assert (found["totalCount"], found["nodes"], found["edges"]) == (50, [], [])
    nothing = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert found["pageInfo"] == {**nothing, more: True}


async def test_a_page_of_nothing_in_lists_of_ones_own_and_below_others(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.swipe((await anna.product("Books 1"))["id"])
    fields = "{ totalCount edges { cursor } pageInfo { hasNextPage endCursor } }"
    found = await anna.ask(f"""
      {{
        me {{ swipes(first: 0) {fields} giftLinks(first: 0) {fields} }} brands(first: 0) {fields}
        products(first: 1) {{ nodes {{ category {{ products(first: 0) {fields} }} }} }}
      }}
    """)

    def nothing_of(total: int) -> dict[str, Any]:
        return {"totalCount": total, "edges": [], "pageInfo": {"hasNextPage": total > 0, "endCursor": None}}

    assert found["me"] == {"swipes": nothing_of(1), "giftLinks": nothing_of(0)}
    assert found["brands"] == nothing_of(3)
    assert found["products"]["nodes"][0]["category"]["products"] == nothing_of(10)


async def test_an_empty_cursor_counts_as_none(shop: Shop) -> None:
    assert await page(shop, first=3, after="", before="") == await page(shop, first=3)
    assert await page(shop, last=3, after="", before="") == await page(shop, last=3)


async def test_the_smallest_and_the_largest_page(shop: Shop) -> None:
    for arguments, size in (({"first": 1}, 1), ({"first": 100}, 50), ({"last": 1}, 1), ({"last": 100}, 50)):
        assert len(names(await page(shop, **arguments))) == size, arguments


async def test_a_cursor_fits_its_own_order_only_and_not_when_changed(shop: Shop) -> None:
    cursor = (await page(shop, first=1))["pageInfo"]["endCursor"]
    assert await shop.client().code(PAGE, first=1, after=cursor, orderBy="PRICE_ASC") == "BAD_USER_INPUT"
    flipped = ("B" if cursor[3] == "A" else "A").join((cursor[:3], cursor[4:]))
    assert await shop.client().code(PAGE, first=1, after=flipped) == "BAD_USER_INPUT"
    assert await shop.client().code(PAGE, first=1, after=cursor + "=") == "BAD_USER_INPUT"


async def test_a_cursor_is_never_silently_ignored(shop: Shop) -> None:
    """`before` with `first`, `after` with `last`: heeded, or refused; not passed over."""
    whole = await all_names(shop)
    cursors = [edge["cursor"] for edge in (await page(shop, first=100))["edges"]]
    for arguments, heeded in (
        ({"first": 5, "before": cursors[3]}, whole[:3]),
        ({"before": cursors[3]}, whole[:3]),
        ({"last": 5, "after": cursors[46]}, whole[47:]),
    ):
        body = (await shop.client().post(PAGE, **arguments)).json()
        if "errors" in body:
            assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        else:
            assert names(body["data"]["products"]) == heeded, arguments


async def test_the_total_is_of_all_pages(shop: Shop) -> None:
    query = 'query ($n: Int) { products(first: $n, filter: {categorySlug: "tools"}) { totalCount nodes { id } } }'
    for size in (1, 10):
        found = (await shop.client().ask(query, n=size))["products"]
        assert (found["totalCount"], len(found["nodes"])) == (10, size)


@pytest.mark.parametrize("order", ["NEWEST", "PRICE_ASC", "PRICE_DESC", "NAME", "POPULARITY"])
async def test_a_page_with_cursors_is_compiled_in_every_order(shop: Shop, order: str) -> None:
    """Orders differ in how many sort values they have."""
    before = shop.engine.counts["planned"]
    await page(shop, first=2, orderBy=order)
    assert shop.engine.counts["planned"] == before + 1
    assert not shop.engine.counts["error"]


@pytest.mark.parametrize(
    "query",
    [
        "query ($n: Int!) { categories(first: $n) { id } }",
        "query ($n: Int!) { retailers(first: $n) { id } }",
        "query ($n: Int!) { products(first: 1) { nodes { priceHistory(first: $n) { validFrom } } } }",
        "query ($n: Int!) { products(first: 1) { nodes { similar(first: $n) { id } } } }",
    ],
)
async def test_a_plain_list_may_be_of_nothing(shop: Shop, query: str) -> None:
    (found,) = (await shop.client().ask(query, n=0)).values()
    if isinstance(found, dict):
        ((found,),) = (list(node.values()) for node in found["nodes"])
    assert found == []
    assert await shop.client().code(query, n=-1) == "BAD_USER_INPUT"
