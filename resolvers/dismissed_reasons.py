"""Reasons that a person takes out of their own recommendations, and brings back."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from db.session import Session
from domain import ids
from domain.errors import LimitReached, NotFound, UserError
from domain.texts import require_no_nul
from resolvers.profiles import require_subject

MAX_CURRENT = 200  # as in private.dismiss_reason()

_KEY = ("source", "key")
_REFUSALS: dict[str, Callable[[], UserError]] = {  # by the reason that private.dismiss_reason() returns
    "too many": lambda: LimitReached(f"At most {MAX_CURRENT} reasons are dismissed; restore one first."),
    "too often": lambda: LimitReached("Reasons were dismissed and restored too often; try again in some days."),
}


async def dismiss(session: Session, *, kind: str, key: str) -> UUID:
    """Dismisses a reason; idempotent. `key` is a Product's id, a slug of a category or brand, a tag, or a trait. Raises
    NotFound or LimitReached."""
    subject = require_subject(session)
    require_no_nul(key, _KEY)
    sought: str | None = key
    if kind == "product":
        product = ids.decode_as("Product", key)
        sought = None if product is None else str(product)
    elif kind == "trait":
        sought = key.lower()
    dismissed = await session.fetchrow("dismissed_reasons.dismiss", kind=kind, key=sought)
    assert dismissed is not None  # the function returns one row
    if dismissed["refusal"] == "unknown":
        raise NotFound(f"There is no such {kind}.", _KEY)
    if dismissed["refusal"] is not None:
        raise _REFUSALS[dismissed["refusal"]]()
    session.note_change("feeds", str(subject))
    found: UUID = dismissed["id"]
    return found


async def restore(session: Session, reason: UUID | None) -> UUID:
    """Brings a dismissed reason back; idempotent. Raises NotFound."""
    subject = require_subject(session)
    if reason is None or await session.fetchval("dismissed_reasons.restore", user_id=subject, id=reason) is None:
        raise NotFound("There is no such dismissed reason.", ("id",))
    session.note_change("feeds", str(subject))
    return reason
