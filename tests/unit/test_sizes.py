"""How large the values of an input are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from domain.sizes import Size, size_of


class Way(Enum):
    UP = "up"


@dataclass
class Item:
    name: str
    context: Any = None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, Size(1, 1)),
        ("abc", Size(3, 1)),
        ("ü", Size(2, 1)),
        ("\ud800", Size(3, 1)),
        (True, Size(1, 1)),
        (7, Size(2, 1)),
        (10**300, Size(333, 1)),
        (0.5, Size(8, 1)),
        (Way.UP, Size(1, 1)),
        ([], Size(0, 1)),
        (["a", "b"], Size(2, 3)),
        ({"key": "ab"}, Size(5, 2)),
        (Item("ab"), Size(3, 3)),
        ([Item("ab", {"x": ["y"]})], Size(4, 6)),
    ],
    ids=repr,
)
def test_texts_keys_and_values_are_counted(value: Any, size: Size) -> None:
    assert size_of(value) == size
