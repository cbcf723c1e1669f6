"""The exceptions queue of the ledger: filters."""

from __future__ import annotations

from dataclasses import dataclass

from db.queries import QUERIES, Fragment
from db.session import Session
from resolvers.filters import text_of
from resolvers.finance import require_bookkeeper


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any."""

    is_open: bool | None = None
    kind: str | None = None
    network: str | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """The filter as SQL conditions. Raises Unauthenticated, Forbidden or Invalid."""
    require_bookkeeper(session)
    found = []
    if wanted.is_open is not None:
        found.append(QUERIES["exceptions.is_open"].bind(is_open=wanted.is_open))
    if wanted.kind is not None:
        found.append(QUERIES["exceptions.of_kind"].bind(kind=wanted.kind))
    if wanted.network is not None:
        found.append(QUERIES["exceptions.of_network"].bind(network=text_of(wanted.network, "network")))
    return found
