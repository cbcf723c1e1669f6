"""Retailers."""

from __future__ import annotations

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME_SQL
from db.sources import Listing
from domain.pages import MAX_SIZE, length_of
from schema.bounds import at_most
from schema.context import Info
from schema.node import RowNode, column, listed, row

MAX_RETAILERS = 1000


@row("public.retailers")
@strawberry.type(description="Who sells products.")
class Retailer(RowNode):
    name: str = column("Name as shown to people.")
    slug: str = column("Unique; for addresses.")
    network: str | None = column("The affiliate network that tracks its sales.", "affiliate_network")


@strawberry.type
class RetailerQuery:
    @strawberry.field(
        description=f"All retailers, by name; `first` may be up to {MAX_RETAILERS}.",
        metadata=at_most(MAX_RETAILERS),
        graphql_type=list[Retailer],
    )
    def retailers(self, info: Info, first: int = MAX_SIZE) -> Listing[Retailer]:
        size = length_of(first, maximum=MAX_RETAILERS)
        return listed(info, Retailer, where=QUERIES["retailers.is_active"].text, order_by=BY_NAME_SQL, size=size)
