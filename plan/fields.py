"""The interface between plans and the schema: plans know nothing of Strawberry."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from db.pages import PageRequest
from db.rows import Column, RowType, ToMany, ToOne


@dataclass(frozen=True, slots=True)
class Attribute:
    """A field read from an attribute of the object."""

    name: str


class Info(Protocol):
    """What resolvers get in place of graphql-core's info."""

    @property
    def context(self) -> object:
        """The request's context."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A field computed by a function, which returns a value, a source (db/sources.py), a Page, or an awaitable of one
    of these. `call(object, info, arguments)` takes the arguments that `convert` returns for coerced ones. Objects and
    values are Any: they are typed by GraphQL only."""

    call: Callable[[Any, Info, Mapping[str, Any]], Any]
    convert: Callable[[dict[str, Any]], Mapping[str, Any]]


class Page(Protocol):
    """A page to read: the result of a connection over rows. `parent_key` is ROOT without a parent."""

    request: PageRequest
    parent_key: Hashable

    def below(self, parent_key: Hashable) -> Page:
        """The page of this parent."""


@dataclass(frozen=True, slots=True)
class PageField:
    """A page of rows whose parent is the object's row, with its key in the column `key`. `describe(info, arguments)`
    returns the page without its parent; the arguments are as for a Resolver."""

    key: str
    describe: Callable[[Info, Mapping[str, Any]], Page]
    convert: Callable[[dict[str, Any]], Mapping[str, Any]]


Field: TypeAlias = Column | ToOne | ToMany | PageField | Attribute | Resolver


class Fields(Protocol):
    """The declarations behind a schema."""

    def field(self, type_name: str, field_name: str) -> Field:
        """Where a field's value comes from."""

    def row_type(self, type_name: str) -> RowType | None:
        """The row type behind a type, if any."""

    def is_page(self, type_name: str) -> bool:
        """Whether a type is a connection over rows, so that its values are Pages."""

    def type_name(self, value: Any) -> str:
        """The GraphQL type of an object, for fields whose type is an interface."""
