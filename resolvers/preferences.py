"""Preferences are derived from swipes: recomputed from all signals of the person whenever one of them changes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.session import Session


async def recompute(session: Session, user: UUID, changed: Sequence[UUID] | None = ()) -> None:
    """Signals of the changed products (None: of all) and preferences from the current events; the caller holds the
    person's lock (swipes.lock), and the session is that person's."""
    await session.fetch("preferences.rebuild", product_ids=changed)
    session.note_change("preferences", str(user))


async def rebuild(session: Session, user: UUID) -> None:
    """All signals and preferences from nothing but the swipes. Gives what recording them one by one gave. The session
    is that person's."""
    await session.fetch("swipes.lock", user_id=user)
    await recompute(session, user, None)
