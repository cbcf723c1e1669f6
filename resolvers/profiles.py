"""The caller's own profile."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.session import Session
from domain import stated_preferences as stated
from domain.errors import Forbidden, Invalid, Unauthenticated
from domain.texts import has_escaped_nul, nul_error, require_no_nul

MAX_PREFERENCES_BYTES = 16_384
MAX_NAME = 100


def require_subject(session: Session) -> UUID:
    """The caller's id. Raises Unauthenticated without a token."""
    if session.claims.subject is None:
        raise Unauthenticated("This needs an access token: start a session or sign in.")
    return session.claims.subject


def require_role(session: Session, may: bool, refusal: str) -> None:
    """Requires a role for reading; `may` is whether the claims have it. Policies hide everything from a person with a
    second factor who has not shown it. Raises Forbidden, or Unauthenticated without a token."""
    if not may:
        require_subject(session)
        raise Forbidden(refusal)


async def require_proven_role(session: Session, may: bool, refusal: str) -> None:
    """Also requires that the person still exists, and that a second factor, if there is one, was shown, which tokens of
    another issuer, or older than the factor, do not indicate. Raises Forbidden or Unauthenticated."""
    require_role(session, may, refusal)
    claims = session.claims
    if not claims.app_role or (claims.session_id is None and claims.aal == "aal2"):
        return
    standing = await session.fetchrow("profiles.standing", user_id=claims.subject)
    assert standing is not None
    if claims.session_id is not None and not standing["is_known"]:
        raise Unauthenticated("The person of this token no longer exists.")
    if claims.aal != "aal2" and standing["has_factor"]:
        raise Forbidden(f"{refusal} Show your second factor first.")


def display_name(name: str | None) -> str | None:
    """The trimmed name; None for an empty one. Raises Invalid if it is too long or holds a NUL."""
    require_no_nul(name, ("displayName",))
    normalised_name = " ".join((name or "").split())
    if len(normalised_name) > MAX_NAME:
        raise Invalid(f"A name has at most {MAX_NAME} characters.", ("displayName",))
    return normalised_name or None


async def update(
    session: Session, *, name: str | None, set_name: bool, stated_preferences: Any, default_currency: str
) -> UUID:
    """Changes the given values; `stated_preferences` None leaves them unchanged. Raises Invalid or Unauthenticated."""
    subject = require_subject(session)
    encoded = None
    if stated_preferences is not None:
        if not isinstance(stated_preferences, dict):
            raise Invalid("`statedPreferences` must be a JSON object.", ("statedPreferences",))
        encoded = as_jsonb(stated_preferences, "statedPreferences", MAX_PREFERENCES_BYTES)
        await _check_stated(session, stated_preferences, default_currency)
    updated = await session.fetchval(
        "profiles.update",
        user_id=subject,
        display_name=display_name(name),
        set_display_name=set_name,
        preferences=encoded,
    )
    if updated is None:
        raise Unauthenticated("The person of this token no longer exists.")
    if encoded is not None:
        session.note_change("feeds", str(subject))
    return subject


async def _check_stated(session: Session, preferences: dict[str, Any], default_currency: str) -> None:
    """Checks what recommendations follow. Raises Invalid."""
    slugs = stated.check(preferences, default_currency)
    if not slugs.categories and not slugs.brands:
        return
    unknown = await session.fetchrow(
        "profiles.unknown_slugs", categories=list(slugs.categories), brands=list(slugs.brands)
    )
    assert unknown is not None
    if unknown["category"] is not None:
        field = stated.field_of(preferences, unknown["category"], "favouriteCategories", "avoidCategories")
        raise Invalid(f"There is no category with the slug “{unknown['category']}”.", field)
    if unknown["brand"] is not None:
        raise Invalid(f"There is no brand with the slug “{unknown['brand']}”.", (stated.NAME, "brands"))


def as_jsonb(value: Any, name: str, max_bytes: int) -> str:
    """Encodes a value for jsonb. Raises Invalid if it is too large or holds a NUL, which Postgres cannot store."""
    try:
        encoded = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        raise Invalid(
            f"`{name}` cannot be stored: it is nested too deep, or holds a number that is too large.", (name,)
        ) from None
    if len(encoded) > max_bytes:
        raise Invalid(f"`{name}` has {len(encoded)} bytes of JSON: at most {max_bytes}.", (name,))
    if has_escaped_nul(encoded):
        raise nul_error((name,))
    return encoded.decode()


async def analytics(session: Session, since: datetime | None) -> asyncpg.Record:
    """Counts of the caller's activity since a timestamp, or ever."""
    row = await session.fetchrow("profiles.analytics", user_id=session.claims.subject, since=since)
    assert row is not None
    return row
