"""Facets: what a list of products can be narrowed to, with counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import strawberry

from db.sources import Reference
from resolvers import product_facets, products
from resolvers.product_facets import DEFAULT_VALUES, MAX_BANDS, MAX_VALUES, Listed
from schema.bounds import at_most
from schema.brands import Brand
from schema.categories import Category
from schema.context import Info
from schema.node import load
from schema.products import Money, ProductFilter
from schema.retailers import Retailer

COUNT = "How many products the list has with it, and without the other values of this facet; exact."


@strawberry.type(description="A category, and how many products of a list are in it.")
class CategoryFacet:
    category: Reference[Category] = strawberry.field(
        graphql_type=Category, description="For `categoryIds` and `categorySlug` of a filter."
    )
    count: int = strawberry.field(description=f"{COUNT} Products of its sub-categories count, too.")


@strawberry.type(description="A brand, and how many products of a list are of it.")
class BrandFacet:
    brand: Reference[Brand] = strawberry.field(
        graphql_type=Brand, description="For `brandIds` and `brandSlugs` of a filter."
    )
    count: int = strawberry.field(description=COUNT)


@strawberry.type(description="A retailer, and how many products of a list it sells.")
class RetailerFacet:
    retailer: Reference[Retailer] = strawberry.field(
        graphql_type=Retailer, description="For `retailerIds` of a filter."
    )
    count: int = strawberry.field(description=COUNT)


@strawberry.type(description="A tag, and how many products of a list have it.")
class TagFacet:
    tag: str = strawberry.field(description="For `tags` and `anyTags` of a filter.")
    count: int = strawberry.field(description=COUNT)


@strawberry.type(
    description="A range of prices, and how many products of a list are in it. Ranges begin at 1, 2, 5, 10, 20, 50 "
    "and so on, whatever the list."
)
class PriceBand:
    min: Money = strawberry.field(description="Its lowest price, for `minPrice` and `currencyCode` of a filter.")
    max: Money = strawberry.field(description="Its highest price, for `maxPrice`.")
    count: int = strawberry.field(description=COUNT)


@strawberry.type(
    description="The facets of a list of products, each counted with the search and the whole filter but for the "
    "facet's own part, so that values beside a chosen one keep their counts. Adding one value to a filter that "
    "has none of its facet gives a list of `count` products."
)
class ProductFacets:
    listed: strawberry.Private[Listed]

    @strawberry.field(
        description="Categories with products, those with the most first. Ignores `categorySlug` and `categoryIds`. At "
        f"most {MAX_VALUES}.",
        metadata=at_most(MAX_VALUES),
    )
    async def categories(self, info: Info, first: int = DEFAULT_VALUES) -> list[CategoryFacet]:
        return await self._values(
            info, "categories", first, lambda row: CategoryFacet(category=load(info, Category, row[0]), count=row[1])
        )

    @strawberry.field(
        description="Brands with products, those with the most first. Ignores `brandSlugs` and `brandIds`. At most "
        f"{MAX_VALUES}.",
        metadata=at_most(MAX_VALUES),
    )
    async def brands(self, info: Info, first: int = DEFAULT_VALUES) -> list[BrandFacet]:
        return await self._values(
            info, "brands", first, lambda row: BrandFacet(brand=load(info, Brand, row[0]), count=row[1])
        )

    @strawberry.field(
        description=f"Retailers with products, those with the most first. Ignores `retailerIds`. At most {MAX_VALUES}.",
        metadata=at_most(MAX_VALUES),
    )
    async def retailers(self, info: Info, first: int = DEFAULT_VALUES) -> list[RetailerFacet]:
        return await self._values(
            info, "retailers", first, lambda row: RetailerFacet(retailer=load(info, Retailer, row[0]), count=row[1])
        )

    @strawberry.field(
        description=f"Tags of products, the most frequent first. Ignores `tags` and `anyTags`. At most {MAX_VALUES}.",
        metadata=at_most(MAX_VALUES),
    )
    async def tags(self, info: Info, first: int = DEFAULT_VALUES) -> list[TagFacet]:
        return await self._values(info, "tags", first, lambda row: TagFacet(tag=row[0], count=row[1]))

    @strawberry.field(
        description="Price ranges with products, in the filter's currency or else the default currency; cheapest "
        f"first. Ignores `minPrice` and `maxPrice`. At most {MAX_BANDS}.",
        metadata=at_most(MAX_BANDS),
    )
    async def price_bands(self, info: Info) -> list[PriceBand]:
        found = await product_facets.price_bands(info.context.session, self.listed)
        currency = self.listed.currency

        def money(minor: int) -> Any:
            return Money.of(minor, currency)

        return [PriceBand(min=money(low), max=money(high), count=count) for low, high, count in found]

    async def _values(self, info: Info, facet: str, first: int, of: Callable[[Any], Any]) -> list[Any]:
        return [of(row) for row in await product_facets.values(info.context.session, self.listed, facet, first)]


@strawberry.type
class ProductFacetQuery:
    @strawberry.field(
        description="What the catalogue, or a search in it, can be narrowed to: give the `search` and `filter` of "
        "`products`."
    )
    async def product_facets(
        self, info: Info, search: str | None = None, filter: ProductFilter | None = None
    ) -> ProductFacets:
        default_currency = info.context.services.settings.default_currency
        wanted = filter.plain(default_currency) if filter else products.Filter()
        query = await products.search_query(info.context.session, search) if search else None
        return ProductFacets(listed=Listed(query, wanted, default_currency))
