"""Retailers."""

from __future__ import annotations

import strawberry

from schema.context import Info
from schema.node import Node, column, row


@row("public.retailers")
@strawberry.type(description="Who sells products.")
class Retailer(Node):
    name: str = column("Name as shown to people.")
    slug: str = column("Name in addresses.")
    network: str | None = column("The affiliate network that tracks its sales.", "affiliate_network")


@strawberry.type
class RetailerQuery:
    @strawberry.field(description="All retailers, by name.")
    async def retailers(self, info: Info) -> list[Retailer]:
        return [Retailer.ROW.make(record) for record in await info.context.session.fetch("retailers.all")]
