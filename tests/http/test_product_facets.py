"""Facets: their counts are those of the lists that they lead to."""

from __future__ import annotations

from typing import Any

import pytest

from domain import ids
from tests.conftest import Shop

FACETS = """
query ($search: String, $filter: ProductFilter, $first: Int! = 100) {
  productFacets(search: $search, filter: $filter) {
    categories(first: $first) { count category { id slug } }
    brands(first: $first) { count brand { id slug } }
    retailers(first: $first) { count retailer { id } }
    tags(first: $first) { count tag }
    priceBands { count min { amount currencyCode } max { amount } }
  }
}
"""
TOTAL = """
query ($search: String, $filter: ProductFilter) { products(search: $search, filter: $filter, first: 1) { totalCount } }
"""
OWN = {
    "categories": ("categorySlug", "categoryIds"),
    "brands": ("brandSlugs", "brandIds"),
    "retailers": ("retailerIds",),
    "tags": ("tags", "anyTags"),
    "priceBands": ("minPrice", "maxPrice"),
}


def chosen(facet: str, value: dict[str, Any]) -> dict[str, Any]:
    """The filter with which a value of a facet is chosen."""
    match facet:
        case "categories":
            return {"categoryIds": [value["category"]["id"]]}
        case "brands":
            return {"brandIds": [value["brand"]["id"]]}
        case "retailers":
            return {"retailerIds": [value["retailer"]["id"]]}
        case "tags":
            return {"anyTags": [value["tag"]]}
    return {
        "minPrice": value["min"]["amount"],
        "maxPrice": value["max"]["amount"],
        "currencyCode": value["min"]["currencyCode"],
    }


async def facets(shop: Shop, **variables: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = (await shop.client().ask(FACETS, **variables))["productFacets"]
    return found


async def total(shop: Shop, **variables: Any) -> int:
    count: int = (await shop.client().ask(TOTAL, **variables))["products"]["totalCount"]
    return count


@pytest.fixture
async def varied(shop: Shop) -> Shop:
    """Products without a brand, out of stock, inactive, in other currencies, and variants."""
    await shop.owner.execute(
        """
        update products set brand_id = null where name like '% 3';
        update products set in_stock = false where name like '% 4';
        update products set is_active = false where name like '% 5';
        update products set currency = 'JPY', price_minor = price_minor * 3 where name like '% 6';
        update products set tags = tags || '{чай}' where name like '% 7' or name like '% 8';
        update products set item_group = 'all', retailer_id = (select id from retailers order by slug limit 1),
          external_id = 'variant ' || name where name like '% 9' or name like '% 2'
        """
    )
    return shop


async def test_every_count_is_that_of_the_list(varied: Shop) -> None:
    brands = [row["id"] for row in await varied.owner.fetch("select id from brands order by slug limit 2")]
    camping = await varied.owner.fetchval("select id from categories where slug = 'camping'")
    for number, variables in enumerate(
        (
            {},
            {"search": "camping"},
            {"search": "camp", "filter": {"inStock": True}},
            {"filter": {"categorySlug": "camping", "maxPrice": "15"}},
            {"filter": {"brandIds": [ids.encode("Brand", brand) for brand in brands], "tags": ["gift"]}},
            {"filter": {"brandSlugs": ["alder"], "categoryIds": [ids.encode("Category", camping)]}},
            {"filter": {"collapseVariants": True, "brandSlugs": ["alder", "birch"]}},
            {"filter": {"anyTags": ["чай", "art"], "currencyCode": "JPY"}},
            {"filter": {"minPrice": "11.50", "inStock": True, "currencyCode": "GBP"}},
            {"search": "nothing has these words"},
        )
    ):
        found = await facets(varied, **variables)
        for facet, values in found.items():
            others = {k: v for k, v in (variables.get("filter") or {}).items() if k not in OWN[facet]}
            for value in values:
                wanted = {**others, **chosen(facet, value)}
                assert value["count"] == await total(varied, **{**variables, "filter": wanted}) > 0, (number, facet)
        if number == 9:
            assert not any(found.values())


async def test_no_value_is_missing(varied: Shop) -> None:
    found = await facets(varied)
    for facet, sql in (
        ("brands", "select count(distinct brand_id) from products where is_active"),
        ("retailers", "select count(distinct seller_id) from products where is_active"),
        ("tags", "select count(distinct tag) from products, unnest(tags) tag where is_active"),
    ):
        assert len(found[facet]) == await varied.owner.fetchval(sql), facet
    in_pounds = "select count(*) from products where is_active and currency = 'GBP'"
    assert sum(band["count"] for band in found["priceBands"]) == await varied.owner.fetchval(in_pounds)


async def test_a_category_counts_what_is_below_it(shop: Shop) -> None:
    counts = {value["category"]["slug"]: value["count"] for value in (await facets(shop))["categories"]}
    everything = await total(shop)
    assert counts["all-gifts"] == everything > counts["camping"] > 0


async def test_a_chosen_value_leaves_the_others_of_its_facet(shop: Shop) -> None:
    everything = await facets(shop)
    chosen_brand = await facets(shop, filter={"brandSlugs": ["alder"]})
    assert chosen_brand["brands"] == everything["brands"]
    assert chosen_brand["categories"] != everything["categories"]


async def test_the_most_frequent_come_first(shop: Shop) -> None:
    for values in (await facets(shop, first=3)).values():
        counts = [value["count"] for value in values]
        assert values and (len(values) > 3 or counts == sorted(counts, reverse=True))
    assert len((await facets(shop, first=1))["tags"]) == 1


async def test_price_bands_follow_the_currency(varied: Shop) -> None:
    bands = (await facets(varied, filter={"currencyCode": "JPY"}))["priceBands"]
    assert bands and {band["min"]["currencyCode"] for band in bands} == {"JPY"}
    assert all("." not in band["min"]["amount"] for band in bands)


async def test_values_of_a_filter_are_alternatives(shop: Shop) -> None:
    found = await facets(shop)
    two = found["brands"][:2]
    ids_of_two = [value["brand"]["id"] for value in two]
    assert await total(shop, filter={"brandIds": ids_of_two}) == sum(value["count"] for value in two)
    assert await total(shop, filter={"brandIds": []}) == 0
    assert await total(shop, filter={"categoryIds": []}) == 0
    assert await total(shop, filter={"retailerIds": []}) == 0
    assert await total(shop, filter={"anyTags": []}) == 0
    tags = [value["tag"] for value in found["tags"][:2]]
    either = await total(shop, filter={"anyTags": tags})
    assert either >= max(value["count"] for value in found["tags"][:2]) >= await total(shop, filter={"tags": tags})


@pytest.mark.parametrize("name", ["brandIds", "categoryIds", "retailerIds"])
async def test_what_is_no_id_of_the_facet_is_refused(shop: Shop, name: str) -> None:
    product = (await shop.client().product("Camping 1"))["id"]
    for wrong in (["nonsense"], [product], ["\0"], [product] * 51):
        answer = (await shop.client().post(FACETS, filter={name: wrong})).json()
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", wrong
        assert name in str(answer["errors"][0])


async def test_they_may_be_cached_by_anybody(shop: Shop) -> None:
    response = await shop.client().http.get("/graphql", params={"query": "{ productFacets { tags { tag } } }"})
    assert response.headers["cache-control"].startswith("public")


async def test_a_document_has_at_most_twelve_searches_and_facets(shop: Shop) -> None:
    page = FACETS.replace("{\n  productFacets", "{ %s\n  productFacets")
    searched = "".join(f"l{i}: products(search: $search, first: 1) {{ totalCount }} " for i in range(7))
    assert await shop.client().ask(page % searched, search="tent")
    brands = "brands(search: $search, first: 1) { nodes { id } }"
    client = shop.client()
    assert await client.code(page % f"{searched} {brands}", search="tent") == "GRAPHQL_VALIDATION_FAILED"
    assert await client.code("{ productFacets { " + "".join(f"a{i}: tags {{ count }} " for i in range(13)) + "} }")
    tags = " ".join(f"{name}: tags {{ tag }}" for name in "abcdefghijk")
    spread = f"{{ productFacets {{ ...F {tags} }} }} fragment F on ProductFacets {{ ...G ...G }} "
    assert await client.ask(spread + "fragment G on ProductFacets { __typename }")
    spread += "fragment G on ProductFacets { l: tags { tag } m: tags { tag } }"
    assert await client.code(spread) == "GRAPHQL_VALIDATION_FAILED"
    # Lists without a search are found by indexes.
    assert await client.ask("{ " + "".join(f"a{i}: products(first: 1) {{ totalCount }} " for i in range(10)) + "}")
