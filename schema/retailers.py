"""Retailers."""

from __future__ import annotations

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME_SQL
from schema.context import Info
from schema.node import Node, column, listed, row


@row("public.retailers")
@strawberry.type(description="Who sells products.")
class Retailer(Node):
    name: str = column("Name as shown to people.")
    slug: str = column("Name in addresses.")
    network: str | None = column("The affiliate network that tracks its sales.", "affiliate_network")


@strawberry.type
class RetailerQuery:
    @strawberry.field(description="All retailers, by name.")
    def retailers(self, info: Info) -> list[Retailer]:
        return listed(info, Retailer, where=QUERIES["retailers.is_active"].text, order_by=BY_NAME_SQL)
