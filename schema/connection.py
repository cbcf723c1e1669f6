"""Relay connections over keyset pages."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from db.connections import ROOT, PageRequest
from db.queries import Fragment, all_of
from db.rows import Order, RowType
from domain.errors import BadUserInput
from resolvers.pages import Cursor, open_cursor, size_of
from schema.context import Info

T = TypeVar("T")


@strawberry.type(description="Where a page stands in its connection.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last edge; null on an empty page.")


@strawberry.type(description="An item of a connection and its place.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Opaque; for `after` and `before`.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of items.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The items with their cursors.")
    nodes: list[T] = strawberry.field(description="The items alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    request: strawberry.Private[PageRequest]
    parent_key: strawberry.Private[UUID]

    @strawberry.field(description="How many items there are in all; counted only when asked for.")
    async def total_count(self, info: Info) -> int:
        total: int = await info.context.session.loaders.count_by(self.request).load(self.parent_key)
        return total


async def connect(
    info: Info,
    row_type: RowType,
    order: Order,
    *,
    first: int | None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    where: list[Fragment] | None = None,
    parent: str | None = None,
    parent_key: UUID = ROOT,
    order_values: tuple[tuple[str, Any], ...] = (),
) -> Connection[Any]:
    """A page of rows. `after` goes with `first`, `before` with `last`; connections of one field share one statement."""
    size, backward = size_of(first, last)
    if (after if backward else before) is not None:
        raise BadUserInput("`after` goes with `first`, `before` with `last`.")
    scope = f"{row_type.name}:{order.name}"
    signer = info.context.services.cursors
    cursor, argument = (before, "before") if backward else (after, "after")
    request = PageRequest(
        row_type=row_type,
        order=order,
        size=size,
        backward=backward,
        cursor=None if cursor is None else open_cursor(cursor, scope, signer, argument),
        where=all_of(where or []),
        parent=parent,
        order_values=order_values,
    )
    page = await info.context.session.loaders.page_by(request).load(parent_key)
    cursors = [Cursor(scope, values).sign(signer) for values in page.cursors]
    return Connection(
        edges=[Edge(cursor=c, node=node) for c, node in zip(cursors, page.rows, strict=True)],
        nodes=page.rows,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
        request=request,
        parent_key=parent_key,
    )
