"""Access tokens for operators."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from commands.terminal import connected, connected_as_owner, databases, fail, load_settings, note, secret_of, uuid_of
from db import demo, embedded, secrets
from db.claims import APP_ROLES
from db.embedded import Dsns
from db.queries import QUERIES
from domain import emails
from settings import Settings

ROLES = ("anon", "authenticated", "service_role", *APP_ROLES)


def token(
    email: Annotated[str, typer.Option(help="Of an account; made first in development where there is none.")] = "",
    user_id: Annotated[str, typer.Option(help="Of a profile (a uuid); made likewise while the database runs.")] = "",
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "authenticated",
    expires: Annotated[int, typer.Option(help="Lifetime in seconds.", min=1)] = 3600,
) -> None:
    """Print an access token. admin, analyst and finance are app roles of an authenticated person."""
    settings = load_settings()
    if role not in ROLES:
        fail(f"--role: one of {', '.join(ROLES)}")
    if bool(email) == bool(user_id):
        fail("give --email or --user-id")
    subject = uuid_of(user_id, "--user-id")
    secret = secret_of(settings)
    is_verified = False
    if email:
        with databases(settings) as dsns:
            subject, is_verified = asyncio.run(_account_of(settings, dsns, email))
    elif subject and role != "service_role" and not settings.is_production:
        asyncio.run(_ensure_profile(settings, subject, is_anonymous=role == "anon"))
    assert subject is not None
    from services.tokens import Tokens

    is_app_role = role in APP_ROLES
    issued, _ = Tokens(settings, secret).issue(
        subject,
        role="authenticated" if is_app_role else role,
        is_anonymous=role == "anon",
        email=email or None,
        email_verified=is_verified,
        app_metadata={"role": role} if is_app_role else None,
        lifetime=expires,
    )
    print(issued)


async def _account_of(settings: Settings, dsns: Dsns, email: str) -> tuple[UUID, bool]:
    """The account's id, and whether its e-mail is verified."""
    address = emails.parse(email)
    if address is None:
        fail("--email: not an e-mail address")
    async with connected_as_owner(dsns) as owner:
        known = await owner.fetchrow(QUERIES["demo.account"].sql, address.canonical, address.spellings)
        if known is not None:
            return known["id"], known["email_verified_at"] is not None
        if settings.is_production:
            fail(f"--email: there is no account {address.address}")
        note(f"made the account {address.address}", "dim")
        return await demo.ensure_account(owner, address.address), False


async def _ensure_profile(settings: Settings, subject: UUID, *, is_anonymous: bool) -> None:
    """A token without a profile cannot write, so in development the profile is created if a database is available."""
    dsn = settings.migration_database_url or settings.database_url
    if not dsn:
        dsns = embedded.running_dsns(settings.home, secrets.load_or_create(settings.home))
        dsn = dsns.owner if dsns and dsns.owner else ""
    if not dsn:
        return
    async with connected(dsn, "MIGRATION_DATABASE_URL") as owner:
        if await owner.fetchval(QUERIES["demo.ensure_profile"].sql, subject, is_anonymous):
            note(f"made the profile {subject}", "dim")
