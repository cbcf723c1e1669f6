"""Reads imports, for administrators. db/import_runs.py writes them."""

from __future__ import annotations

from db.session import Session
from resolvers.profiles import require_role


def require_administrator(session: Session) -> None:
    """Raises Unauthenticated, or Forbidden for callers who are not administrators."""
    require_role(session, session.claims.may_administer, "Only administrators may read imports.")
