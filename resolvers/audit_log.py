"""Reads the audit log, which triggers write: sql/functions/audit_log.sql."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.queries import QUERIES, Fragment
from db.rows import Order, SortKey
from db.session import Session
from domain.texts import require_no_nul
from resolvers.profiles import require_role

# The id is a UUIDv7 created with the entry, which gives the order.
NEWEST = Order("NEWEST", (SortKey("r.id", "uuid"),), descending=True)


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any."""

    table_name: str | None = None
    subject_id: UUID | None = None
    since: datetime | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """Conditions for reading the log. Raises Unauthenticated, Forbidden for callers who are not administrators or
    service_role, or Invalid for a NUL."""
    require_role(session, session.claims.may_administer, "Only administrators may read the audit log.")
    found = []
    if wanted.table_name is not None:
        require_no_nul(wanted.table_name, ("filter", "tableName"))
        found.append(QUERIES["audit_log.of_table"].bind(name=wanted.table_name))
    if wanted.subject_id is not None:
        found.append(QUERIES["audit_log.of_person"].bind(id=wanted.subject_id))
    if wanted.since is not None:
        found.append(QUERIES["audit_log.since"].bind(at=wanted.since))
    return found
