"""DataLoaders over declared rows: one per row type and column, created on first use, never shared between sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any

from aiodataloader import DataLoader

from db import pages
from db.pages import PageRequest, PageRows
from db.rows import RowType, ToMany

if TYPE_CHECKING:
    from db.session import Session

MAX_BATCH = 1000


def consume_exception(done: asyncio.Future[Any]) -> None:
    """Retrieves a future's exception, so that asyncio does not log it as never retrieved."""
    if not done.cancelled():
        done.exception()


class _Loader(DataLoader[Any, Any]):
    """Shared by the fields that load the same key. If one of them is cancelled, because an error in a sibling made its
    parent null, the others keep waiting. An error that no field awaits any more is not logged."""

    def load(self, key: Any) -> asyncio.Future[Any]:
        loaded = super().load(key)
        waiting = asyncio.shield(loaded)
        for future in (loaded, waiting):
            future.add_done_callback(consume_exception)
        return waiting


class Loaders:
    """The loaders of one session, and so of one person's claims and one snapshot."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: dict[Hashable, DataLoader[Any, Any]] = {}

    def custom(
        self, identity: Hashable, load: Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]
    ) -> DataLoader[Any, Any]:
        """A loader by identity, created on first use, for what is not a row, such as a ranked list per key."""
        loader = self._made.get(identity)
        if loader is None:
            loader = self._made[identity] = _Loader(load, max_batch_size=MAX_BATCH)
        return loader

    def one_by(self, row_type: RowType, column: str = "id") -> DataLoader[Any, Any]:
        """The row whose `column` is the key, or None."""

        async def load(keys: list[Any]) -> list[Any]:
            if row_type.aliases is not None and column == "id":
                sql = (
                    f"select {row_type.select_list('r')}, a.alias as alias_of_row from ({row_type.aliases}) a"
                    f" join {row_type.table} r on r.id = a.id where a.alias = any($1)"
                )
                found = {row["alias_of_row"]: row_type.make(row) for row in await self._session.run(sql, [keys])}
            else:
                found = {row[column]: row_type.make(row) for row in await self._select(row_type, column, keys)}
            return [found.get(key) for key in keys]

        return self.custom((row_type.name, column, "one"), load)

    def many_by(self, row_type: RowType, column: str, order_by: str, where: str = "true") -> DataLoader[Any, list[Any]]:
        """All rows whose `column` is the key, with an order and a condition over alias `r`: for lists that are always
        short."""

        async def load(keys: list[Any]) -> list[Any]:
            found: dict[Any, list[Any]] = {key: [] for key in keys}
            for row in await self._select(row_type, column, keys, order_by, where):
                found[row[column]].append(row_type.make(row))
            return [found[key] for key in keys]

        return self.custom((row_type.name, column, order_by, where), load)

    async def related(self, to_many: ToMany, key: Any) -> list[Any]:
        """The rows of a to-many relation of the row whose column `to_many.key` is `key`."""
        rows = await self.many_by(to_many.target(), to_many.by, to_many.order_by, to_many.where).load(key)
        return rows[: to_many.limit]

    def page_by(self, request: PageRequest) -> DataLoader[Any, PageRows]:
        """A page of a connection per parent key (pages.ROOT without a parent)."""

        async def load(keys: list[Any]) -> list[Any]:
            return await pages.load_pages(self._session, request, keys)

        return self.custom(("page", request.identity), load)

    def count_by(self, request: PageRequest) -> DataLoader[Any, int]:
        """The total number of rows of the connection, per parent key."""

        async def load(keys: list[Any]) -> list[Any]:
            return await pages.count(self._session, request, keys)

        return self.custom(("count", request.identity_of_all), load)

    async def _select(
        self, row_type: RowType, column: str, keys: list[Any], order_by: str = "", where: str = "true"
    ) -> list[Any]:
        sql = f"select {row_type.select_list('r')} from {row_type.table} r where r.{column} = any($1) and ({where})"
        arguments: list[Any] = [keys]
        if row_type.owner:  # redundant with row level security, but lets Postgres use the index
            sql += f" and r.{row_type.owner} = $2"
            arguments.append(self._session.claims.subject)
        if order_by:
            sql += f" order by {order_by}"
        return await self._session.run(sql, arguments)
