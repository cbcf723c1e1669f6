"""Accounts with e-mail and password, if the auth schema is ours. On Supabase its own service manages them."""

from __future__ import annotations

import time
from typing import NoReturn
from uuid import UUID

from db.claims import ANONYMOUS, SERVICE, Claims
from db.session import Session
from domain import emails, passwords
from domain.callers import Caller
from domain.emails import Email
from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    InvalidCredentials,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers import profiles, sessions
from resolvers.sessions import SignedIn
from services import attempts, outbox
from services.services import Services

RECENT_SECONDS = 10 * 60
CLOCK_SKEW_SECONDS = 60


async def require_ours(services: Services) -> None:
    """Raises Unavailable if another service manages the accounts."""
    async with services.database.session(SERVICE, read_only=True) as session:
        await _require_ours(session)


async def _require_ours(session: Session) -> None:
    if not await session.fetchval("accounts.are_ours"):
        raise Unavailable("Accounts are managed by the project's own sign-in service, not here.")


async def require_account(services: Services, claims: Claims, *, second_factor: bool = False) -> UUID:
    """The account of the caller, whose session must not have ended, and with `second_factor` must have shown the second
    factor, if there is one. Raises Unauthenticated, Forbidden, Unavailable or SecondFactorRequired."""
    if claims.subject is None:
        raise Unauthenticated("This needs an access token: sign in.")
    if claims.role != "authenticated" or claims.is_anonymous:
        raise Forbidden("This needs an account.")
    async with services.database.session(SERVICE, read_only=True) as session:
        await _require_ours(session)
        await sessions.require_live(session, claims)
        if second_factor:
            await sessions.require_second_factor(session, claims)
    return claims.subject


def check_new_password(password: str, name: str) -> None:
    """Raises Invalid, naming the field, for a password that is too short or too long."""
    if not passwords.fits(password):
        raise Invalid(f"A password has {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters.", (name,))


async def sign_up(
    services: Services, caller: Caller, *, email: str, password: str, display_name: str | None
) -> SignedIn:
    """Creates an account and signs it in. Raises Invalid, Conflict (e-mail taken), RateLimited or Unavailable."""
    await require_ours(services)
    known = emails.parse(email)
    if known is None:
        raise Invalid("This is not an e-mail address.", ("email",))
    check_new_password(password, "password")
    name = profiles.display_name(display_name)
    await attempts.count_network(services, caller, "sign-up", services.settings.sign_up_attempts)
    may_have_mail = await _may_have_mail(services, caller, known)
    password_hash = await services.passwords.hash(password, caller.address)
    async with services.database.session(SERVICE, read_only=False) as session:
        account = await session.fetchval(
            "accounts.create",
            email=known.address,
            canonical=known.canonical,
            spellings=known.spellings,
            password_hash=password_hash,
            display_name=name,
        )
        if account is None:
            raise Conflict("There is an account with this e-mail already.", ("email",))
        if may_have_mail:
            await outbox.queue_token(session, services, outbox.VERIFY_EMAIL, known.address)
        return await sessions.open_session(
            session, services, caller, account, is_anonymous=False, method="password", email=known.address
        )


async def _may_have_mail(services: Services, caller: Caller, email: Email) -> bool:
    """Whether an address that may have been signed up repeatedly can be sent another mail."""
    try:
        await count_mail(services, caller, "sign-up e-mail", email.canonical)
    except RateLimited:
        return False
    return True


async def count_mail(services: Services, caller: Caller, kind: str, canonical: str) -> None:
    """Counts a verification mail; sub-addresses count as one mailbox. Nobody is recognised as the owner of the address,
    as that is what the mail is to prove. Raises RateLimited."""
    limit = services.settings.mail_attempts
    await attempts.count(services, caller, attempts.mails(kind, emails.without_tag(canonical), limit), limit)


async def sign_in(
    services: Services, caller: Caller, *, email: str, password: str, claims: Claims = ANONYMOUS
) -> SignedIn:
    """Signs in. `claims` are those of the request, from which a device that is already signed in is recognised. Raises
    InvalidCredentials, without distinguishing an unknown e-mail from a wrong password; RateLimited or Unavailable. Only
    failures count towards the limit of an e-mail."""
    await require_ours(services)
    address = emails.parse(email)
    known_as = address.canonical if address else email[: emails.MAX_LENGTH]
    limit = services.settings.sign_in_attempts
    await attempts.count_network(services, caller, "sign-in address", limit * 10)
    target = attempts.guesses("sign-in e-mail", known_as, limit, email=address)
    await attempts.count(services, caller, target, limit, claims)
    async with services.database.session(SERVICE, read_only=True) as session:
        known = await session.fetchrow(
            "accounts.by_email",
            canonical=address.canonical if address else None,
            spellings=address.spellings if address else (),
        )
    # No connection is held while the hash is computed.
    password_hash = await services.passwords.verify(known["password_hash"] if known else None, password, caller.address)
    if known is None or password_hash is None:
        _refuse()
    async with services.database.session(SERVICE, read_only=False) as session:
        if not await session.fetchval("accounts.enter", id=known["id"], known_hash=known["password_hash"]):
            _refuse()
        await _renew(session, known["id"], known["password_hash"], password_hash)
        await attempts.forgive(session, services, caller, target, claims)
        return await sessions.open_session(
            session,
            services,
            caller,
            known["id"],
            is_anonymous=False,
            method="password",
            email=known["email"],
            app_metadata=sessions.app_metadata(known, is_aal2=False),
        )


async def _renew(session: Session, account: UUID, known_hash: str, password_hash: str) -> None:
    """Stores the hash that Passwords.verify() returned. `session` is service_role's."""
    if password_hash != known_hash:
        await session.fetch("accounts.replace_password_hash", id=account, known_hash=known_hash, new_hash=password_hash)


def _refuse() -> NoReturn:
    raise InvalidCredentials("The e-mail or the password is wrong.")


async def check_password(
    services: Services, caller: Caller, claims: Claims, user_id: UUID, password: str
) -> str | None:
    """The hash of an account's password if this is the password, else None. Raises RateLimited after too many
    failures."""
    limit = services.settings.sign_in_attempts
    target = attempts.guesses("password", str(user_id), limit, id=user_id)
    await attempts.count(services, caller, target, limit, claims)
    async with services.database.session(SERVICE, read_only=True) as session:
        known = await session.fetchrow("accounts.by_id", id=user_id)
    password_hash = await services.passwords.verify(known["password_hash"] if known else None, password, caller.address)
    if known is not None and password_hash is not None:
        async with services.database.session(SERVICE, read_only=False) as session:
            await _renew(session, user_id, known["password_hash"], password_hash)
            await attempts.forgive(session, services, caller, target, claims)
    return password_hash


async def require_recent_sign_in(
    services: Services, caller: Caller, claims: Claims, user_id: UUID, password: str | None
) -> None:
    """Guards what a stolen access token must not allow: requires the password, or a recent sign-in. Raises
    InvalidCredentials, RateLimited or Unavailable."""
    if signed_in_recently(claims, time.time()):
        return
    if password is None:
        raise InvalidCredentials("Give your password, or sign in again and retry within 10 minutes.", ("password",))
    try:
        await require_ours(services)
    except Unavailable:
        elsewhere = "Passwords are managed by another service: sign in again and retry within 10 minutes."
        raise Unavailable(elsewhere, ("password",)) from None
    if await check_password(services, caller, claims, user_id, password) is None:
        raise InvalidCredentials("The password is wrong.", ("password",))


def signed_in_recently(claims: Claims, now: float) -> bool:
    """Whether the person signed in within the last 10 minutes; refreshing a session is not a sign-in."""
    at = claims.signed_in_at
    return at is not None and -CLOCK_SKEW_SECONDS <= now - at <= RECENT_SECONDS


async def change_password(services: Services, caller: Caller, claims: Claims, *, current: str, new: str) -> UUID:
    """Ends every other session of the person. Raises InvalidCredentials, Invalid, RateLimited, and what
    require_account raises."""
    account = await require_account(services, claims, second_factor=True)
    check_new_password(new, "newPassword")
    wrong = InvalidCredentials("The password is wrong.", ("currentPassword",))
    known_hash = await check_password(services, caller, claims, account, current)
    if known_hash is None:
        raise wrong
    password_hash = await services.passwords.hash(new, caller.address)
    async with services.database.session(SERVICE, read_only=False) as session:
        if not await session.fetchval(
            "accounts.replace_password_hash", id=account, known_hash=known_hash, new_hash=password_hash
        ):
            raise wrong
        await store_password(session, account, password_hash, spared=claims.session_id)
    return account


async def store_password(session: Session, account: UUID, password_hash: str, *, spared: UUID | None) -> None:
    """Sets a new password, ends all sessions but the spared one, and notifies the person by mail. `session` is
    service_role's."""
    await session.fetch("accounts.set_password", id=account, password_hash=password_hash)
    await session.fetch("sessions.revoke_others", user_id=account, session_id=spared)
    known = await session.fetchrow("accounts.by_id", id=account)
    if known is not None and known["email"]:
        await outbox.queue_notice(session, account, outbox.PASSWORD_CHANGED, known["email"])
