"""Work of commands that the API's operations do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from commands.terminal import api_database, databases, fail, load_settings
from domain import ids
from domain.errors import AclueError

if TYPE_CHECKING:
    from db.embedded import Dsns
    from db.session import Session
    from settings import Settings

T = TypeVar("T")

TIMEOUT_MS = (
    10 * 60 * 1000
)  # a new name is written to all products of a brand, and very many people may have swiped one
NOWHERE = "-"  # clears a value


def as_service(work: Callable[[Session], Awaitable[T]]) -> T:
    """Runs the work in one transaction as service_role, so that the audit log covers it. Errors end the command."""
    settings = load_settings()
    with databases(settings) as dsns:
        try:
            return asyncio.run(_in_session(settings, dsns, work))
        except AclueError as error:
            fail(str(error))


async def _in_session(settings: Settings, dsns: Dsns, work: Callable[[Session], Awaitable[T]]) -> T:
    from db.claims import SERVICE

    async with (
        api_database(settings, dsns) as database,
        database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS) as session,
    ):
        return await work(session)


def key_of(type_name: str, text: str) -> UUID | None:
    """The key of an id as the API gives it, or of a UUID; None for other text."""
    try:
        return UUID(text)
    except ValueError:
        return ids.decode_as(type_name, text)


def given(text: str | None) -> str | None:
    """An option's text; None to clear a value."""
    return None if text == NOWHERE else text


def number(text: str | None, option: str, example: str) -> Decimal | None:
    """An option's number; None without one."""
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(f"{option} {text}: give {example}")


def rate(text: str | None) -> Decimal | None:
    """The number of --commission-rate; None without one, and to clear it."""
    return number(given(text), "--commission-rate", "a share of the price, such as 0.05")


def instant(text: str | None, option: str) -> datetime | None:
    """An option's time; None without one."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: give a time such as 2026-12-01T00:00:00Z")
    if at.tzinfo is None:
        fail(f"{option} {text}: give an offset, such as Z")
    return at


async def key_of_slug(session: Session, noun: str, slug: str) -> UUID:
    """The key of one of the brands, categories or retailers."""
    row = await session.fetchrow(f"{noun}.find", id=None, slug=slug)
    if row is None:
        fail(f"there is no {slug!r} among the {noun}")
    key: UUID = row["id"]
    return key
