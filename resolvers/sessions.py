"""Sessions: a short-lived access token, and a refresh token that is rotated on every use. Only its hash is stored.

A refresh token that is presented again within REFRESH_GRACE (by a second tab, or after a lost response) gives another
pair. So the tokens of a session form a tree with several live leaves, each of which can be exchanged. A token that is
neither live nor within its grace period has been stolen: presenting it ends the session.
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
from domain.campaigns import tags_of
from domain.devices import class_of
from domain.errors import InvalidCredentials, NotFound, RateLimited, SecondFactorRequired, Unauthenticated
from domain.networks import ranges
from domain.refresh_tokens import NONCE_BYTES, RefreshToken, pair_id
from domain.texts import require_no_nul
from services import attempts
from services.services import Services

# Live refresh tokens of a session, and pairs that it may issue within REFRESH_GRACE.
MAX_PAIRS = 100
SECOND_FACTORS = ("totp", "recovery_code")


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a visitor came from; each text is truncated to 500 characters."""

    landing_page: str | None = None
    referrer: str | None = None
    device_type: str | None = None
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new pair of tokens and their claims."""

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
    """Opens a session for a person; `session` is service_role's. It stores hashes of the networks it was opened from,
    whatever networks refresh it later: the weight of a person's signals for others depends on where they first came
    from."""
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
    """Hashes of household, site and range; None if the address is unknown, as over a Unix socket."""
    now = time.time()
    return [services.network_pseudonyms.of(name, now) for name in ranges(caller.address)] or None


def proof(method: str) -> dict[str, Any]:
    """An entry of `amr`: a method of authentication, used now."""
    return {"method": method, "timestamp": int(time.time())}


def _signed_in(access_token: str, claims: Claims, refresh_token: RefreshToken) -> SignedIn:
    assert claims.expires_at is not None
    return SignedIn(claims, access_token, refresh_token.text, datetime.fromtimestamp(claims.expires_at, UTC))


async def exchange(
    session: Session, services: Services, known: asyncpg.Record, old: bytes | None, *, is_aal2: bool, has_grace: bool
) -> SignedIn:
    """Issues a new pair of tokens for a live session, with the person's current claims; the refresh token with the hash
    `old` is spent, after the grace period or at once. `known` is a row of sessions.of_token, `session` is
    service_role's."""
    user_id, session_id = known["user_id"], known["id"]
    # A second factor counts for the tab that showed it, not for tokens that another tab has from before.
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
        maximum=MAX_PAIRS,
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


async def start(services: Services, caller: Caller, visit: Landing) -> SignedIn:
    """Creates an anonymous profile with a session. Raises Invalid for a NUL, or RateLimited."""
    noted = (
        ("landing_page", "landingPage", visit.landing_page),
        ("referrer", "referrer", visit.referrer),
        ("device_type", "deviceType", visit.device_type),
        ("campaign", "campaign", visit.campaign),
    )
    for _, field, text in noted:
        require_no_nul(text, (field,))
    await attempts.count_network(services, caller, "start", services.settings.start_session_attempts)
    tags = tags_of(visit.landing_page)
    columns = {
        **{column: text for column, _, text in noted},
        "campaign": visit.campaign or tags.campaign,
        "utm_source": tags.source,
        "utm_medium": tags.medium,
        "device_class": class_of(visit.device_type, caller.user_agent),
    }
    async with services.database.session(SERVICE, read_only=False) as session:
        profile: UUID = await session.fetchval("sessions.create_anonymous_profile")
        signed_in = await open_session(session, services, caller, profile, is_anonymous=True, method="anonymous")
        await session.fetch(
            "sessions.note_visit",
            user_id=profile,
            session_id=signed_in.claims.session_id,
            **{column: text and text[:500] for column, text in columns.items()},
        )
    return signed_in


async def present(session: Session, services: Services, token: RefreshToken) -> asyncpg.Record | None:
    """The session of a refresh token, locked; None if the token is not valid. A token that was exchanged more than
    REFRESH_GRACE ago revokes the whole session: it has been stolen, either by this caller or by the one before.
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
    """Runs sessions.of_token: the session, locked, with the state of the refresh token with this hash."""
    grace = float(services.settings.refresh_grace)
    return await session.fetchrow(
        "sessions.of_token", session_id=session_id, token_hash=token_hash, grace_seconds=grace
    )


async def refresh(services: Services, refresh_token: str) -> SignedIn:
    """Exchanges a refresh token for a new pair, repeatedly within REFRESH_GRACE; see `present`. Raises
    InvalidCredentials, and RateLimited if the session has issued MAX_PAIRS pairs in that time."""
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
    """Revokes the session of the access token; False if it had ended already or the token has none."""
    if claims.subject is None or claims.session_id is None:
        return False
    async with services.database.session(SERVICE, read_only=False) as session:
        revoked = await session.fetchval("sessions.revoke", user_id=claims.subject, session_id=claims.session_id)
    return revoked is not None


async def require_live(session: Session, claims: Claims) -> None:
    """Refuses tokens of ended sessions: an access token outlives its session by some minutes, and must not change the
    account then. A token without a session (from the command line) passes. Raises Unauthenticated. `session` is
    service_role's."""
    if claims.session_id is not None and not await session.fetchval(
        "sessions.is_live", user_id=claims.subject, session_id=claims.session_id
    ):
        raise Unauthenticated("The session of this token has ended: sign in again.")


async def require_second_factor(session: Session, claims: Claims) -> None:
    """Raises SecondFactorRequired if the person has a second factor that this session has not shown. `session` is
    service_role's."""
    if claims.aal != "aal2" and await session.fetchval("second_factors.is_on", user_id=claims.subject):
        raise SecondFactorRequired("Show the second factor first.")


async def refuse_ended(services: Services, claims: Claims) -> None:
    """Like `require_live`, but lets sessions pass that another service keeps. Raises Unauthenticated."""
    if await has_ended(services, claims):
        raise Unauthenticated("The session of this token has ended: sign in again.")


async def has_ended(services: Services, claims: Claims) -> bool | None:
    """Whether the session of a token has ended; None if it is not in our table: it was deleted, another service keeps
    it, or the token has none."""
    if claims.session_id is None:
        return None
    async with services.database.session(SERVICE, read_only=True) as session:
        ended: bool | None = await session.fetchval(
            "sessions.has_ended", user_id=claims.subject, session_id=claims.session_id
        )
        return ended


async def revoke(services: Services, claims: Claims, session_id: UUID | None) -> UUID:
    """Ends one of the caller's sessions; idempotent. Ending a session other than the current one needs the second
    factor, if the person has one. Raises NotFound, SecondFactorRequired or Unauthenticated."""
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
    """Ends all sessions of the caller but the current one; returns how many. Raises SecondFactorRequired or
    Unauthenticated."""
    await refuse_ended(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        await require_second_factor(session, claims)
        ended = await session.fetch("sessions.revoke_others", user_id=claims.subject, session_id=claims.session_id)
    return sum(row["was_live"] for row in ended)


def app_metadata(account: asyncpg.Record | None, *, is_aal2: bool) -> dict[str, Any]:
    """The app_metadata for an account's token. If the account has a second factor, the role is included only once it
    was shown; private.app_role() checks tokens that are older than the factor, or of another issuer."""
    if account is None:
        return {}
    metadata = as_object(account["app_metadata"])
    if account["has_factor"] and not is_aal2:
        metadata.pop("role", None)
    return metadata


def as_list(jsonb: str | None) -> list[dict[str, Any]]:
    """Decodes asyncpg's text of a jsonb list; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else []
    return decoded if isinstance(decoded, list) else []


def as_object(jsonb: str | None) -> dict[str, Any]:
    """Decodes asyncpg's text of a jsonb object; empty for null."""
    decoded = msgspec.json.decode(jsonb) if jsonb else {}
    return decoded if isinstance(decoded, dict) else {}
