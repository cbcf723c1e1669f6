"""Admins, analysts and finance: docs/accounts.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import asyncpg
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings
from db.embedded import Dsns
from db.queries import QUERIES
from domain.errors import AclueError

if TYPE_CHECKING:
    from resolvers import roles

T = TypeVar("T")

Email = Annotated[str, typer.Argument(help="Of an account.")]
Role = Annotated[str, typer.Argument(help="admin, analyst or finance.")]


def grant(email: Email, role: Role) -> None:
    """Make a person admin, analyst or finance, from their next access token on. The e-mail must be verified."""
    change = _run(lambda dsns: _change(dsns, email, role, is_granted=True))
    print(f"{change.email} is {change.role}{' now' if change.is_new else ' already'}")


def revoke(email: Email, role: Role) -> None:
    """Revoke a person's role. The last admin stays."""
    change = _run(lambda dsns: _change(dsns, email, role, is_granted=False))
    print(f"{change.email} {'is no longer' if change.is_new else 'was not'} {role}")


def list_people() -> None:
    """Print who has a role."""
    for person in _run(_people):
        print(f"{person['app_role']:8} {person['email']}")


def _run(work: Callable[[Dsns], Coroutine[Any, Any, T]]) -> T:
    with databases(load_settings()) as dsns:
        try:
            return asyncio.run(work(dsns))
        except AclueError as error:
            fail(str(error))
        except asyncpg.InsufficientPrivilegeError:
            fail("MIGRATION_DATABASE_URL: roles are the owner's to give, and DATABASE_URL is not the owner's log-in")


async def _change(dsns: Dsns, email: str, role: str, *, is_granted: bool) -> roles.Change:
    from resolvers import roles

    address, tidy_role = roles.wanted(email, role)
    async with connected_as_owner(dsns) as owner:
        row = await owner.fetchrow(
            QUERIES["roles.change"].sql, address.canonical, address.spellings, tidy_role, is_granted, None
        )
    assert row is not None
    return roles.outcome(row, address.address)


async def _people(dsns: Dsns) -> list[asyncpg.Record]:
    async with connected_as_owner(dsns) as owner:
        return list(await owner.fetch(QUERIES["roles.people"].sql))
