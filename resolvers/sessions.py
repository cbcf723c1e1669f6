"""Sessions: a short access token and a refresh token that changes with every use. Only its hash is stored."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.claims import SERVICE, Claims
from db.session import Session
from domain import ids
from domain.errors import InvalidCredentials, NotFound, RateLimited, Unauthenticated
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


def _bucket(kind: str, subject: str) -> bytes:
    return hashlib.sha256(f"{kind}:{subject}".encode("utf-8", "surrogatepass")).digest()


async def count_attempt(session: Session, services: Services, kind: str, subject: str) -> int:
    """Counts an attempt; how many that makes in this window. `session` is service_role's and must commit."""
    window = float(services.settings.attempt_window)
    attempts: int = await session.fetchval(
        "accounts.count_attempt", bucket=_bucket(kind, subject), window_seconds=window
    )
    return attempts


def too_many(services: Services) -> RateLimited:
    return RateLimited("Too many attempts, try again later.", retry_after=services.settings.attempt_window)


async def count_separately(services: Services, kind: str, subject: str, most: int) -> None:
    """Counts an attempt in a transaction of its own, so that the count stays whatever comes after. Raises RateLimited
    beyond `most` per window."""
    async with services.database.session(SERVICE, read_only=False) as session:
        attempts = await count_attempt(session, services, kind, subject)
    if attempts > most:
        raise too_many(services)


async def forgive_attempt(session: Session, services: Services, kind: str, subject: str) -> None:
    """Takes back a counted attempt that succeeded. Counted first: of many guesses at once none may run ahead."""
    window = float(services.settings.attempt_window)
    await session.fetch("accounts.forgive_attempt", bucket=_bucket(kind, subject), window_seconds=window)


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
    amr = [proof(method)]
    await session.fetch(
        "sessions.open",
        user_id=user_id,
        session_id=session_id,
        refresh_token_hash=_hash(refresh_token),
        lifetime_seconds=float(services.settings.refresh_token_lifetime),
        user_agent=caller.user_agent,
        amr=msgspec.json.encode(amr).decode(),
    )
    access_token, claims = services.tokens.issue(
        user_id,
        role="anon" if is_anonymous else "authenticated",
        session_id=session_id,
        is_anonymous=is_anonymous,
        email=email,
        app_metadata=app_metadata,
        amr=amr,
    )
    return _signed_in(access_token, claims, refresh_token)


def proof(method: str) -> dict[str, Any]:
    """An entry of `amr`: how somebody proves who they are, now."""
    return {"method": method, "timestamp": int(time.time())}


def _signed_in(access_token: str, claims: Claims, refresh_token: str) -> SignedIn:
    assert claims.expires_at is not None
    return SignedIn(claims, access_token, refresh_token, datetime.fromtimestamp(claims.expires_at, UTC))


async def exchange(session: Session, services: Services, known: asyncpg.Record) -> SignedIn:
    """A new pair of tokens of a live session, which says of the person what holds now. `known` is sessions.of_token,
    `session` is service_role's."""
    user_id, session_id = known["user_id"], known["id"]
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
    access_token, claims = services.tokens.issue(
        user_id,
        role="anon" if known["is_anonymous"] else "authenticated",
        session_id=session_id,
        is_anonymous=known["is_anonymous"],
        email=known["email"],
        app_metadata=metadata,
        aal=known["aal"],
        amr=as_list(known["amr"]),
    )
    return _signed_in(access_token, claims, new_token)


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


def _session_of(refresh_token: str) -> UUID | None:
    """Which session a refresh token says it is of; None for what is no refresh token."""
    raw = ids.decode_bytes(refresh_token) if len(refresh_token) <= 200 else None
    return UUID(bytes=raw[:16]) if raw is not None and len(raw) == 48 else None


async def live_session_of(session: Session, refresh_token: str) -> asyncpg.Record | None:
    """The live session (sessions.of_token, locked) whose refresh token this is at present: a proof that the token alone
    is not. None for any other text. `session` is service_role's and may write."""
    session_id = _session_of(refresh_token)
    if session_id is None:
        return None
    known = await session.fetchrow("sessions.of_token", session_id=session_id)
    if known is None or known["is_revoked"] or known["is_expired"]:
        return None
    return known if secrets.compare_digest(known["refresh_token_hash"], _hash(refresh_token)) else None


async def refresh(services: Services, refresh_token: str) -> SignedIn:
    """Exchanges a refresh token for a new pair. A token that was exchanged before revokes its whole session: either the
    caller or somebody before it has stolen it. Raises InvalidCredentials."""
    refused = InvalidCredentials("The refresh token is not valid.", ("refreshToken",))
    session_id, presented = _session_of(refresh_token), _hash(refresh_token)
    if session_id is None:
        raise refused
    async with services.database.session(SERVICE, read_only=False) as session:
        known = await session.fetchrow("sessions.of_token", session_id=session_id)
        if known is None or known["is_revoked"] or known["is_expired"]:
            raise refused
        if secrets.compare_digest(known["refresh_token_hash"], presented):
            return await exchange(session, services, known)
        if presented in known["rotated_token_hashes"]:
            await session.fetch("sessions.revoke", user_id=known["user_id"], session_id=session_id)
    raise refused


async def sign_out(services: Services, claims: Claims) -> bool:
    """Revokes the session of the access token; False when it was over already or the token names none."""
    if claims.subject is None or claims.session_id is None:
        return False
    async with services.database.session(SERVICE, read_only=False) as session:
        revoked = await session.fetchval("sessions.revoke", user_id=claims.subject, session_id=claims.session_id)
    return revoked is not None


async def require_live(session: Session, claims: Claims) -> None:
    """An access token outlives its session by some minutes: it changes no account then. A token without a session
    (from the command line) passes. Raises Unauthenticated. `session` is service_role's."""
    if claims.session_id is not None and not await session.fetchval(
        "sessions.is_live", user_id=claims.subject, session_id=claims.session_id
    ):
        raise Unauthenticated("The session of this token has ended: sign in again.")


async def refuse_ended(services: Services, claims: Claims) -> None:
    """The same where another service may keep the sessions: refuses those of ours that have ended."""
    if claims.session_id is None:
        return
    async with services.database.session(SERVICE, read_only=True) as session:
        if await session.fetchval("sessions.has_ended", user_id=claims.subject, session_id=claims.session_id):
            raise Unauthenticated("The session of this token has ended: sign in again.")


async def revoke(services: Services, claims: Claims, session_id: UUID | None) -> UUID:
    """Ends one of the caller's sessions; harmless to repeat. Raises NotFound or Unauthenticated."""
    await refuse_ended(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        if session_id is None or not await session.fetchval(
            "sessions.is_own", user_id=claims.subject, session_id=session_id
        ):
            raise NotFound("There is no such session.", ("sessionId",))
        await session.fetch("sessions.revoke", user_id=claims.subject, session_id=session_id)
    return session_id


async def revoke_others(services: Services, claims: Claims) -> int:
    """Ends all the caller's sessions but the one of this token; how many there were. Raises Unauthenticated."""
    await refuse_ended(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        ended = await session.fetch("sessions.revoke_others", user_id=claims.subject, session_id=claims.session_id)
    return len(ended)


def as_list(jsonb: str | None) -> list[dict[str, Any]]:
    """jsonb as asyncpg gives it, as a list; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else []
    return decoded if isinstance(decoded, list) else []


def as_object(jsonb: str | None) -> dict[str, Any]:
    """jsonb as asyncpg gives it, as a dict; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else {}
    return decoded if isinstance(decoded, dict) else {}
