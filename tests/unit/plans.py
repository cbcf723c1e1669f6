"""What tests of plans use in place of a compiler and of connections."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count

from db.pages import ROOT, PageRequest


@dataclass
class Connection:
    """See plan.fields.Page."""

    request: PageRequest
    parent_key: Hashable = ROOT

    def below(self, parent_key: Hashable) -> Connection:
        raise NotImplementedError


class Aliases:
    """Gives aliases as a compiler does."""

    def __init__(self) -> None:
        self._numbers = count()

    def __call__(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers)}"
