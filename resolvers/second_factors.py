"""Second factors: codes of an authenticator app (TOTP, RFC 6238). Secrets are encrypted before they are stored."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import msgspec
import pyotp
import structlog
from pyotp.exceptions import OTPVerificationError

from db.claims import SERVICE, Claims
from db.session import Session
from domain.callers import Caller
from domain.errors import (
    Conflict,
    Invalid,
    InvalidCredentials,
    LimitReached,
    NotFound,
    SecondFactorRequired,
    Unauthenticated,
)
from domain.refresh_tokens import pair_id
from domain.texts import require_no_nul
from resolvers import accounts, sessions
from resolvers.sessions import SignedIn
from services import attempts
from services.services import Services

log = structlog.get_logger("aclue.accounts")

ISSUER = "Aclue"
MAX_FACTORS = 10
MAX_FACTOR_NAME = 100
RECOVERY_CODES = 10
WINDOW = 1  # steps of 30 seconds that a clock may be off, in either direction


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A new factor; its secret is shown only once."""

    factor_id: UUID
    secret: str = field(repr=False)
    uri: str = field(repr=False)


async def listed(session: Session, user_id: UUID) -> list[asyncpg.Record]:
    """A person's factors, oldest first."""
    return await session.fetch("second_factors.of_person", user_id=user_id, maximum=MAX_FACTORS)


async def enrol(
    services: Services, caller: Caller, claims: Claims, name: str | None, password: str | None
) -> Enrolment:
    """Enrols a factor, which its first code verifies; replaces one that was never verified. With a verified factor, the
    session must have shown one. Raises Invalid, LimitReached, Conflict before the e-mail is verified, and what
    require_account and require_recent_sign_in raise."""
    account = await accounts.require_account(services, claims, second_factor=True)
    # An attacker's factor would lock the person out, and verifying it would turn an access token into a refresh token.
    await accounts.require_recent_sign_in(services, caller, claims, account, password)
    require_no_nul(name, ("name",))
    normalised_name = " ".join((name or "").split()) or None
    if normalised_name and len(normalised_name) > MAX_FACTOR_NAME:
        raise Invalid(f"A name has at most {MAX_FACTOR_NAME} characters.", ("name",))
    secret = pyotp.random_base32()
    sealed = base64.b64encode(services.factor_sealer.seal(secret, str(account))).decode()
    async with services.database.session(SERVICE, read_only=False) as session:
        email = await _verified_email(session, account)
        factor_id: UUID | None = await session.fetchval(
            "second_factors.enrol", user_id=account, name=normalised_name, secret=sealed, maximum=MAX_FACTORS
        )
    if factor_id is None:
        raise LimitReached(f"An account has at most {MAX_FACTORS} second factors; remove one first.")
    return Enrolment(factor_id, secret, pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER))


async def _verified_email(session: Session, account: UUID) -> str:
    """Raises Conflict if the e-mail is not verified: a second factor would lock its owner out. `session` is
    service_role's."""
    known = await session.fetchrow("accounts.by_id", id=account)
    if known is None or known["email_confirmed_at"] is None:
        raise Conflict("Verify your e-mail first: requestEmailVerification sends the mail.")
    email: str = known["email"]
    return email


async def verify(services: Services, caller: Caller, claims: Claims, *, factor_id: UUID | None, code: str) -> SignedIn:
    """Checks a code, which verifies a new factor and raises the session to aal2. A code works once. Raises
    InvalidCredentials, NotFound, SecondFactorRequired, RateLimited, Conflict for a new factor with an e-mail that is
    not verified, and what require_account raises."""
    account = await _count_code(services, caller, claims)
    async with services.database.session(SERVICE, read_only=True) as reading:
        factor = await reading.fetchrow("second_factors.by_id", user_id=account, id=factor_id)
        if factor is None:
            raise NotFound("There is no such factor.", ("factorId",))
        if not factor["is_verified"]:
            await _verified_email(reading, account)
    if not factor["is_verified"]:
        await accounts.require_account(services, claims, second_factor=True)
    step = _step_of(services, str(account), factor["secret"], code)
    async with services.database.session(SERVICE, read_only=False) as session:
        if step is None or not await session.fetchval(
            "second_factors.use", user_id=account, id=factor_id, step=step, is_aal2=claims.aal == "aal2"
        ):
            raise InvalidCredentials("The code is wrong, or was used before.", ("code",))
        return await _raise(session, services, caller, claims, "totp")


async def _raise(session: Session, services: Services, caller: Caller, claims: Claims, method: str) -> SignedIn:
    """Raises the caller's session to aal2, with new tokens. Raises Unauthenticated if it has ended."""
    known = await sessions.of_token(session, services, claims.session_id)
    if known is None or known["user_id"] != claims.subject or known["is_revoked"] or known["is_expired"]:
        raise Unauthenticated("The session of this token has ended: sign in again.")
    await attempts.forgive(session, services, caller, _target(services, known["user_id"]), claims)
    amr = [entry for entry in sessions.as_list(known["amr"]) if entry.get("method") != method]
    await session.fetch(
        "sessions.prove",
        user_id=claims.subject,
        session_id=claims.session_id,
        aal="aal2",
        amr=msgspec.json.encode([*amr, sessions.proof(method)]).decode(),
    )
    proved = await sessions.of_token(session, services, claims.session_id)
    assert proved is not None
    # Spends the refresh token that was issued with this access token, without grace; those of other tabs stay.
    pair = msgspec.json.decode(claims.raw).get("jti")
    old = next((live for live in proved["live_hashes"] if pair_id(live) == pair), None)
    return await sessions.exchange(session, services, proved, old, is_aal2=True, has_grace=False)


def _target(services: Services, account: UUID) -> attempts.Target:
    return attempts.guesses("code", str(account), services.settings.code_attempts, id=account)


async def _count_code(services: Services, caller: Caller, claims: Claims) -> UUID:
    """The target of attempts, which codes of all kinds share."""
    account = await accounts.require_account(services, claims)
    if claims.session_id is None:
        raise Unauthenticated("This token has no session: sign in first.")
    await attempts.count(services, caller, _target(services, account), services.settings.code_attempts, claims)
    return account


def _step_of(services: Services, subject: str, sealed: str | None, code: str) -> int | None:
    """The time step of a code; None for a wrong one."""
    secret = services.factor_sealer.open(base64.b64decode(sealed or ""), subject)
    if secret is None:
        log.error("a second factor was encrypted with another secret: see ENCRYPTION_SECRET", user_id=subject)
        return None
    digits = code.replace(" ", "")
    if not re.fullmatch("[0-9]{6}", digits):
        return None
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(digits, valid_window=WINDOW)
    except OTPVerificationError:
        return None


async def remove(services: Services, claims: Claims, factor_id: UUID | None) -> UUID:
    """Removes a factor; unless it was never verified, the session must have shown one. Removing the last one lowers all
    sessions to aal1. Raises NotFound, SecondFactorRequired, and what require_account raises."""
    account = await accounts.require_account(services, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        if factor_id is None or not await session.fetchrow("second_factors.by_id", user_id=account, id=factor_id):
            raise NotFound("There is no such factor.", ("factorId",))
        if not await session.fetchval(
            "second_factors.remove", user_id=account, id=factor_id, is_aal2=claims.aal == "aal2"
        ):
            raise SecondFactorRequired("Show the second factor first.")
        await session.fetch("sessions.lower", user_id=account)
    return account


async def create_recovery_codes(services: Services, claims: Claims) -> list[str]:
    """Generates recovery codes, each of which replaces a lost factor once, and voids earlier ones. Raises Conflict
    without a verified factor, and what require_account raises."""
    account = await accounts.require_account(services, claims, second_factor=True)
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    async with services.database.session(SERVICE, read_only=False) as session:
        if not await session.fetchval(
            "second_factors.replace_recovery_codes",
            user_id=account,
            hashes=[_hash_of_recovery_code(account, code) for code in codes],
        ):
            raise Conflict("Recovery codes need a verified second factor.")
    return codes


def _new_recovery_code() -> str:
    """80 random bits, too many for guessing the preimage of a hash."""
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[i : i + 4] for i in range(0, 16, 4))


def _hash_of_recovery_code(account: UUID, code: str) -> bytes:
    normalised_code = code.lower().replace("-", "").replace(" ", "")
    return hashlib.sha256(account.bytes + normalised_code.encode("utf-8", "surrogatepass")).digest()


async def recover(services: Services, caller: Caller, claims: Claims, code: str) -> SignedIn:
    """Checks a recovery code and raises the session to aal2. Raises InvalidCredentials, RateLimited, Unauthenticated,
    and what require_account raises."""
    account = await _count_code(services, caller, claims)
    async with services.database.session(SERVICE, read_only=False) as session:
        if not await session.fetchval(
            "second_factors.use_recovery_code", user_id=account, hash=_hash_of_recovery_code(account, code)
        ):
            raise InvalidCredentials("The code is wrong, or was used before.", ("code",))
        return await _raise(session, services, caller, claims, "recovery_code")
