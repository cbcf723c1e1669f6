"""JSON text of single values. Each function refuses what its GraphQL type does not allow, null included."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any

import msgspec
from graphql import GraphQLEnumType, GraphQLError, GraphQLScalarType

from plan.errors import Mismatch

NULL = "null"
MAX_INT = 2_147_483_647
REMEMBERED = 4096

string: Callable[[str], str] = encode_basestring  # C, where CPython has it; refuses all but str
encode = msgspec.json.encode


def integer(value: Any) -> str:
    if type(value) is not int or not -MAX_INT <= value < MAX_INT:  # the ends are left to graphql-core
        raise Mismatch("Int")
    return str(value)


def floating(value: Any) -> str:
    if type(value) is float and math.isfinite(value):
        return repr(value)
    if type(value) is int and abs(value) <= MAX_INT:
        return str(value)
    raise Mismatch("Float")


_BOOLEANS = {True: "true", False: "false"}


def boolean(value: Any) -> str:
    if type(value) is not bool:
        raise Mismatch("Boolean")
    return _BOOLEANS[value]


def leaf(type_: GraphQLScalarType | GraphQLEnumType) -> Callable[[Any], str]:
    """The function for a type. It raises Mismatch for a value that the type does not allow."""
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
            return moment
        case "ID":
            return identifier
    serialize = type_.serialize

    def serialized(value: Any) -> str:
        if value is None:
            raise Mismatch(type_.name)
        try:
            return encode(serialize(value)).decode()
        except (GraphQLError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Mismatch(type_.name) from error

    return remembered(serialized)


def identifier(value: Any) -> str:
    if type(value) is not str:
        raise Mismatch("ID")
    return string(value)


def moment(value: Any) -> str:
    """A moment, of Postgres' JSON as text; all in UTC."""
    parsed = datetime.fromisoformat(value) if type(value) is str else value
    text = parsed.isoformat()
    if not text.endswith("+00:00"):
        raise Mismatch("DateTime")
    return f'"{text[:-6]}Z"'


def remembered(function: Callable[..., str]) -> Callable[..., str]:
    """A pure function that keeps what it gave for its latest arguments; it forgets everything when that is much."""
    known: dict[Any, str] = {}

    def recall(*arguments: Any) -> str:
        try:
            return known[arguments]
        except KeyError:
            text = function(*arguments)
            if len(known) >= REMEMBERED:
                known.clear()
            known[arguments] = text
            return text
        except TypeError:  # a list, which no key can be
            return function(*arguments)

    return recall
