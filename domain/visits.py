"""Requests for links, and which of them count as a person who follows the link."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from domain.callers import Caller
from domain.devices import program
from domain.prefetch import is_prefetch

Uncounted = Literal["head", "prefetch", "bot", "script"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a link. `uncounted`: why it is not counted; None: a person follows the link."""

    visitor: Caller
    uncounted: Uncounted | None = None

    @property
    def gets_tracking_ids(self) -> bool:
        """Whether its link may carry the tracking id of a placement: not where nobody may be behind the request."""
        return self.uncounted in (None, "script")


def visit(visitor: Caller, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Visit:
    """The visit that a request is; names of headers are in lower case."""
    if method == "HEAD":
        return Visit(visitor, "head")
    return Visit(visitor, "prefetch" if is_prefetch(headers) else program(visitor.user_agent))
