"""Payments of networks: filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.queries import QUERIES, Fragment
from db.session import Session
from resolvers.filters import text_of, texts_of
from resolvers.finance import month_of, require_bookkeeper


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any. The month is that of the day of payment."""

    networks: Sequence[str] | None = None
    reference: str | None = None
    month: str | None = None
    is_settled: bool | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """The filter as SQL conditions. Raises Unauthenticated, Forbidden or Invalid."""
    require_bookkeeper(session)
    found = []
    if wanted.networks is not None:
        found.append(QUERIES["payments.of_networks"].bind(networks=texts_of(wanted.networks, "networks")))
    if wanted.reference is not None:
        found.append(QUERIES["payments.with_reference"].bind(reference=text_of(wanted.reference, "reference")))
    if wanted.month is not None:
        first, after = month_of(wanted.month, ("filter", "month"))
        found.append(QUERIES["payments.since"].bind(day=first))
        found.append(QUERIES["payments.until"].bind(day=after))
    if wanted.is_settled is not None:
        found.append(QUERIES["payments.is_settled"].bind(is_settled=wanted.is_settled))
    return found
