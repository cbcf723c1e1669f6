"""Brands."""

from __future__ import annotations

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME
from db.sources import Reference
from domain import ids
from domain.bounds import require_text
from resolvers import brands
from resolvers.brands import BrandChanges
from schema.connection import Connection, connect
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, load, row

MAX_SEARCH_LENGTH = 100


@row("public.brands", orders={"NAME": BY_NAME})
@strawberry.type(description="Who makes a product.")
class Brand(RowNode):
    name: str = column("Name as shown to people.")
    slug: str = column("Unique; for filters and addresses.")
    is_active: bool = column("Whether it is listed; its products do not depend on it.")


@strawberry.type
class BrandQuery:
    @strawberry.field(description="Brands by name; `search` finds a part of it, ignoring case and accents.")
    def brands(
        self, info: Info, first: int | None = None, after: str | None = None, search: str | None = None
    ) -> Connection[Brand]:
        where = [QUERIES["brands.is_active"].bind()]
        text = (search or "").strip()
        require_text(text, ("search",), MAX_SEARCH_LENGTH)
        if text:
            where.append(QUERIES["brands.has_in_name"].bind(part=text))
        return connect(info, Brand.ROW, BY_NAME, first=first, after=after, where=where)


@strawberry.input(description="A new brand.")
class BrandInput:
    name: str = strawberry.field(description="1 to 255 characters; no other brand has it, whatever case and accents.")
    slug: str | None = strawberry.field(
        default=None,
        description="Lower-case words with hyphens, which cannot be changed; derived from the name by default.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="Repeating the request with the same key creates nothing new."
    )


@strawberry.input(description="Changes to a brand; omitted fields stay unchanged.")
class UpdateBrandInput:
    id: strawberry.ID = strawberry.field(description="The brand's id.")
    name: str | None = strawberry.field(
        default=None, description="1 to 255 characters. Feeds that use the earlier name still mean this brand."
    )
    is_active: bool | None = strawberry.field(default=None, description="Whether it is listed.")


@strawberry.type(description="The outcome of creating or changing a brand.")
class BrandPayload:
    brand: Reference[Brand] | None = strawberry.field(
        graphql_type=Brand | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class BrandMutation:
    @strawberry.mutation(description="Adds a brand. For administrators.")
    @outcome(BrandPayload)
    async def create_brand(self, info: Info, input: BrandInput) -> BrandPayload:
        key = await brands.create(info.context.session, input.name, input.slug, input.idempotency_key)
        return BrandPayload(brand=load(info, Brand, key))

    @strawberry.mutation(description="Changes a brand. For administrators.")
    @outcome(BrandPayload)
    async def update_brand(self, info: Info, input: UpdateBrandInput) -> BrandPayload:
        changes = BrandChanges(input.name, input.is_active)
        key = await brands.update(info.context.session, ids.decode_as("Brand", input.id), changes)
        return BrandPayload(brand=load(info, Brand, key))
