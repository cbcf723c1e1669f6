"""One-time tokens from mails: they reset a password, or verify an e-mail."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from db.claims import ANONYMOUS, SERVICE, Claims
from db.session import Session
from domain import emails
from domain.callers import Caller
from domain.errors import Conflict, InvalidCredentials, UserNotFound
from resolvers import accounts
from services import attempts, outbox
from services.services import Services


async def request_password_reset(services: Services, caller: Caller, email: str, claims: Claims = ANONYMOUS) -> None:
    """Queues a request for a mail with a token. The account is looked up only when mails are sent, so that neither the
    response nor its timing reveals whether it exists. Raises RateLimited or Unavailable."""
    await accounts.require_ours(services)
    settings = services.settings
    address = emails.parse(email)
    known_as = address.canonical if address else email[: emails.MAX_LENGTH]
    await attempts.count_network(services, caller, "mail address", settings.mail_attempts * 10)
    limit = settings.mail_attempts
    target = attempts.mails("reset e-mail", known_as, limit, email=address)
    await attempts.count(services, caller, target, limit, claims)
    if address is not None:
        async with services.database.session(SERVICE, read_only=False) as session:
            await session.fetch(
                "one_time_tokens.request_reset",
                canonical=address.canonical,
                spellings=address.spellings,
                lifetime_seconds=float(settings.reset_token_lifetime),
            )


async def reset_password(services: Services, caller: Caller, *, token: str, new: str) -> None:
    """Ends every session of the person; a second factor stays. An account whose e-mail was not verified before starts
    afresh. Raises InvalidCredentials, Invalid, RateLimited or Unavailable."""
    await accounts.require_ours(services)
    accounts.check_new_password(new, "newPassword")
    limit = services.settings.sign_in_attempts * 10
    await attempts.count_network(services, caller, "reset address", limit)
    password_hash = await services.passwords.hash(new, caller.address)  # first, so that no connection is held meanwhile
    async with services.database.session(SERVICE, read_only=False) as session:
        used = await _use(session, outbox.RESET_PASSWORD, token)
        await accounts.store_password(session, used["account"], password_hash, spared=None)


async def request_email_verification(services: Services, caller: Caller, claims: Claims) -> None:
    """Queues a mail with a token. Raises Conflict if the e-mail is already verified, UserNotFound if the person has no
    account, RateLimited, and what require_account raises."""
    account = await accounts.require_account(services, claims)
    async with services.database.session(SERVICE, read_only=True) as session:
        known = await session.fetchrow("accounts.by_id", id=account)
    if known is None or not known["email"]:
        raise UserNotFound("This person has no account with an e-mail.")
    if known["email_confirmed_at"] is not None:
        raise Conflict("The e-mail is verified already.")
    address = emails.parse(known["email"])
    known_as = address.canonical if address else known["email"]  # not the account, which is quickly recreated
    await accounts.count_mail(services, caller, "verify e-mail", known_as)
    async with services.database.session(SERVICE, read_only=False) as session:
        await outbox.queue_token(session, services, outbox.VERIFY_EMAIL, known["email"])


async def verify_email(services: Services, token: str, claims: Claims = ANONYMOUS) -> bool:
    """Verifies an e-mail; returns whether the account started afresh. The token proves who reads the mails, but only a
    live session of the account proves that the same person created it. Without one, all data of the account is deleted,
    and it needs a new password. Raises InvalidCredentials or Unavailable."""
    await accounts.require_ours(services)
    async with services.database.session(SERVICE, read_only=False) as session:
        is_live = claims.session_id is not None and await session.fetchval(
            "sessions.is_live", user_id=claims.subject, session_id=claims.session_id
        )
        used = await _use(session, outbox.VERIFY_EMAIL, token, holder=claims.subject if is_live else None)
    is_afresh: bool = used["is_afresh"]
    return is_afresh


async def require(services: Services, kind: str, token: str) -> None:
    """Checks a token without using it up. Raises InvalidCredentials or Unavailable."""
    await accounts.require_ours(services)
    async with services.database.session(SERVICE, read_only=True) as session:
        if not await session.fetchval("one_time_tokens.is_valid", kind=kind, token_hash=outbox.hash_of(token)):
            raise _refusal()


async def verify_email_on_page(services: Services, token: str) -> str | None:
    """Like verify_email, for a visitor who is not signed in. If the account starts afresh, returns a token for
    reset_password, as the token proves that they own the address. Raises InvalidCredentials or Unavailable."""
    await accounts.require_ours(services)
    async with services.database.session(SERVICE, read_only=False) as session:
        used = await _use(session, outbox.VERIFY_EMAIL, token)
        if not used["is_afresh"]:
            return None
        known = await session.fetchrow("accounts.by_id", id=used["account"])
        assert known is not None  # it was created in this transaction
        return await outbox.issue_token(session, services, outbox.RESET_PASSWORD, known["email"], has_mail=False)


async def _use(session: Session, kind: str, token: str, *, holder: UUID | None = None) -> asyncpg.Record:
    """Raises InvalidCredentials. `session` is service_role's."""
    used = await session.fetchrow("one_time_tokens.use", kind=kind, token_hash=outbox.hash_of(token), holder=holder)
    if used is None:
        raise _refusal()
    return used


def _refusal() -> InvalidCredentials:
    return InvalidCredentials("The token is not valid: used or expired.", ("token",))
