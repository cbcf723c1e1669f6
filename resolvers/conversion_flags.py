"""Signs of fraud: filters, and what finance decides about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.queries import QUERIES, Fragment
from db.session import Session
from domain.errors import NotFound
from resolvers.catalogue import writing
from resolvers.filters import text_of
from resolvers.finance import require_bookkeeper, require_proven_bookkeeper
from services import conversion_flags


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any. Times are those of flagging, `until` exclusive."""

    is_held: bool | None = None
    kind: str | None = None
    network: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """The filter as SQL conditions. Raises Unauthenticated, Forbidden or Invalid."""
    require_bookkeeper(session)
    found = []
    if wanted.is_held is not None:
        found.append(QUERIES["conversion_flags.held"].bind(is_held=wanted.is_held))
    if wanted.kind is not None:
        found.append(QUERIES["conversion_flags.of_kind"].bind(kind=wanted.kind))
    if wanted.network is not None:
        found.append(QUERIES["conversion_flags.of_network"].bind(network=text_of(wanted.network, "network")))
    if wanted.since is not None:
        found.append(QUERIES["conversion_flags.since"].bind(at=wanted.since))
    if wanted.until is not None:
        found.append(QUERIES["conversion_flags.until"].bind(at=wanted.until))
    return found


async def decide(session: Session, conversion: UUID | None, reason: str, *, holds: bool) -> UUID:
    """Holds or releases a conversion, and returns its key. Raises Unauthenticated, Forbidden, and what the service
    raises."""
    await require_proven_bookkeeper(session)
    if conversion is None:
        raise NotFound("There is no such conversion.", ("conversionId",))
    async with writing(session):
        await (conversion_flags.hold if holds else conversion_flags.release)(session, conversion, reason)
    return conversion
