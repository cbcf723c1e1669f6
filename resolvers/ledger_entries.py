"""Postings: filters and balances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from db.queries import QUERIES, Fragment
from db.session import Session
from domain.errors import Invalid
from resolvers.finance import currency_of, require_bookkeeper, require_proven_money_reader

MAX_BALANCES = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any. Times are of the event, `until` exclusive."""

    account: str | None = None
    currency: str | None = None
    conversion_id: UUID | None = None
    payment_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def conditions(session: Session, wanted: Filter) -> list[Fragment]:
    """The filter as SQL conditions. Raises Unauthenticated, Forbidden or Invalid."""
    require_bookkeeper(session)
    found = []
    if wanted.account is not None:
        found.append(QUERIES["ledger_entries.on_account"].bind(account=wanted.account))
    if wanted.currency is not None:
        found.append(QUERIES["ledger_entries.in_currency"].bind(currency=currency_of(wanted.currency)))
    if wanted.conversion_id is not None:
        found.append(QUERIES["ledger_entries.of_conversion"].bind(conversion=wanted.conversion_id))
    if wanted.payment_id is not None:
        found.append(QUERIES["ledger_entries.of_payment"].bind(payment=wanted.payment_id))
    if wanted.since is not None:
        found.append(QUERIES["ledger_entries.since"].bind(at=wanted.since))
    if wanted.until is not None:
        found.append(QUERIES["ledger_entries.until"].bind(at=wanted.until))
    return found


async def balances(
    session: Session, by: Sequence[str], as_of: datetime | None, known_at: datetime | None, reporting_currency: str
) -> list[asyncpg.Record]:
    """Balances by account, currency and `by`, of what had happened at `as_of`, as known at `known_at`. Raises
    Unauthenticated, Forbidden, or Invalid if there are too many."""
    await require_proven_money_reader(session)
    found = await session.fetch(
        "ledger.balances",
        by=list(by),
        as_of=as_of,
        known_at=known_at,
        reporting_currency=reporting_currency,
        most=MAX_BALANCES + 1,
    )
    if len(found) > MAX_BALANCES:
        raise Invalid(f"These are more than {MAX_BALANCES} balances: ask for fewer dimensions.", ("by",))
    return found
