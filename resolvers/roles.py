"""Roles of people: admin, analyst and finance. At least one admin always remains."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from db.claims import APP_ROLES, SERVICE, Claims, service_for
from domain import emails
from domain.callers import Caller
from domain.emails import Email
from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    Unauthenticated,
    Unavailable,
    UserNotFound,
)
from resolvers import accounts, sessions
from services.services import Services


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of granting or revoking a role. `role` is the person's current one."""

    person_id: UUID
    email: str
    role: str | None
    is_new: bool


def wanted(email: str, role: str) -> tuple[Email, str]:
    """Validates the e-mail and normalises the role. Raises Invalid or UserNotFound."""
    tidy_role = role.strip().lower()
    if tidy_role not in APP_ROLES:
        raise Invalid(f"There is no role {role[:100]!r}: it is one of {', '.join(APP_ROLES)}.", ("role",))
    address = emails.parse(email)
    if address is None:
        raise _unknown(email)
    return address, tidy_role


def _unknown(email: str) -> UserNotFound:
    return UserNotFound(f"There is no account with the e-mail {email[:254]!r}.", ("email",))


def outcome(row: asyncpg.Record, email: str) -> Change:
    """Interprets the result of private.change_role(). Raises Forbidden, UserNotFound, Conflict or Unavailable."""
    match row["outcome"]:
        case "not admin":
            raise Forbidden("You are no longer an administrator.")
        case "unknown":
            raise _unknown(email)
        case "unverified":
            raise Conflict(
                f"The e-mail {email} is not verified: its owner must open the link of the verification mail first.",
                ("email",),
            )
        case "last admin":
            raise Conflict(f"{email} is the last admin: make another person admin first.", ("email",))
        case "elsewhere":
            raise Unavailable("Accounts are managed by another service: set app_metadata.role there.")
    return Change(row["person_id"], email, row["app_role"], row["outcome"] == "changed")


async def change(
    services: Services, caller: Caller, claims: Claims, *, email: str, role: str, password: str | None, is_granted: bool
) -> Change:
    """Grants a role, replacing another one, or revokes it; idempotent. The caller must still be admin, not only when
    the token was issued; without a second factor this also needs the password or a recent sign-in. Raises
    Unauthenticated, SecondFactorRequired, and what require_recent_sign_in, `wanted` and `outcome` raise."""
    if claims.subject is None:
        raise Unauthenticated("This needs an access token: sign in.")
    is_person = claims.role == "authenticated"
    if is_person:  # first: without it the token of an admin may not say that they are one
        async with services.database.session(SERVICE, read_only=True) as session:
            await sessions.require_second_factor(session, claims)
    if not claims.may_administer:
        raise Forbidden("Only administrators may grant and revoke roles.")
    await sessions.refuse_ended(services, claims)
    if is_person and claims.aal != "aal2" and claims.session_id is not None:
        await accounts.require_recent_sign_in(services, caller, claims, claims.subject, password)
    address, tidy_role = wanted(email, role)
    # A token without a session is from the command line, whose users may do all of this anyway.
    actor = claims.subject if is_person and claims.session_id is not None else None
    async with services.database.session(service_for(claims.subject, claims), read_only=False) as session:
        row = await session.fetchrow(
            "roles.change",
            canonical=address.canonical,
            spellings=address.spellings,
            role=tidy_role,
            is_granted=is_granted,
            actor=actor,
        )
        assert row is not None
        return outcome(row, address.address)
