"""Erasure of a person's data, and the proof that exports and erasures require. docs/privacy.md"""

from __future__ import annotations

from functools import partial
from uuid import UUID

import asyncpg
import structlog

from db.claims import SERVICE, Claims, service_for
from db.session import Session
from domain.callers import Caller
from domain.errors import Forbidden, Invalid, InvalidCredentials, Unauthenticated
from resolvers import accounts, sessions
from resolvers.profiles import require_subject
from services.services import Services

log = structlog.get_logger("aclue.privacy")


async def note_request(session: Session, kind: str) -> asyncpg.Record:
    """Stores the request as the person; returns its id and `created_at`. Raises Forbidden if a second factor exists but
    was not used, which row level security checks (sql/policies/privacy_requests.sql)."""
    try:
        (noted,) = await session.fetch("privacy.request", kind=kind)
    except asyncpg.InsufficientPrivilegeError:
        raise Forbidden("This needs your second factor: sign in with it, then ask again.") from None
    return noted


async def is_anonymous(services: Services, claims: Claims, user: UUID) -> bool:
    """Whether token and profile agree that the person is anonymous: after signing up, an old token stands for an
    account. Raises Unauthenticated if the person was deleted."""
    async with services.database.session(SERVICE, read_only=True) as session:
        person = await session.fetchrow("privacy.person", user_id=user)
    if person is None:
        raise Unauthenticated("The person of this token no longer exists.")
    return claims.is_anonymous and bool(person["is_anonymous"])


async def require_proof(
    services: Services, caller: Caller, claims: Claims, user: UUID, *, password: str | None, refresh_token: str | None
) -> None:
    """Requires more than an access token, which may be stolen: a recent sign-in or the password of an account, the
    current refresh token of an anonymous session. Raises Unauthenticated, InvalidCredentials, Unavailable or
    RateLimited."""
    await sessions.refuse_ended(services, claims)
    if await is_anonymous(services, claims, user):
        await _require_refresh_token(services, user, refresh_token)
    else:
        await accounts.require_recent_sign_in(services, caller, claims, user, password)


async def _require_refresh_token(services: Services, user: UUID, refresh_token: str | None) -> None:
    path = ("refreshToken",)
    if refresh_token is None:
        raise InvalidCredentials("Send the refresh token of this session as `refreshToken`.", path)
    token = services.refresh_tokens.read(refresh_token)
    async with services.database.session(SERVICE, read_only=False) as session:
        known = None if token is None else await sessions.present(session, services, token)
    if known is None or not known["is_live"] or known["user_id"] != user:
        raise InvalidCredentials("The refresh token is not valid.", path)


async def erase(
    session: Session,
    services: Services,
    caller: Caller,
    *,
    password: str | None,
    refresh_token: str | None,
    confirm: bool,
) -> bool:
    """Deletes the caller with all their data; returns whether the log-in was deleted, too (it may be another
    service's).

    Raises Invalid, InvalidCredentials, Unavailable, Forbidden, RateLimited or Unauthenticated.
    """
    user = require_subject(session)
    if not confirm:
        raise Invalid("Set `confirm` to true: a deleted account cannot be restored.", ("confirm",))
    await require_proof(services, caller, session.claims, user, password=password, refresh_token=refresh_token)
    await note_request(session, "erasure")
    await session.switch_claims(service_for(user))  # the person is named in the audit log
    # A backup may contain an anonymous session of the person from before it was merged into the account.
    merged = await session.fetch("privacy.merged_sessions", user_id=user)
    subject_hashes = [services.tombstones.of(person) for person in (user, *(row["id"] for row in merged))]
    is_log_in_deleted: bool = await session.fetchval("privacy.erase", user_id=user, subject_hashes=subject_hashes)
    # Logs are stored apart from the database: lost tombstones can be restored from these lines.
    for subject_hash in subject_hashes:
        session.after_commit(partial(log.info, "person erased", subject_hash=subject_hash.hex()))
    return is_log_in_deleted
