"""The tree of categories."""

from __future__ import annotations

from domain import ids
from tests.conftest import Shop

TREE = "{ categories { id name slug parent { slug } children { slug } } }"
PRODUCTS = """
query ($first: Int, $after: String, $filter: ProductFilter, $orderBy: ProductOrder! = NAME) {
  categories {
    slug
    products(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
      totalCount nodes { name category { slug } } pageInfo { hasNextPage endCursor }
    }
  }
}
"""
ONE = """
query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) {
    ... on Category {
      products(first: $first, after: $after, orderBy: NAME) {
        nodes { name } pageInfo { hasNextPage hasPreviousPage endCursor }
      }
    }
  }
}
"""


async def test_the_whole_tree_flat_by_name(shop: Shop) -> None:
    found = (await shop.client().ask(TREE))["categories"]
    rows = await shop.owner.fetch("select id, name, slug from public.categories order by name, id")
    assert [(c["id"], c["name"], c["slug"]) for c in found] == [
        (ids.encode("Category", row["id"]), row["name"], row["slug"]) for row in rows
    ]
    by_slug = {c["slug"]: c for c in found}
    assert by_slug["all-gifts"]["parent"] is None
    assert [c["slug"] for c in by_slug["all-gifts"]["children"]] == ["books", "camping", "painting", "party", "tools"]
    assert by_slug["books"]["parent"] == {"slug": "all-gifts"}
    assert by_slug["books"]["children"] == []


async def test_an_inactive_category_is_not_listed(shop: Shop) -> None:
    await shop.owner.execute("update public.categories set is_active = false where slug = 'books'")
    by_slug = {c["slug"]: c for c in (await shop.client().ask(TREE))["categories"]}
    assert "books" not in by_slug
    assert {"slug": "books"} not in by_slug["all-gifts"]["children"]


async def test_products_of_a_category_include_those_below_it(shop: Shop) -> None:
    found = {c["slug"]: c["products"] for c in (await shop.client().ask(PRODUCTS, first=10))["categories"]}
    assert {slug: page["totalCount"] for slug, page in found.items()} == {
        "all-gifts": 50,
        **dict.fromkeys(("books", "camping", "painting", "party", "tools"), 10),
        "uncategorised": 0,
    }
    for slug in ("books", "camping", "painting", "party", "tools"):
        assert [product["category"]["slug"] for product in found[slug]["nodes"]] == [slug] * 10


async def test_filters_and_orders_hold_within_a_category(shop: Shop) -> None:
    found = await shop.client().ask(PRODUCTS, first=2, filter={"maxPrice": "12.00"}, orderBy="PRICE_DESC")
    books = next(c for c in found["categories"] if c["slug"] == "books")["products"]
    assert [p["name"] for p in books["nodes"]] == ["Books 3", "Books 2"]
    assert books["totalCount"] == 3
    assert books["pageInfo"]["hasNextPage"]


async def test_each_category_pages_on_from_one_cursor(shop: Shop) -> None:
    key = ids.encode("Category", await shop.owner.fetchval("select id from public.categories where slug = 'party'"))
    seen: list[str] = []
    after = None
    while True:
        page = (await shop.client().ask(ONE, id=key, first=4, after=after))["node"]["products"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [p["name"] for p in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    rows = await shop.owner.fetch("select name from public.products where name like 'Party %' order by name, id")
    assert seen == [row["name"] for row in rows]
    for variables in ({"first": 101}, {"first": -1}, {"after": "forged"}):
        assert await shop.client().code(ONE, id=key, **variables) == "BAD_USER_INPUT", variables
