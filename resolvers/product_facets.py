"""What a list of products can be narrowed to: the values of each facet, with the number of products that each would
leave. The numbers are exact: they are counted under the conditions of the list itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import asyncpg

from db.queries import QUERIES, Composed, Fragment, all_of
from db.session import Session
from domain.money import MAX_MINOR
from domain.pages import length_of
from resolvers import products
from resolvers.products import Filter

MAX_VALUES = 1000  # of a facet
DEFAULT_VALUES = 20
# Where price bands begin, in minor units: 1, 2, 5, 10, 20, 50 and so on. They depend on no product and no filter, so
# bands keep their limits while people narrow a list, and suit currencies of every magnitude.
EDGES = tuple(step * 10**power for power in range(12) for step in (1, 2, 5))
MAX_BANDS = len(EDGES)
# Of what products.first_of_group leaves one; null for a product alone.
THING = "case when r.item_group is not null then r.retailer_id || ' ' || r.item_group end"
ALONE = "coalesce(sum(products) filter (where thing is null), 0)"
# The parts of a filter that each facet leaves out of its own counts: choosing a second brand must not have shown as 0.
OWN: dict[str, dict[str, None]] = {
    "categories": {"category_slug": None, "category_ids": None},
    "brands": {"brand_slugs": None, "brand_ids": None},
    "retailers": {"retailer_ids": None},
    "tags": {"tags": None, "any_tags": None},
    "price_bands": {"min_price": None, "max_price": None},
}


@dataclass(frozen=True, slots=True)
class Listed:
    """The list whose facets are counted; `query` is what products.search_query makes of its search."""

    query: str | None
    filter: Filter
    default_currency: str

    def without(self, facet: str) -> Fragment:
        """The conditions of the list but for those that belong to the facet, and that products are active."""
        searched = [] if self.query is None else [QUERIES["products.matches"].bind(query=self.query)]
        # Which variant stands for its group depends on the value that is chosen, so groups are counted instead.
        filter = replace(self.filter, collapse_variants=False, **OWN[facet])
        if facet == "price_bands":
            filter = replace(filter, currency=self.currency)
        return all_of([*searched, *products.conditions(filter, searched)])

    @property
    def currency(self) -> str:
        """The currency of the price bands: prices of two currencies cannot be compared."""
        return self.filter.currency or self.default_currency


async def values(session: Session, listed: Listed, facet: str, first: int) -> list[asyncpg.Record]:
    """The values of categories, brands, retailers or tags: `id` or `tag`, and `products`; most frequent first. Raises
    BadUserInput for an impossible `first`."""
    size = length_of(first, maximum=MAX_VALUES)
    return await session.fetch(statement_of(listed, facet), size=size)


async def price_bands(session: Session, listed: Listed) -> list[tuple[int, int, int]]:
    """The first and the last price of each band that has products, in minor units, and how many."""
    bands = await session.fetch(statement_of(listed, "price_bands"), edges=list(EDGES))
    return [(*_limits(row["band"]), row["products"]) for row in bands]


def _limits(band: int) -> tuple[int, int]:
    """The first and the last price of a band; bands count from 1."""
    return EDGES[band - 1], EDGES[band] - 1 if band < len(EDGES) else MAX_MINOR


def statement_of(listed: Listed, facet: str) -> Composed:
    """The statement that counts a facet. It takes `size`, or `edges` for price_bands."""
    is_collapsed = listed.filter.collapse_variants
    return QUERIES[f"product_facets.{facet}"].fill(
        conditions=listed.without(facet),
        thing=THING if is_collapsed else "null::text",
        count=f"{ALONE} + count(thing)" if is_collapsed else "sum(products)",
        sum=f"{ALONE} + count(distinct thing)" if is_collapsed else "sum(products)",
    )
