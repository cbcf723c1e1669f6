"""Preferences follow from the swipes: computed anew from all of one's signals whenever one of them changes."""

from __future__ import annotations

from uuid import UUID

from db.session import Session


async def recompute(session: Session, user: UUID) -> None:
    """Preferences from the current events; the caller holds the person's lock (swipes.lock)."""
    await session.fetch("preferences.rebuild", user_id=user)


async def rebuild(session: Session, user: UUID) -> None:
    """Signals and preferences from nothing but the events. Gives what recording the swipes one by one gave."""
    await session.fetch("swipes.lock", user_id=user)
    await session.fetch("swipes.clear_signals", user_id=user)
    await session.fetch("swipes.rebuild_signals", user_id=user)
    await recompute(session, user)
