"""Statements put together of declared parts; nothing of a request stands in their text but the size of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
MAX_COLUMNS = 100  # arguments of json_build_array


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with $1..$n, and the names of their values in that order."""

    sql: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Statement:
        """A text with `:names`."""
        order: dict[str, int] = {}
        sql = _PARAMETER.sub(lambda match: f"${order.setdefault(match.group(1), len(order) + 1)}", text)
        return cls(sql, tuple(order))

    def arguments(self, values: Mapping[str, Any]) -> Sequence[Any]:
        return [values[name] for name in self.names]


def named(text: str, prefix: str) -> str:
    """The text with its parameters renamed, so that it can stand beside others."""
    return _PARAMETER.sub(lambda match: f":{prefix}{match.group(1)}", text)
