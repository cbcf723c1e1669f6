"""Categories, a tree."""

from __future__ import annotations

from typing import Annotated

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME_SQL
from db.sources import Listing
from domain.pages import MAX_SIZE, length_of
from schema.bounds import at_most
from schema.connection import Connection, paged
from schema.context import Info
from schema.node import RowNode, column, listed, row, to_many, to_one
from schema.products import Product, ProductFilter, ProductOrder, product_page

MAX_CATEGORIES = 1000
MAX_CHILDREN = 30
IS_ACTIVE = QUERIES["categories.is_active"].text
SUBTREE = QUERIES["categories.subtree"].text


@row("public.categories")
@strawberry.type(description="A kind of gift.")
class Category(RowNode):
    name: str = column("Name as shown to people.")
    slug: str = column("Unique; for filters and addresses.")

    parent: Annotated[Category, strawberry.lazy("schema.categories")] | None = to_one(
        "The category above; null at the top.", "parent_id"
    )
    children: list[Annotated[Category, strawberry.lazy("schema.categories")]] = to_many(
        f"The categories right below, by name, at most {MAX_CHILDREN}.",
        by="parent_id",
        order_by=BY_NAME_SQL,
        limit=MAX_CHILDREN,
        where=IS_ACTIVE,
    )

    @paged("Products of this category and all below it.")
    @staticmethod
    def products(
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: ProductFilter | None = None,
        order_by: ProductOrder = ProductOrder.NEWEST,
    ) -> Connection[Product]:
        return product_page(
            info,
            order_by,
            first=first,
            after=after,
            wanted=filter,
            parent="r.category_id = part.key",
            parts=SUBTREE,
        )


@strawberry.type
class CategoryQuery:
    @strawberry.field(
        description=f"The whole tree, flat, by name; `first` may be up to {MAX_CATEGORIES}.",
        metadata=at_most(MAX_CATEGORIES),
        graphql_type=list[Category],
    )
    def categories(self, info: Info, first: int = MAX_SIZE) -> Listing[Category]:
        size = length_of(first, maximum=MAX_CATEGORIES)
        return listed(info, Category, where=IS_ACTIVE, order_by=BY_NAME_SQL, size=size)
