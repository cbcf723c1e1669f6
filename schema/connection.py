"""Relay connections over keyset pages."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Generic, TypeVar

import strawberry

from db.pages import ROOT, PageRequest, PageRows
from db.queries import Fragment, all_of
from db.rows import Order, RowType, ToPage
from domain.errors import BadUserInput
from domain.pages import Cursor, open_cursor, size_of
from schema.context import Info
from schema.node import Row

T = TypeVar("T")


@strawberry.type(description="The position of a page in its connection.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are items after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are items before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last edge; null on an empty page.")


@strawberry.type(description="An item of a connection and its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Opaque; for `after` and `before`.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of items.")
class Connection(Generic[T]):
    """A page of rows, fetched once, when one of its fields is first resolved."""

    request: strawberry.Private[PageRequest]
    parent_key: strawberry.Private[Hashable] = ROOT

    def below(self, parent_key: Hashable) -> Connection[T]:
        """The page of this parent."""
        return Connection(request=self.request, parent_key=parent_key)

    @strawberry.field(description="The items with their cursors.")
    async def edges(self, info: Info) -> list[Edge[T]]:
        page, cursors = await self._page(info)
        return [Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, page.rows, strict=True)]

    @strawberry.field(description="The items alone.")
    async def nodes(self, info: Info) -> list[T]:
        page, _ = await self._page(info)
        return page.rows

    @strawberry.field(description="The position of this page.")
    async def page_info(self, info: Info) -> PageInfo:
        page, cursors = await self._page(info)
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )

    @strawberry.field(description="The total number of items; counted only if selected.")
    async def total_count(self, info: Info) -> int:
        total: int = await info.context.session.loaders.count_by(self.request).load(self.parent_key)
        return total

    async def _page(self, info: Info) -> tuple[PageRows, list[str]]:
        page: PageRows = await info.context.session.loaders.page_by(self.request).load(self.parent_key)
        signer, scope = info.context.services.cursors, self.request.scope
        return page, [Cursor(scope, values).sign(signer) for values in page.cursors]


def connect(
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
    parts: str | None = None,
    order_values: tuple[tuple[str, Any], ...] = (),
) -> Connection[Any]:
    """A connection for one page; one with a `parent` condition still lacks its parent (`paged`). `after` goes with
    `first`, `before` with `last`; an empty cursor counts as missing. Pages of the same field share one statement.
    Raises BadUserInput for invalid arguments."""
    size, backward = size_of(first, last)
    if after if backward else before:
        raise BadUserInput("`after` goes with `first`, `before` with `last`.")
    request = PageRequest(
        row_type=row_type,
        order=order,
        size=size,
        backward=backward,
        cursor=None,
        where=all_of(where or []),
        parent=parent,
        parts=parts,
        order_values=order_values,
    )
    cursor, argument = (before, "before") if backward else (after, "after")
    if cursor:
        request = replace(request, cursor=open_cursor(cursor, request.scope, info.context.services.cursors, argument))
    return Connection(request=request)


def paged(description: str, key: str = "id") -> Callable[[Callable[..., Connection[Any]]], Any]:
    """Decorates a static method, which describes a page of rows without looking at the object: the object's column
    `key` is the key of their parent. See db.rows.ToPage."""

    def decorate(describe: Callable[..., Connection[Any]]) -> Any:
        @functools.wraps(describe)
        def resolve(self: Row, info: Info, **arguments: Any) -> Connection[Any]:
            return describe(info, **arguments).below(self.record[key])

        signature = inspect.signature(describe)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        resolve.__signature__ = signature.replace(parameters=[own, *signature.parameters.values()])  # type: ignore[attr-defined]
        return strawberry.field(description=description, resolver=resolve, metadata={"row": ToPage(key, describe)})

    return decorate
