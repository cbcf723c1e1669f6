"""Renders scalars and enums as JSON, and memoises pure functions.

Each function raises Mismatch for values that its GraphQL type does not allow, including null; `string` raises
TypeError.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from datetime import date, datetime
from json.encoder import encode_basestring
from typing import Any, ClassVar, TypeAlias

import msgspec
from graphql import GraphQLEnumType, GraphQLError, GraphQLScalarType

from plan.errors import Mismatch

NULL = "null"
MAX_INT = 2_147_483_647
MAX_MEMO_ENTRIES = 4096
MAX_MEMO_ENTRIES_IN_ALL = 200_000
_UTC = "+00:00"
_WITH_MICROSECONDS = len("2026-01-31T12:00:00.123456+00:00")  # Postgres omits trailing zeros

RenderValue: TypeAlias = Callable[[Any], str]
"""Renders a value of one type as JSON; raises for others."""

string: Callable[[str], str] = encode_basestring  # C, where CPython has it; refuses all but str
encode = msgspec.json.encode


def integer(value: object) -> str:
    """An Int: 32 bits."""
    if type(value) is not int or not -MAX_INT - 1 <= value <= MAX_INT:
        raise Mismatch("Int")
    return str(value)


def floating(value: object) -> str:
    """A Float: finite."""
    if type(value) is float and math.isfinite(value):
        return repr(value)
    if type(value) is int and abs(value) <= MAX_INT:
        return str(value)
    raise Mismatch("Float")


_BOOLEANS = {True: "true", False: "false"}


def boolean(value: object) -> str:
    """A Boolean."""
    if type(value) is not bool:
        raise Mismatch("Boolean")
    return _BOOLEANS[value]


def leaf(type_: GraphQLScalarType | GraphQLEnumType) -> RenderValue:
    """The render function of a type."""
    match type_.name:
        case "String":
            return string
        case "Int":
            return integer
        case "Float":
            return floating
        case "Boolean":
            return boolean
        case "DateTime":
            return timestamp
        case "Date":
            return day
        case "ID":
            return identifier
    serialize = type_.serialize

    def serialized(value: object) -> str:
        if value is None:
            raise Mismatch(type_.name)
        try:
            return encode(serialize(value)).decode()
        except (GraphQLError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Mismatch(type_.name) from error

    return serialized


def identifier(value: object) -> str:
    """An ID: text."""
    if type(value) is not str:
        raise Mismatch("ID")
    return string(value)


def timestamp(value: object) -> str:
    """A timestamp in UTC: a datetime, or the text that Postgres puts into JSON."""
    if type(value) is str:
        if len(value) == _WITH_MICROSECONDS and value.endswith(_UTC):
            return f'"{value[:-6]}Z"'
        if value[19:20] == "." and value[-6:] == _UTC and len(value) <= _WITH_MICROSECONDS:
            return f'"{value[:-6]:0<26}Z"'
        value = datetime.fromisoformat(value)
    text = value.isoformat() if isinstance(value, datetime) else ""
    if not text.endswith(_UTC):
        raise Mismatch("DateTime")
    return f'"{text[:-6]}Z"'


def day(value: object) -> str:
    """A day: a date, or the text that Postgres puts into JSON."""
    if type(value) is str:
        value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Mismatch("Date")
    return f'"{value.isoformat()}"'


class Memo(dict[Any, str]):
    """Memoises a pure function of one argument, or of a tuple of several: `memo[x]`. A hit is a dict lookup, without a
    Python call.

    A memo is cleared at MAX_MEMO_ENTRIES; all memos are cleared after MAX_MEMO_ENTRIES_IN_ALL additions, as every
    compiled document has some."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    _all: ClassVar[weakref.WeakSet[Memo]] = weakref.WeakSet()
    _added: ClassVar[int] = 0

    def __init__(self, function: RenderValue) -> None:
        super().__init__()
        self._function = function
        Memo._all.add(self)

    def __missing__(self, argument: Any) -> str:
        text = self._function(argument)
        if len(self) >= MAX_MEMO_ENTRIES:
            self.clear()
        Memo._added += 1
        if Memo._added > MAX_MEMO_ENTRIES_IN_ALL:
            Memo._added = 0
            for each in Memo._all:
                each.clear()
        self[argument] = text
        return text
