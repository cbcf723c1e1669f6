"""Preferences follow from the swipes: computed anew from all of one's signals whenever one of them changes."""

from __future__ import annotations

from uuid import UUID

from db.session import Session


async def recompute(session: Session, user: UUID) -> None:
    """Preferences from the current events; the caller holds the person's lock (swipes.lock)."""
    await session.fetch("preferences.rebuild", user_id=user)
    session.note_change("preferences", str(user))


async def rebuild(session: Session, user: UUID) -> None:
    """All signals and preferences from nothing but the swipes. Gives what recording them one by one gave. The session
    is that person's."""
    await session.fetch("swipes.lock", user_id=user)
    await session.fetch("swipes.sync_signals", product_ids=None)
    await recompute(session, user)
