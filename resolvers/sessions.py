"""Sessions: a short access token and a refresh token that changes with every use. Only its hash is stored.

A refresh token that is presented again within REFRESH_GRACE (by a second tab, or after an answer that was lost) gives
another pair. So the tokens of a session are a tree with several live leaves; each may be exchanged, and what is neither
live nor within its grace was stolen from somebody or by somebody: presented, it ends the session.
"""

from __future__ import annotations

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
from domain.callers import Caller
from domain.errors import InvalidCredentials, NotFound, RateLimited, SecondFactorRequired, Unauthenticated
from domain.networks import ranges
from domain.refresh_tokens import NONCE_BYTES, RefreshToken, pair_id
from domain.texts import require_no_nul
from services import attempts
from services.services import Services

# Live refresh tokens of a session, and pairs that it may give while a token that gave one may still be presented again.
MAX_PAIRS = 100
SECOND_FACTORS = ("totp", "recovery_code")


@dataclass(frozen=True, slots=True)
class Visit:
    """Where somebody came from; each text is cut to 500 characters."""

    landing_page: str | None = None
    referrer: str | None = None
    device_type: str | None = None
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh pair of tokens and whom they stand for."""

    claims: Claims
    access_token: str
    refresh_token: str
    expires_at: datetime


def _new_refresh_token(services: Services, session_id: UUID, *, is_aal2: bool = False) -> RefreshToken:
    return services.refresh_tokens.make(session_id, is_aal2=is_aal2, nonce=secrets.token_bytes(NONCE_BYTES))


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
    """A new session of a person; `session` is service_role's. It keeps hashes of the network it began in, whatever
    networks refresh it later: what a person's signals count for others depends on where they came from first."""
    session_id: UUID = await session.fetchval("sessions.new_id")
    refresh_token = _new_refresh_token(services, session_id)
    amr = [proof(method)]
    is_verified: bool = await session.fetchval(
        "sessions.open",
        user_id=user_id,
        session_id=session_id,
        refresh_token_hash=refresh_token.hash,
        lifetime_seconds=float(services.settings.refresh_token_lifetime),
        user_agent=caller.user_agent,
        networks=_network_hashes(services, caller),
        amr=msgspec.json.encode(amr).decode(),
    )
    access_token, claims = services.tokens.issue(
        user_id,
        role="anon" if is_anonymous else "authenticated",
        session_id=session_id,
        is_anonymous=is_anonymous,
        email=email,
        email_verified=is_verified,
        app_metadata=app_metadata,
        amr=amr,
        pair=pair_id(refresh_token.hash),
    )
    return _signed_in(access_token, claims, refresh_token)


def _network_hashes(services: Services, caller: Caller) -> list[bytes] | None:
    """Of the household, the site and the range; None where the address is unknown, as over a Unix socket."""
    now = time.time()
    return [services.network_pseudonyms.of(name, now) for name in ranges(caller.address)] or None


def proof(method: str) -> dict[str, Any]:
    """An entry of `amr`: how somebody proves who they are, now."""
    return {"method": method, "timestamp": int(time.time())}


def _signed_in(access_token: str, claims: Claims, refresh_token: RefreshToken) -> SignedIn:
    assert claims.expires_at is not None
    return SignedIn(claims, access_token, refresh_token.text, datetime.fromtimestamp(claims.expires_at, UTC))


async def exchange(
    session: Session, services: Services, known: asyncpg.Record, old: bytes | None, *, is_aal2: bool, has_grace: bool
) -> SignedIn:
    """A new pair of tokens of a live session, which says of the person what holds now; the refresh token with the hash
    `old` is spent, after a grace or at once. `known` is sessions.of_token, `session` is service_role's."""
    user_id, session_id = known["user_id"], known["id"]
    # One tab showed a second factor: tokens that another had before that say nothing of it.
    is_aal2 = is_aal2 and known["aal"] == "aal2"
    metadata = None
    if not known["is_anonymous"]:
        metadata = app_metadata(await session.fetchrow("accounts.app_metadata", id=user_id), is_aal2=is_aal2)
    amr = [entry for entry in as_list(known["amr"]) if is_aal2 or entry.get("method") not in SECOND_FACTORS]
    new_token = _new_refresh_token(services, session_id, is_aal2=is_aal2)
    await session.fetch(
        "sessions.rotate",
        user_id=user_id,
        session_id=session_id,
        old_hash=old,
        new_hash=new_token.hash,
        has_grace=has_grace,
        grace_seconds=float(services.settings.refresh_grace),
        lifetime_seconds=float(services.settings.refresh_token_lifetime),
        most=MAX_PAIRS,
    )
    access_token, claims = services.tokens.issue(
        user_id,
        role="anon" if known["is_anonymous"] else "authenticated",
        session_id=session_id,
        is_anonymous=known["is_anonymous"],
        email=known["email"],
        email_verified=known["is_verified"],
        app_metadata=metadata,
        aal="aal2" if is_aal2 else "aal1",
        amr=amr,
        pair=pair_id(new_token.hash),
    )
    return _signed_in(access_token, claims, new_token)


async def start(services: Services, caller: Caller, visit: Visit) -> SignedIn:
    """An anonymous profile with a session of its own. Raises Invalid for a NUL, or RateLimited."""
    noted = (
        ("landing_page", "landingPage", visit.landing_page),
        ("referrer", "referrer", visit.referrer),
        ("device_type", "deviceType", visit.device_type),
        ("campaign", "campaign", visit.campaign),
    )
    for _, field, text in noted:
        require_no_nul(text, (field,))
    await attempts.count_network(services, caller, "start", services.settings.start_session_attempts)
    async with services.database.session(SERVICE, read_only=False) as session:
        profile: UUID = await session.fetchval("sessions.create_anonymous_profile")
        signed_in = await open_session(session, services, caller, profile, is_anonymous=True, method="anonymous")
        await session.fetch(
            "sessions.note_visit",
            user_id=profile,
            session_id=signed_in.claims.session_id,
            **{column: text and text[:500] for column, _, text in noted},
        )
    return signed_in


async def present(session: Session, services: Services, token: RefreshToken) -> asyncpg.Record | None:
    """The session of a refresh token, locked; None where the token is good for nothing. One that was exchanged before,
    longer ago than REFRESH_GRACE, revokes its whole session: either the caller or somebody before it has stolen it.
    `session` is service_role's and must commit."""
    known = await of_token(session, services, token.session_id, token.hash)
    if known is None or known["is_revoked"] or known["is_expired"]:
        return None
    if known["is_live"] or known["is_repeatable"]:
        return known
    if token.is_ours or known["is_rotated"]:
        await session.fetch("sessions.revoke", user_id=known["user_id"], session_id=known["id"])
    return None


async def of_token(
    session: Session, services: Services, session_id: UUID | None, token_hash: bytes | None = None
) -> asyncpg.Record | None:
    """sessions.of_token: a session, locked, and what a refresh token with this hash is good for."""
    grace = float(services.settings.refresh_grace)
    return await session.fetchrow(
        "sessions.of_token", session_id=session_id, token_hash=token_hash, grace_seconds=grace
    )


async def refresh(services: Services, refresh_token: str) -> SignedIn:
    """Exchanges a refresh token for a new pair, as often as it is presented within REFRESH_GRACE; see `present`. Raises
    InvalidCredentials, and RateLimited for a session that has given MAX_PAIRS pairs in that time."""
    token = services.refresh_tokens.read(refresh_token)
    if token is not None:
        async with services.database.session(SERVICE, read_only=False) as session:
            known = await present(session, services, token)
            if known is not None:
                if known["pairs"] >= MAX_PAIRS:
                    raise RateLimited("This session refreshes too often.", retry_after=services.settings.refresh_grace)
                return await exchange(session, services, known, token.hash, is_aal2=token.is_aal2, has_grace=True)
    raise InvalidCredentials("The refresh token is not valid.", ("refreshToken",))


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


async def require_second_factor(session: Session, claims: Claims) -> None:
    """Where the person has a second factor this session must have shown it. Raises SecondFactorRequired. `session` is
    service_role's."""
    if claims.aal != "aal2" and await session.fetchval("second_factors.is_on", user_id=claims.subject):
        raise SecondFactorRequired("Show the second factor first.")


async def refuse_ended(services: Services, claims: Claims) -> None:
    """The same where another service may keep the sessions: refuses those of ours that have ended."""
    if await has_ended(services, claims):
        raise Unauthenticated("The session of this token has ended: sign in again.")


async def has_ended(services: Services, claims: Claims) -> bool | None:
    """Whether the session of a token is over; None where we have no such session: it was deleted, or another service
    keeps it, or the token names none."""
    if claims.session_id is None:
        return None
    async with services.database.session(SERVICE, read_only=True) as session:
        ended: bool | None = await session.fetchval(
            "sessions.has_ended", user_id=claims.subject, session_id=claims.session_id
        )
        return ended


async def revoke(services: Services, claims: Claims, session_id: UUID | None) -> UUID:
    """Ends one of the caller's sessions; harmless to repeat. Another one than this needs the second factor, where there
    is one. Raises NotFound, SecondFactorRequired or Unauthenticated."""
    await refuse_ended(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        if session_id is None or session_id != claims.session_id:
            await require_second_factor(session, claims)
        if session_id is None or not await session.fetchval(
            "sessions.is_own", user_id=claims.subject, session_id=session_id
        ):
            raise NotFound("There is no such session.", ("sessionId",))
        await session.fetch("sessions.revoke", user_id=claims.subject, session_id=session_id)
    return session_id


async def revoke_others(services: Services, claims: Claims) -> int:
    """Ends all the caller's sessions but the one of this token; how many there were. Raises SecondFactorRequired or
    Unauthenticated."""
    await refuse_ended(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        await require_second_factor(session, claims)
        ended = await session.fetch("sessions.revoke_others", user_id=claims.subject, session_id=claims.session_id)
    return sum(row["was_live"] for row in ended)


def app_metadata(account: asyncpg.Record | None, *, is_aal2: bool) -> dict[str, Any]:
    """What a token says of an account: its role only once a second factor was shown, where there is one.
    private.app_role() sees to tokens of before there was one, and of another issuer."""
    if account is None:
        return {}
    metadata = as_object(account["app_metadata"])
    if account["has_factor"] and not is_aal2:
        metadata.pop("role", None)
    return metadata


def as_list(jsonb: str | None) -> list[dict[str, Any]]:
    """jsonb as asyncpg gives it, as a list; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else []
    return decoded if isinstance(decoded, list) else []


def as_object(jsonb: str | None) -> dict[str, Any]:
    """jsonb as asyncpg gives it, as a dict; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else {}
    return decoded if isinstance(decoded, dict) else {}
