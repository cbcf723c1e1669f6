"""Figures for analysts, finance and administrators: the funnel, revenue, and what came of recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from db.session import Session
from domain.analytics import (
    CLICK_DIMENSIONS,
    FUNNEL,
    FUNNEL_DIMENSIONS,
    MAX_FUNNEL_DIMENSIONS,
    PERFORMANCE_DIMENSIONS,
    count_dimensions,
    grouping_of,
)
from domain.errors import Forbidden, Invalid
from resolvers.finance import require_proven_money_reader

MAX_DAYS = 400
MAX_ROWS = 500
MAX_SKIP = 100_000
_CLICKS = FUNNEL.index("click") + 1


@dataclass(frozen=True, slots=True)
class Page:
    """Which groups are wanted: of which days (both included, UTC), by which dimensions, and which of the rows."""

    first_day: date
    last_day: date
    by: Sequence[str]
    first: int
    skip: int


async def _check(session: Session, page: Page, most: int) -> None:
    """Raises Forbidden for callers who may read no figures, Invalid for a page that cannot be."""
    await require_proven_money_reader(session)
    days = (page.last_day - page.first_day).days + 1
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(
            f"{page.first_day} to {page.last_day} are {days} days: give 1 to {MAX_DAYS}, the first day first.",
            ("range",),
        )
    if len(set(page.by)) < len(page.by):
        raise Invalid("`by` names a dimension twice.", ("by",))
    if count_dimensions(page.by) > most:
        raise Invalid(
            f"`by` takes at most {most} dimensions besides DAY; NETWORK with RETAILER counts as one.", ("by",)
        )
    if not 1 <= page.first <= MAX_ROWS:
        raise Invalid(f"`first` is {page.first}: it takes 1 to {MAX_ROWS} rows.", ("first",))
    if not 0 <= page.skip <= MAX_SKIP:
        raise Invalid(f"`skip` is {page.skip}: it takes 0 to {MAX_SKIP} rows.", ("skip",))


def _may_count(session: Session, page: Page) -> bool:
    """Two dimensions at once would tell analysts of small groups by subtraction."""
    return session.claims.may_keep_books or count_dimensions(page.by) <= 1


def _refuse_pairs(session: Session, page: Page) -> None:
    if not _may_count(session, page):
        raise Forbidden("Analysts group by one dimension, and DAY: with two, groups are too small to stay unknown.")


async def funnel(session: Session, page: Page) -> list[asyncpg.Record]:
    """Counts of each step by group, sorted by the group. Raises Forbidden or Invalid."""
    await _check(session, page, MAX_FUNNEL_DIMENSIONS)
    _refuse_pairs(session, page)
    return await session.fetch("analytics.funnel", **_arguments(page, FUNNEL_DIMENSIONS))


async def performance(session: Session, page: Page) -> list[asyncpg.Record]:
    """What came of impressions by group, sorted by the group. Raises Forbidden or Invalid."""
    await _check(session, page, len(PERFORMANCE_DIMENSIONS))
    _refuse_pairs(session, page)
    return await session.fetch("analytics.performance", **_arguments(page, PERFORMANCE_DIMENSIONS))


async def revenue(
    session: Session, page: Page, *, as_of: datetime | None, known_at: datetime | None, reporting_currency: str
) -> list[asyncpg.Record]:
    """Figures by group and currency, sorted by the group: what had happened up to `as_of`, as known at `known_at`.
    Analysts see no clicks of two dimensions at once, and nothing by what is known of the click behind an order. Raises
    Forbidden or Invalid."""
    await _check(session, page, MAX_FUNNEL_DIMENSIONS)
    if CLICK_DIMENSIONS & set(page.by) and not session.claims.may_keep_books:
        raise Forbidden("Analysts group revenue by DAY, NETWORK, RETAILER and CATEGORY: the rest is known of people.")
    return await session.fetch(
        "analytics.revenue",
        by=list(page.by),
        as_of=as_of,
        known_at=known_at,
        reporting=reporting_currency,
        clicks=_CLICKS if _may_count(session, page) else None,
        grouping=grouping_of(page.by, FUNNEL_DIMENSIONS),
        first_day=page.first_day,
        last_day=page.last_day,
        first=page.first,
        skip=page.skip,
    )


def _arguments(page: Page, known: Sequence[str]) -> dict[str, object]:
    return {
        "grouping": grouping_of(page.by, known),
        "first_day": page.first_day,
        "last_day": page.last_day,
        "is_daily": "day" in page.by,
        "first": page.first,
        "skip": page.skip,
    }
