"""The size of input values, for pricing requests and for storage limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

OTHER_BYTES = 8  # a fraction, a date


@dataclass(slots=True)
class Size:
    """`bytes` of all values (texts in UTF-8, including keys of JSON objects); `values` is their number at any depth,
    including lists and objects."""

    bytes: int = 0
    values: int = 0


def size_of(value: Any) -> Size:
    """The size of JSON, or of an input object with attributes."""
    size = Size()
    _add(value, size)
    return size


def _add(value: Any, size: Size) -> None:
    size.values += 1
    if isinstance(value, str):
        size.bytes += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, Mapping):
        for name, below in value.items():
            size.bytes += len(name) if name.isascii() else len(name.encode("utf-8", "surrogatepass"))
            _add(below, size)
    elif isinstance(value, list | tuple):
        for below in value:
            _add(below, size)
    elif value is None or isinstance(value, bool | Enum):
        size.bytes += 1
    elif isinstance(value, int):
        size.bytes += 1 + value.bit_length() // 3  # about its digits
    elif hasattr(value, "__dict__"):
        for below in vars(value).values():
            _add(below, size)
    else:
        size.bytes += OTHER_BYTES
