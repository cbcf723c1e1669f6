"""Categories, a tree."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry

from db.queries import QUERIES
from db.rows import BY_NAME_SQL
from db.sources import Listing, Reference
from domain import ids
from domain.errors import NotFound
from domain.pages import MAX_SIZE, length_of
from resolvers import categories
from resolvers.categories import CategoryChanges
from schema.bounds import at_most
from schema.connection import Connection, paged
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, listed, load, row, to_many, to_one
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
    is_active: bool = column("Whether it is listed; its products do not depend on it.")

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


@strawberry.input(description="A new category.")
class CategoryInput:
    name: str = strawberry.field(description="1 to 255 characters; no other category of the same parent has it.")
    parent_id: strawberry.ID | None = strawberry.field(default=None, description="The category above; null: the top.")
    slug: str | None = strawberry.field(
        default=None, description="Lower-case words with hyphens, for good; made of the names if it is not given."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="Repeating the request with the same key creates nothing new."
    )


@strawberry.input(description="Changes to a category; omitted fields stay unchanged.")
class UpdateCategoryInput:
    id: strawberry.ID = strawberry.field(description="The category's id.")
    name: str | None = strawberry.field(
        default=None, description="1 to 255 characters. Feeds that use the earlier name still mean this category."
    )
    parent_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="The category above, null: the top. All below it moves, too; feeds still find it where it was.",
    )
    is_active: bool | None = strawberry.field(default=None, description="Whether it is listed.")


@strawberry.type(description="The outcome of creating or changing a category.")
class CategoryPayload:
    category: Reference[Category] | None = strawberry.field(
        graphql_type=Category | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


def _parent(id: str | None) -> UUID | None:
    """The key of a parent. Raises NotFound for what is no id of a category."""
    key = None if id is None else ids.decode_as("Category", id)
    if id is not None and key is None:
        raise NotFound("There is no such category.", ("parentId",))
    return key


@strawberry.type
class CategoryMutation:
    @strawberry.mutation(description="Adds a category. For administrators.")
    @outcome(CategoryPayload)
    async def create_category(self, info: Info, input: CategoryInput) -> CategoryPayload:
        parent = _parent(input.parent_id)
        key = await categories.create(info.context.session, input.name, parent, input.slug, input.idempotency_key)
        return CategoryPayload(category=load(info, Category, key))

    @strawberry.mutation(
        description="Changes a category, or moves it in the tree; it cannot be moved below itself. For administrators."
    )
    @outcome(CategoryPayload)
    async def update_category(self, info: Info, input: UpdateCategoryInput) -> CategoryPayload:
        moves = input.parent_id is not strawberry.UNSET
        changes = CategoryChanges(
            name=input.name,
            parent=_parent(input.parent_id) if moves else None,
            set_parent=moves,
            is_active=input.is_active,
        )
        key = await categories.update(info.context.session, ids.decode_as("Category", input.id), changes)
        return CategoryPayload(category=load(info, Category, key))
