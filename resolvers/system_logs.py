"""Reads the system log, for administrators."""

from __future__ import annotations

from db.queries import QUERIES, Fragment
from db.session import Session
from domain.texts import require_no_nul
from resolvers.profiles import require_role


def conditions(session: Session, level: str | None, component: str | None) -> list[Fragment]:
    """Conditions for reading entries. Raises Forbidden for callers who are not administrators."""
    require_role(session, session.claims.may_administer, "Only administrators may read the system's logs.")
    found = []
    if level is not None:
        found.append(QUERIES["system_logs.of_level"].bind(level=level))
    if component is not None:
        require_no_nul(component, ("component",))
        found.append(QUERIES["system_logs.of_component"].bind(component=component))
    return found
