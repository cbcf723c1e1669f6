"""Brands."""

from __future__ import annotations

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME
from domain.errors import Invalid
from domain.texts import require_no_nul
from schema.connection import Connection, connect
from schema.context import Info
from schema.node import RowNode, column, row


@row("public.brands", orders={"NAME": BY_NAME})
@strawberry.type(description="Who makes a product.")
class Brand(RowNode):
    name: str = column("Name as shown to people.")
    slug: str = column("Unique; for filters and addresses.")


@strawberry.type
class BrandQuery:
    @strawberry.field(description="Brands by name; `search` finds a part of it, ignoring case and accents.")
    def brands(
        self, info: Info, first: int | None = None, after: str | None = None, search: str | None = None
    ) -> Connection[Brand]:
        where = [QUERIES["brands.is_active"].bind()]
        text = (search or "").strip()
        require_no_nul(text, ("search",))
        if len(text) > 100:
            raise Invalid("A search has at most 100 characters.", ("search",))
        if text:
            where.append(QUERIES["brands.has_in_name"].bind(part=text))
        return connect(info, Brand.ROW, BY_NAME, first=first, after=after, where=where)
