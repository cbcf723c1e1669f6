"""Consents: every decision is stored, the newest per purpose applies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.session import Session
from domain.errors import Invalid
from domain.texts import require_no_nul
from resolvers.profiles import require_subject

MAX_VERSION = 50


async def current(session: Session, user: Any) -> list[Any]:
    """purpose, granted, decided_at and policy_version per purpose."""
    return await session.fetch("consents.current", user_id=user)


async def update(session: Session, decisions: Sequence[tuple[str, bool]], policy_version: str) -> None:
    """Stores decisions (purpose, granted) and applies them: what was stored under a withdrawn consent is deleted.
    Raises Invalid or Unauthenticated."""
    user = require_subject(session)
    purposes = [purpose for purpose, _ in decisions]
    if not purposes or len(set(purposes)) != len(purposes):
        raise Invalid("`consents` takes at least one purpose, and each only once.", ("consents",))
    require_no_nul(policy_version, ("policyVersion",))
    if not 1 <= len(policy_version) <= MAX_VERSION:
        raise Invalid(f"Give the version of the policy shown, 1 to {MAX_VERSION} characters.", ("policyVersion",))
    await session.fetch(
        "consents.record",
        purposes=purposes,
        granted=[granted for _, granted in decisions],
        policy_version=policy_version,
    )
    await session.fetch("consents.forget_withdrawn")
    if "personalisation" in purposes:
        await session.fetch("personality.mark_due")
        session.note_change("preferences", str(user))
