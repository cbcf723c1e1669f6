"""Accounts with e-mail and password, where the auth schema is ours. On Supabase its own service does this."""

from __future__ import annotations

import re
from typing import NoReturn

from db.claims import SERVICE
from domain.errors import Conflict, Invalid, InvalidCredentials, Unavailable
from resolvers import profiles, sessions
from resolvers.services import Services
from resolvers.sessions import Caller, SignedIn

MIN_PASSWORD, MAX_PASSWORD = 8, 1024
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+")


def normal_email(email: str) -> str | None:
    """Trimmed and in lower case; None when it is no e-mail address."""
    tidy = email.strip().lower()
    return tidy if len(tidy) <= 254 and _EMAIL.fullmatch(tidy) else None


async def _require_ours(services: Services) -> None:
    async with services.database.session(SERVICE, read_only=True) as session:
        if not await session.fetchval("accounts.are_ours"):
            raise Unavailable("Accounts are kept by the project's own sign-in service, not here.")


async def sign_up(
    services: Services, caller: Caller, *, email: str, password: str, display_name: str | None
) -> SignedIn:
    """A new account, signed in. Raises Invalid, Conflict (e-mail taken), RateLimited or Unavailable."""
    await _require_ours(services)
    tidy = normal_email(email)
    if tidy is None:
        raise Invalid("This is not an e-mail address.", ("email",))
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.", ("password",))
    name = profiles.display_name(display_name)
    await sessions.count_separately(services, "sign-up", caller.address, services.settings.sign_up_attempts)
    password_hash = await services.passwords.hash(password)
    async with services.database.session(SERVICE, read_only=False) as session:
        account = await session.fetchval("accounts.create", email=tidy, password_hash=password_hash, display_name=name)
        if account is None:
            raise Conflict("There is an account with this e-mail already.", ("email",))
        return await sessions.open_session(
            session, services, caller, account, is_anonymous=False, method="password", email=tidy
        )


async def sign_in(services: Services, caller: Caller, *, email: str, password: str) -> SignedIn:
    """Raises InvalidCredentials alike for an unknown e-mail and a wrong password, RateLimited or Unavailable."""
    await _require_ours(services)
    tidy = normal_email(email)
    most = services.settings.sign_in_attempts
    await sessions.count_separately(services, "sign-in address", caller.address, most * 10)
    await sessions.count_separately(services, "sign-in e-mail", tidy or email[:254], most)
    async with services.database.session(SERVICE, read_only=True) as session:
        known = await session.fetchrow("accounts.credentials", email=tidy)
    # No connection is held while the hash is computed.
    is_right = await services.passwords.verify(known["password_hash"] if known else None, password[: MAX_PASSWORD + 1])
    if known is None or not is_right:
        _refuse()
    async with services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("accounts.note_sign_in", id=known["id"])
        return await sessions.open_session(
            session,
            services,
            caller,
            known["id"],
            is_anonymous=False,
            method="password",
            email=tidy,
            app_metadata=sessions.as_object(known["app_metadata"]),
        )


def _refuse() -> NoReturn:
    raise InvalidCredentials("The e-mail or the password is wrong.")
