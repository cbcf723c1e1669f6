"""Renders values of a GraphQL type as JSON, many at a time, so that one statement reads the rows they need.

Values are Any here: they come from resolvers, and are typed by GraphQL only.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from graphql import FieldNode, GraphQLObjectType, GraphQLOutputType
from graphql.execution.values import VariableValues

from db.rows import RowType
from db.sources import Listing, Reference
from domain.signing import Signer
from plan.errors import Mismatch
from plan.fields import Info, Page
from plan.leaves import NULL, RenderValue

if TYPE_CHECKING:
    from db.session import Session
    from plan.compiler import Compiler
    from plan.objects import ObjectPlan
    from plan.pages import PagePlan
    from plan.rows import RowPlan


class Services(Protocol):
    """The services that plans need."""

    @property
    def cursors(self) -> Signer:
        """Signs cursors."""


class Context(Protocol):
    """The part of a request's context that plans need."""

    @property
    def session(self) -> Session:
        """The open session."""

    @property
    def services(self) -> Services:
        """The services."""


@dataclass(slots=True)
class Run:
    """One run of a plan. `info` is passed to resolvers; `variables` are graphql-core's coerced values; `pages` are
    those being rendered, by alias of the select that reads them."""

    context: Context
    info: Info
    variables: VariableValues
    pages: dict[str, Page] = field(default_factory=dict)


Get: TypeAlias = Callable[[Run, Any], Any]
"""Returns an object's value of a field, a source, or an awaitable of one of these."""


class Value(ABC):
    """A type with its selections. `is_leaf`: rendering needs nothing but the values."""

    is_leaf = False

    @abstractmethod
    async def render(self, run: Run, values: Sequence[Any], *, is_last: bool = False) -> list[str]:
        """Renders each value as JSON. `is_last`: these are the last values of the run. Raises Mismatch for a value that
        the type does not allow, or what a resolver or Postgres raised."""


class Leaf(Value):
    """A scalar or an enum."""

    is_leaf = True

    def __init__(self, render_value: RenderValue) -> None:
        self._render_value = render_value

    async def render(self, run: Run, values: Sequence[Any], *, is_last: bool = False) -> list[str]:
        return [NULL if value is None else self._render_value(value) for value in values]


class NonNull(Value):
    """A non-null type."""

    def __init__(self, of: Value) -> None:
        self.of = of
        self.is_leaf = of.is_leaf

    async def render(self, run: Run, values: Sequence[Any], *, is_last: bool = False) -> list[str]:
        rendered = await self.of.render(run, values, is_last=is_last)
        if NULL in rendered:
            raise Mismatch("null")
        return rendered


class List(Value):
    """A list type; its values may be Listings of rows."""

    def __init__(self, of: Value) -> None:
        self.of = of
        self.is_leaf = of.is_leaf

    async def render(self, run: Run, values: Sequence[Any], *, is_last: bool = False) -> list[str]:
        items: list[Any] = []
        for value in values:
            if isinstance(value, Listing):
                return await self._listings(run, values, is_last=is_last)
            items.extend(value or ())
        rendered = iter(await self.of.render(run, await gather_awaitables(items), is_last=is_last))
        return [
            NULL if value is None else f"[{','.join([next(rendered) for _ in range(len(value))])}]" for value in values
        ]

    async def _listings(self, run: Run, values: Sequence[Listing[Any]], *, is_last: bool) -> list[str]:
        of = self.of.of if isinstance(self.of, NonNull) else self.of
        if not isinstance(of, Object):
            raise Mismatch("a listing of a type without rows")
        plan = of.rows(values[0].row_type)
        lists = []
        for number, value in enumerate(values, 1):
            lists.append(await plan.render_listing(run, value, is_last=is_last and number == len(values)))
        return [f"[{','.join(rows)}]" for rows in lists]


class Object(Value):
    """An object, an interface, or a connection over rows."""

    def __init__(self, compiler: Compiler, type_: GraphQLOutputType, nodes: Sequence[FieldNode]) -> None:
        self._compiler = compiler
        self._type = type_
        self._nodes = nodes
        self._rows: dict[str, RowPlan] = {}
        self._objects: dict[str, ObjectPlan] = {}
        self.page: PagePlan | None = None
        if isinstance(type_, GraphQLObjectType):  # compiled now, so that NotPlanned is raised before anything runs
            if compiler.fields.is_page(type_.name):
                self.page = compiler.page(type_, nodes)
            elif (row_type := compiler.fields.row_type(type_.name)) is not None:
                self.rows(row_type)
            else:
                self._object(type_.name)

    def rows(self, row_type: RowType) -> RowPlan:
        """The plan for rows of this type, compiled on first use. Raises NotPlanned."""
        if row_type.name not in self._rows:
            self._rows[row_type.name] = self._compiler.rows(row_type, self._nodes)
        return self._rows[row_type.name]

    def _object(self, type_name: str) -> ObjectPlan:
        if type_name not in self._objects:
            self._objects[type_name] = self._compiler.object(type_name, self._nodes)
        return self._objects[type_name]

    async def render(self, run: Run, values: Sequence[Any], *, is_last: bool = False) -> list[str]:
        if self.page is not None:
            return await self.page.render(run, values, is_last=is_last)
        rendered = [NULL] * len(values)
        groups: dict[tuple[str, str], list[int]] = {}
        for position, value in enumerate(values):
            if value is None:
                continue
            if type(value) is Reference:
                if value.key is not None:
                    groups.setdefault((value.row_type.name, value.by), []).append(position)
            else:
                name = self._type.name if isinstance(self._type, GraphQLObjectType) else self._name_of(value)
                groups.setdefault((name, ""), []).append(position)
        while groups:
            (name, by), positions = groups.popitem()
            chosen = [values[position] for position in positions]
            last = is_last and not groups
            if by:
                found = await self.rows(chosen[0].row_type).render_references(run, chosen, is_last=last)
            else:
                found = await self._object(name).render(run, chosen, is_last=last)
            for position, text in zip(positions, found, strict=True):
                rendered[position] = text
        return rendered

    def _name_of(self, value: Any) -> str:
        return self._compiler.fields.type_name(value)


async def gather_awaitables(values: Sequence[Any]) -> list[Any]:
    """Awaits the awaitables among the values, concurrently, so that DataLoaders batch them; other values and sources
    stay unchanged. Raises what the first failing one raises."""
    waiting = [value for value in values if is_awaited(type(value))]
    if not waiting:
        return list(values)
    results = iter(await asyncio.gather(*waiting))
    return [next(results) if is_awaited(type(value)) else value for value in values]


async def await_if_awaitable(value: Any) -> Any:
    """Like `gather_awaitables`, for a single value."""
    return await value if is_awaited(type(value)) else value


_awaited: dict[type, bool] = {}


def is_awaited(kind: type) -> bool:
    """Whether values of this type have to be awaited; sources do not."""
    known = _awaited.get(kind)
    if known is None:
        known = issubclass(kind, Awaitable) and not issubclass(kind, Reference | Listing)
        _awaited[kind] = known
    return known
