"""What a plan is told of the fields of GraphQL types. The schema says it; plans know nothing of Strawberry."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from db.pages import PageRequest
from db.rows import Column, RowType, ToMany, ToOne


@dataclass(frozen=True, slots=True)
class Attribute:
    """A field that is an attribute of the object."""

    name: str


@dataclass(frozen=True, slots=True)
class Resolver:
    """A field that a function gives: a value, a source (db/sources.py), a Page, or something to await that gives one of
    these. `call(object, info, arguments)` takes arguments as `convert` makes them of coerced ones. Objects and values
    are Any: only their GraphQL type says what they are."""

    call: Callable[[Any, Any, Mapping[str, Any]], Any]
    convert: Callable[[dict[str, Any]], Mapping[str, Any]]


Field: TypeAlias = Column | ToOne | ToMany | Attribute | Resolver


class Page(Protocol):
    """A page to read, as a connection over rows gives it."""

    request: PageRequest
    parent_key: Hashable  # of a row, ROOT without one, or a plan's stand-in for a column


class Fields(Protocol):
    """The declarations behind a schema."""

    def field(self, type_name: str, field_name: str) -> Field:
        """Where a field's value comes from."""

    def row_type(self, type_name: str) -> RowType | None:
        """The rows that a type is backed by."""

    def is_page(self, type_name: str) -> bool:
        """Whether a type is a connection over rows: its values are each a Page."""

    def type_name(self, value: Any) -> str:
        """The GraphQL type of an object, where its field's type is an interface."""

    def blank(self, type_name: str, record: Any) -> Any:
        """An object that has nothing but a record: what resolvers of pages are called with before there are rows."""
