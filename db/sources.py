"""Sources: what resolvers return to name rows without fetching them.

A compiled plan turns a source and the selected fields into one statement. graphql-core's execution awaits it instead,
and gets whole rows through the request's DataLoaders.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from db.rows import RowType

if TYPE_CHECKING:
    from db.session import Session


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reference(Generic[T]):
    """The row, of type T, whose column `by` is `key`; none where the key is None."""

    session: Session
    row_type: RowType
    key: Any
    by: str = "id"

    def __await__(self) -> Generator[Any, None, T | None]:
        return self._load().__await__()

    async def _load(self) -> T | None:
        return None if self.key is None else await self.session.loaders.one_by(self.row_type, self.by).load(self.key)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The first `size` rows that meet a condition. `where` and `order_by` are SQL over alias `r`."""

    session: Session
    row_type: RowType
    where: str
    order_by: str
    size: int

    def __await__(self) -> Generator[Any, None, list[T]]:
        return self._load().__await__()

    async def _load(self) -> list[T]:
        columns = self.row_type.select_list("r")
        table = self.row_type.table
        sql = f"select {columns} from {table} r where {self.where} order by {self.order_by} limit $1"
        return [self.row_type.make(row) for row in await self.session.run(sql, (self.size,))]
