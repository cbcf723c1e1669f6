"""Categories, a tree."""

from __future__ import annotations

from typing import Annotated

import strawberry

from schema.connection import Connection
from schema.context import Info
from schema.node import Node, column, load, row
from schema.products import Product, ProductFilter, ProductOrder, product_page


@row("public.categories", keys=("parent_id", "is_active"))
@strawberry.type(description="A kind of gift.")
class Category(Node):
    name: str = column("Name as shown to people.")
    slug: str = column("Name in addresses and filters.")

    @strawberry.field(description="The category above; null at the top.")
    async def parent(self, info: Info) -> Annotated[Category, strawberry.lazy("schema.categories")] | None:
        return await load(info, Category, self.record["parent_id"])

    @strawberry.field(description="The categories right below, by name.")
    async def children(self, info: Info) -> list[Annotated[Category, strawberry.lazy("schema.categories")]]:
        below = await info.context.session.loaders.many_by(Category.ROW, "parent_id", "r.name, r.id").load(
            self.record["id"]
        )
        return [category for category in below if category.record["is_active"]]

    @strawberry.field(description="Products of this category and all below it.")
    async def products(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: ProductFilter | None = None,
        order_by: ProductOrder = ProductOrder.NEWEST,
    ) -> Connection[Product]:
        return await product_page(
            info,
            order_by,
            first=first,
            after=after,
            wanted=filter,
            parent="r.category_id in (select private.category_subtree(parent.key))",
            parent_key=self.record["id"],
        )


@strawberry.type
class CategoryQuery:
    @strawberry.field(description="The whole tree, flat, by name.")
    async def categories(self, info: Info) -> list[Category]:
        return [Category.ROW.make(record) for record in await info.context.session.fetch("categories.all")]
