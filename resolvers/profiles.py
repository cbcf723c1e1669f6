"""One's own profile."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.session import Session
from domain.errors import Forbidden, Invalid, Unauthenticated
from domain.texts import has_escaped_nul, nul_error, require_no_nul

MAX_PREFERENCES_BYTES = 16_384
MAX_NAME = 100


def require_subject(session: Session) -> UUID:
    """Who asks. Raises Unauthenticated for callers without a token."""
    if session.claims.subject is None:
        raise Unauthenticated("This needs an access token: start a session or sign in.")
    return session.claims.subject


def require_role(session: Session, may: bool, refusal: str) -> None:
    """`may` is what the claims say of the caller. For reading: policies show nothing to a person who has a second
    factor and has not shown it. Raises Forbidden, or Unauthenticated for callers without a token."""
    if not may:
        require_subject(session)
        raise Forbidden(refusal)


async def require_proven_role(session: Session, may: bool, refusal: str) -> None:
    """Also that a second factor was shown, where there is one: a token of another issuer, or of before there was one,
    does not say. Raises Forbidden or Unauthenticated."""
    require_role(session, may, refusal)
    claims = session.claims
    if (
        claims.app_role
        and claims.aal != "aal2"
        and await session.fetchval("second_factors.is_on", user_id=claims.subject)
    ):
        raise Forbidden(f"{refusal} Show your second factor first.")


def display_name(name: str | None) -> str | None:
    """A tidy name; None for none. Raises Invalid when it is too long or holds a NUL."""
    require_no_nul(name, ("displayName",))
    tidy = " ".join((name or "").split())
    if len(tidy) > MAX_NAME:
        raise Invalid(f"A name has at most {MAX_NAME} characters.", ("displayName",))
    return tidy or None


async def update(session: Session, *, name: str | None, set_name: bool, stated_preferences: Any) -> UUID:
    """Changes what is given. `stated_preferences` None leaves them as they are. Raises Invalid or Unauthenticated."""
    subject = require_subject(session)
    encoded = None
    if stated_preferences is not None:
        if not isinstance(stated_preferences, dict):
            raise Invalid("Give a JSON object.", ("statedPreferences",))
        encoded = as_jsonb(stated_preferences, "statedPreferences", MAX_PREFERENCES_BYTES)
    updated = await session.fetchval(
        "profiles.update",
        user_id=subject,
        display_name=display_name(name),
        set_display_name=set_name,
        preferences=encoded,
    )
    if updated is None:
        raise Unauthenticated("The person of this token no longer exists.")
    return subject


def as_jsonb(value: Any, name: str, max_bytes: int) -> str:
    """JSON text that jsonb takes. Raises Invalid for what is too large or holds a NUL, which Postgres cannot store."""
    try:
        encoded = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        raise Invalid("This JSON cannot be stored.", (name,)) from None
    if len(encoded) > max_bytes:
        raise Invalid(f"At most {max_bytes} bytes of JSON.", (name,))
    if has_escaped_nul(encoded):
        raise nul_error((name,))
    return encoded.decode()


async def analytics(session: Session, since: datetime | None) -> asyncpg.Record:
    """Counts of the caller's activity since a timestamp, or ever."""
    row = await session.fetchrow("profiles.analytics", user_id=session.claims.subject, since=since)
    assert row is not None
    return row
