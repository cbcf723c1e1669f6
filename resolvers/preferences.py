"""Preferences follow from a person's signals, the swipe per product that counts, and are computed when read."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.session import Session


async def recompute(session: Session, user: UUID, changed: Sequence[UUID] | None) -> None:
    """Recomputes signals of the changed products (None: all). The caller holds the person's lock (swipes.lock), and the
    session is that person's."""
    await session.fetch("preferences.rebuild", product_ids=changed)
    session.note_change("preferences", str(user))


async def rebuild(session: Session, user: UUID) -> None:
    """Rebuilds all signals from the swipes, with the same result as recording them one by one. The session is that
    person's."""
    await session.fetch("swipes.lock", user_id=user)
    await recompute(session, user, None)
