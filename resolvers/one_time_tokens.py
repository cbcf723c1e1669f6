"""What a token from a mail is good for: a new password, and showing that an e-mail is one's own."""

from __future__ import annotations

from uuid import UUID

from db.claims import SERVICE, Claims
from domain.errors import Conflict, InvalidCredentials, UserNotFound
from resolvers import accounts, outbox, sessions
from resolvers.services import Services
from resolvers.sessions import Caller


async def request_password_reset(services: Services, caller: Caller, email: str) -> None:
    """Queues a mail with a token, where there is an account. Answers alike where there is none, and takes as long:
    both cases commit the count of attempts, and nobody waits for the mail. Raises RateLimited or Unavailable."""
    await accounts.require_ours(services)
    settings = services.settings
    tidy = accounts.normal_email(email)
    await sessions.count_by_network(services, "mail address", caller.address, settings.mail_attempts * 10)
    async with services.database.session(SERVICE, read_only=False) as session:
        attempts = await sessions.count_attempt(session, services, "reset e-mail", tidy or email[:254])
        if tidy is not None and attempts <= settings.mail_attempts:
            await outbox.queue_token(session, services, outbox.RESET_PASSWORD, tidy)
    if attempts > settings.mail_attempts:
        raise sessions.too_many(services)


async def reset_password(services: Services, caller: Caller, *, token: str, new: str) -> None:
    """Ends every session of the person; a second factor stays. Raises InvalidCredentials, Invalid, RateLimited or
    Unavailable."""
    await accounts.require_ours(services)
    accounts.check_new_password(new, "newPassword")
    most = services.settings.sign_in_attempts * 10
    await sessions.count_by_network(services, "reset address", caller.address, most)
    password_hash = await services.passwords.hash(new)  # before the token is looked at: no connection waits for it
    async with services.database.session(SERVICE, read_only=False) as session:
        account: UUID | None = await session.fetchval(
            "one_time_tokens.use", kind=outbox.RESET_PASSWORD, token_hash=outbox.hash_of(token)
        )
        if account is None:
            raise _refused()
        await accounts.store_password(session, account, password_hash, spared=None)


async def request_email_verification(services: Services, claims: Claims) -> None:
    """Queues a mail with a token. Raises Conflict when the e-mail is verified already, UserNotFound where the token's
    person has no account, RateLimited, and what require_account raises."""
    account = await accounts.require_account(services, claims)
    most = services.settings.mail_attempts
    await sessions.count_separately(services, "verify e-mail", str(account), most)
    async with services.database.session(SERVICE, read_only=False) as session:
        known = await session.fetchrow("accounts.by_id", id=account)
        if known is None or not known["email"]:
            raise UserNotFound("There is no account with an e-mail.")
        if known["email_confirmed_at"] is not None:
            raise Conflict("The e-mail is verified already.")
        await outbox.queue_token(session, services, outbox.VERIFY_EMAIL, known["email"])


async def verify_email(services: Services, token: str) -> None:
    """Whoever has the token may use it, signed in or not. Raises InvalidCredentials or Unavailable."""
    await accounts.require_ours(services)
    async with services.database.session(SERVICE, read_only=False) as session:
        account = await session.fetchval(
            "one_time_tokens.use", kind=outbox.VERIFY_EMAIL, token_hash=outbox.hash_of(token)
        )
        if account is None:
            raise _refused()


def _refused() -> InvalidCredentials:
    return InvalidCredentials("The token is not valid: used, expired, or followed by a newer one.", ("token",))
