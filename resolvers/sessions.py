"""Sessions: a short access token and a refresh token that changes with every use. Only its hash is stored."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from db.claims import SERVICE, Claims
from db.session import Session
from domain import ids
from domain.errors import InvalidCredentials, RateLimited
from resolvers.services import Services


@dataclass(frozen=True, slots=True)
class Visit:
    """Where somebody came from; each text is cut to 500 characters."""

    landing_page: str | None = None
    referrer: str | None = None
    device_type: str | None = None
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of the other end of the connection."""

    address: str = ""
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh pair of tokens and whom they stand for."""

    claims: Claims
    access_token: str
    refresh_token: str
    expires_at: datetime


def _new_refresh_token(session_id: UUID) -> str:
    return base64.urlsafe_b64encode(session_id.bytes + secrets.token_bytes(32)).rstrip(b"=").decode()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def limit_attempts(session: Session, services: Services, kind: str, subject: str, most: int) -> None:
    """Counts an attempt. Raises RateLimited beyond `most` per window. `session` is service_role's and must commit."""
    bucket = hashlib.sha256(f"{kind}:{subject}".encode()).digest()
    window = services.settings.attempt_window
    attempts = await session.fetchval("accounts.count_attempt", bucket=bucket, window_seconds=float(window))
    if attempts > most:
        raise RateLimited("Too many attempts, try again later.", retry_after=window)


async def count_separately(services: Services, kind: str, subject: str, most: int) -> None:
    """limit_attempts in a transaction of its own, so that the count stays whatever comes after."""
    session = services.database.session(SERVICE, read_only=False)
    try:
        await limit_attempts(session, services, kind, subject, most)
    finally:
        await session.close()


async def open_session(
    session: Session,
    services: Services,
    caller: Caller,
    user_id: UUID,
    *,
    is_anonymous: bool,
    method: str,
    email: str | None = None,
    app_metadata: dict[str, Any] | None = None,
) -> SignedIn:
    """A new session of a person; `session` is service_role's."""
    session_id: UUID = await session.fetchval("sessions.new_id")
    refresh_token = _new_refresh_token(session_id)
    await session.fetch(
        "sessions.open",
        user_id=user_id,
        session_id=session_id,
        refresh_token_hash=_hash(refresh_token),
        lifetime_seconds=float(services.settings.refresh_token_lifetime),
        user_agent=caller.user_agent,
    )
    return _signed_in(services, user_id, session_id, refresh_token, is_anonymous, email, app_metadata, method)


def _signed_in(
    services: Services,
    user_id: UUID,
    session_id: UUID,
    refresh_token: str,
    is_anonymous: bool,
    email: str | None,
    app_metadata: dict[str, Any] | None,
    method: str | None,
) -> SignedIn:
    access_token, claims = services.tokens.issue(
        user_id,
        role="anon" if is_anonymous else "authenticated",
        session_id=session_id,
        is_anonymous=is_anonymous,
        email=email,
        app_metadata=app_metadata,
        method=method,
    )
    assert claims.expires_at is not None
    return SignedIn(claims, access_token, refresh_token, datetime.fromtimestamp(claims.expires_at, UTC))


async def start(services: Services, caller: Caller, visit: Visit) -> SignedIn:
    """An anonymous profile with a session of its own. Raises RateLimited."""
    await count_separately(services, "start", caller.address, services.settings.start_session_attempts)
    async with services.database.session(SERVICE, read_only=False) as session:
        profile: UUID = await session.fetchval("sessions.create_anonymous_profile")
        signed_in = await open_session(session, services, caller, profile, is_anonymous=True, method="anonymous")
        await session.fetch(
            "sessions.note_visit",
            user_id=profile,
            session_id=signed_in.claims.session_id,
            **{
                name: None if value is None else value.replace("\0", "")[:500]
                for name, value in (
                    ("landing_page", visit.landing_page),
                    ("referrer", visit.referrer),
                    ("device_type", visit.device_type),
                    ("campaign", visit.campaign),
                )
            },
        )
    return signed_in


async def refresh(services: Services, refresh_token: str) -> SignedIn:
    """Exchanges a refresh token for a new pair. A token that was exchanged before revokes its whole session: either the
    caller or somebody before it has stolen it. Raises InvalidCredentials."""
    refused = InvalidCredentials("The refresh token is not valid.", ("refreshToken",))
    raw = ids.decode_bytes(refresh_token) if len(refresh_token) <= 200 else None
    if raw is None or len(raw) != 48:
        raise refused
    session_id, presented = UUID(bytes=raw[:16]), _hash(refresh_token)
    async with services.database.session(SERVICE, read_only=False) as session:
        known = await session.fetchrow("sessions.of_token", session_id=session_id)
        if known is None or known["is_revoked"] or known["is_expired"]:
            raise refused
        user_id: UUID = known["user_id"]
        if secrets.compare_digest(known["refresh_token_hash"], presented):
            metadata = None
            if not known["is_anonymous"]:
                metadata = as_object(await session.fetchval("accounts.app_metadata", id=user_id))
            new_token = _new_refresh_token(session_id)
            await session.fetch(
                "sessions.rotate",
                user_id=user_id,
                session_id=session_id,
                refresh_token_hash=_hash(new_token),
                lifetime_seconds=float(services.settings.refresh_token_lifetime),
            )
            return _signed_in(
                services, user_id, session_id, new_token, known["is_anonymous"], known["email"], metadata, None
            )
        if presented in known["rotated_token_hashes"]:
            await session.fetch("sessions.revoke", user_id=user_id, session_id=session_id)
    raise refused


async def sign_out(services: Services, claims: Claims) -> bool:
    """Revokes the session of the access token; False when it was over already or the token names none."""
    if claims.subject is None or claims.session_id is None:
        return False
    async with services.database.session(SERVICE, read_only=False) as session:
        revoked = await session.fetchval("sessions.revoke", user_id=claims.subject, session_id=claims.session_id)
    return revoked is not None


def as_object(jsonb: str | None) -> dict[str, Any]:
    """jsonb as asyncpg gives it, as a dict; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else {}
    return decoded if isinstance(decoded, dict) else {}
