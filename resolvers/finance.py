"""Who may read money, and the parts that its filters have in common."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from db.session import Session
from domain.errors import Invalid
from domain.money import exponent_of
from resolvers.profiles import require_proven_role, require_role

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


def require_money_reader(session: Session) -> None:
    """For conversions and sums. Raises Unauthenticated or Forbidden."""
    require_role(session, session.claims.may_read_money, "Only analysts, finance and administrators may read this.")


def require_bookkeeper(session: Session) -> None:
    """For what else is in the ledger. Raises Unauthenticated or Forbidden."""
    require_role(session, session.claims.may_keep_books, "Only finance and administrators may read this.")


async def require_proven_money_reader(session: Session) -> None:
    """For functions that raise an error where policies show nothing. Raises Unauthenticated or Forbidden."""
    may = session.claims.may_read_money
    await require_proven_role(session, may, "Only analysts, finance and administrators may read this.")


async def require_proven_bookkeeper(session: Session) -> None:
    """For decisions. Raises Unauthenticated or Forbidden."""
    await require_proven_role(
        session, session.claims.may_keep_books, "Only finance and administrators may decide this."
    )


def month_of(text: str, field: tuple[str, ...]) -> tuple[date, date]:
    """The first day of a month such as 2026-07, and of the next one. Raises Invalid."""
    if not _MONTH.fullmatch(text) or not "0002" <= text[:4] <= "9998":
        raise Invalid(f"{text[:20]!r} is no month such as 2026-07.", field)
    first = date.fromisoformat(f"{text}-01")
    return first, (first + timedelta(days=31)).replace(day=1)


def start_of(day: date) -> datetime:
    """The start of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def currency_of(code: str) -> str:
    """The currency of a filter. Raises Invalid for an unknown one."""
    exponent_of(code, ("filter", "currencyCode"))
    return code
