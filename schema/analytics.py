"""Figures for analysts, finance and administrators."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any

import asyncpg
import strawberry

from domain.analytics import FIGURES, FUNNEL, PERFORMANCE, rate
from resolvers import analytics
from resolvers.analytics import MAX_DAYS, MAX_ROWS, Page
from schema.bounds import at_most
from schema.context import Info
from schema.finance import figure
from schema.products import Money
from schema.recommendations import RecommendationContext

DEFAULT_ROWS = 100


@strawberry.enum(description="What orders, clicks and what leads to them may be grouped by: docs/analytics.md.")
class AnalyticsDimension(Enum):
    SOURCE = strawberry.enum_value(
        "source",
        description="Where it came from: `recommendation:discover`, `gift_link`, or a page such as `page:/gifts`.",
    )
    DEVICE = strawberry.enum_value("device", description="The class of device.")
    CAMPAIGN = strawberry.enum_value("campaign", description="The campaign of the click, or of the visit.")
    NETWORK = strawberry.enum_value("network", description="The affiliate network; known from the click on.")
    RETAILER = strawberry.enum_value("retailer", description="The shop, with its network; known from the click on.")
    CATEGORY = strawberry.enum_value("category", description="The category that the product has now.")
    DAY = strawberry.enum_value("day", description="The day, UTC.")


@strawberry.enum(description="What impressions may be grouped by.")
class PerformanceDimension(Enum):
    CONTEXT = strawberry.enum_value("context", description="Where the recommendation was shown.")
    MODEL = strawberry.enum_value("model", description="The version of the model.")
    ARM = strawberry.enum_value("arm", description="The arm of the experiment.")
    DAY = strawberry.enum_value("day", description="The day of the impression, UTC.")


@strawberry.input(description=f"Days, UTC, both included: at most {MAX_DAYS}.")
class DayRange:
    first_day: date = strawberry.field(description="The first day.")
    last_day: date = strawberry.field(description="The last day.")


@strawberry.type(description="How often something happened.")
class StepCount:
    events: int | None = strawberry.field(
        description="How often, without what `isSuppressed` speaks of; null if nothing of it may be shown."
    )
    people: int | None = strawberry.field(
        description="To how many people and anonymous sessions, of one day: by DAY, or of a range of one day. Null of "
        "more, as people of several days are not added up, and where something is suppressed."
    )
    is_suppressed: bool = strawberry.field(
        description="Whether days on which it would tell an analyst of fewer than 5 people are left out."
    )


@strawberry.type(description="A share with its 95 % interval (Wilson).")
class Rate:
    value: float = strawberry.field(description="Between 0 and 1.")
    low: float = strawberry.field(description="The lower bound of the interval.")
    high: float = strawberry.field(description="The upper bound of the interval.")


@strawberry.type(description="A group of the funnel. What it is not grouped by, and what is not known, is null.")
class FunnelRow:
    day: date | None = strawberry.field(description="The day, UTC.")
    source: str | None = strawberry.field(description="Where it came from.")
    device: str | None = strawberry.field(description="The class of device.")
    campaign: str | None = strawberry.field(description="The campaign.")
    network: str | None = strawberry.field(description="The code of the affiliate network.")
    retailer: str | None = strawberry.field(description="The slug of the shop.")
    category: str | None = strawberry.field(description="The slug of the category.")
    landing: StepCount = strawberry.field(description="Visits that began.")
    view: StepCount = strawberry.field(description="Products looked at.")
    impression: StepCount = strawberry.field(description="Recommendations shown.")
    swipe: StepCount = strawberry.field(description="Swipes that were not undone.")
    like: StepCount = strawberry.field(description="Of these, to the right or up.")
    click: StepCount = strawberry.field(description="Tracked links made.")
    redirect: StepCount = strawberry.field(description="Hits of tracked links.")
    order: StepCount = strawberry.field(description="Sales that networks reported, on the day of the order.")
    approved: StepCount = strawberry.field(description="Of these, approved at some time.")
    paid: StepCount = strawberry.field(description="Of these, paid at some time.")


@strawberry.type(
    description="Impressions of a group, and how many were followed by what. What it is not grouped by is null."
)
class PerformanceRow:
    day: date | None = strawberry.field(description="The day of the impression, UTC.")
    context: RecommendationContext | None = strawberry.field(description="Where the recommendations were shown.")
    model: int | None = strawberry.field(description="The version of the model.")
    arm: int | None = strawberry.field(description="The number of the experiment's arm; 0: of no experiment.")
    shown: StepCount = strawberry.field(description="Impressions.")
    swiped: StepCount = strawberry.field(description="Followed by a swipe that was not undone.")
    liked: StepCount = strawberry.field(description="Followed by a swipe to the right or up.")
    clicked: StepCount = strawberry.field(description="Followed by a tracked link.")
    bought: StepCount = strawberry.field(
        description="Followed by a sale that a network reported, or that the person did."
    )
    click_through_rate: Rate | None = strawberry.field(
        description="clicked / shown; null if either is suppressed. The interval takes impressions as independent."
    )


@strawberry.type(description="Commissions of orders.")
class RevenueFigures:
    expected: Money = figure("expected")
    tracked: Money = figure("tracked")
    pending: Money = figure("pending")
    approved: Money = figure("approved")
    declined: Money = figure("declined")
    reversed: Money = figure("reversed")
    paid: Money = figure("paid")
    clawback: Money = figure("clawback")


@strawberry.type(
    description="Orders of a group in one currency. What it is not grouped by, and what is not known, is null."
)
class RevenueRow:
    day: date | None = strawberry.field(description="The day of the order or the click, UTC.")
    source: str | None = strawberry.field(description="Where the click came from.")
    device: str | None = strawberry.field(description="The class of device.")
    campaign: str | None = strawberry.field(description="The campaign.")
    network: str | None = strawberry.field(description="The code of the affiliate network.")
    retailer: str | None = strawberry.field(description="The slug of the shop.")
    category: str | None = strawberry.field(description="The slug of the category.")
    currency: str | None = strawberry.field(description="ISO 4217; null for a group without orders.")
    clicks: int | None = strawberry.field(
        description="Tracked links made, of the group in all currencies: the same in each of its rows. See "
        "`isSuppressed`."
    )
    is_suppressed: bool = strawberry.field(
        description="Whether clicks of days on which they would tell an analyst of fewer than 5 people are left out."
    )
    orders: int = strawberry.field(description="Conversions that networks reported.")
    figures: RevenueFigures | None = strawberry.field(description="In `currency`; null for a group without orders.")
    reporting: RevenueFigures | None = strawberry.field(
        description="In the reporting currency, at the rate of the day of each order; null if a rate is missing."
    )


def _steps(names: tuple[str, ...], row: asyncpg.Record) -> dict[str, Any]:
    people = row["people"]
    return {
        name: StepCount(
            events=row["counts"][place],
            people=None if people is None or row["is_suppressed"][place] else people[place],
            is_suppressed=row["is_suppressed"][place],
        )
        for place, name in enumerate(names)
    }


def _figures(minors: list[int] | None, currency: str | None) -> RevenueFigures | None:
    if minors is None or None in minors:
        return None
    amounts: dict[str, Any] = {name: Money.of(minor, currency) for name, minor in zip(FIGURES, minors, strict=True)}
    return RevenueFigures(**amounts)


def _page(range: DayRange, by: list[Any], first: int, skip: int) -> Page:
    return Page(range.first_day, range.last_day, [dimension.value for dimension in by], first, skip)


_DIMENSIONS = ("day", "source", "device", "campaign", "network", "retailer", "category")
_WHO = "For analysts, finance and administrators."


@strawberry.type
class AnalyticsQuery:
    @strawberry.field(
        description="What people did, from the landing to the paid commission, sorted by the group. At most two "
        f"dimensions beside DAY; for analysts one. {_WHO}",
        metadata=at_most(MAX_ROWS),
    )
    async def funnel(
        self,
        info: Info,
        range: DayRange,
        by: list[AnalyticsDimension] = [],  # noqa: B006
        first: int = DEFAULT_ROWS,
        skip: int = 0,
    ) -> list[FunnelRow]:
        rows = await analytics.funnel(info.context.session, _page(range, by, first, skip))
        return [FunnelRow(**{name: row[name] for name in _DIMENSIONS}, **_steps(FUNNEL, row)) for row in rows]

    @strawberry.field(
        description="Commissions of orders of these days, and clicks, sorted by the group and the currency. At most "
        "two dimensions beside DAY. Currencies are never added up. For analysts by DAY, NETWORK, RETAILER and "
        f"CATEGORY. {_WHO}",
        metadata=at_most(MAX_ROWS),
    )
    async def revenue(
        self,
        info: Info,
        range: DayRange,
        by: list[AnalyticsDimension] = [],  # noqa: B006
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        first: int = DEFAULT_ROWS,
        skip: int = 0,
    ) -> list[RevenueRow]:
        reporting = info.context.services.settings.default_currency
        rows = await analytics.revenue(
            info.context.session,
            _page(range, by, first, skip),
            as_of=as_of,
            known_at=known_at,
            reporting_currency=reporting,
        )
        return [
            RevenueRow(
                **{name: row[name] for name in _DIMENSIONS},
                currency=row["currency"],
                clicks=row["clicks"],
                is_suppressed=row["is_suppressed"],
                orders=row["orders"],
                figures=_figures(row["figures"], row["currency"]),
                reporting=_figures(row["reported"], reporting),
            )
            for row in rows
        ]

    @strawberry.field(
        description="What came of recommendations that were shown, sorted by the group. For analysts by one dimension "
        f"and DAY. {_WHO}",
        metadata=at_most(MAX_ROWS),
    )
    async def recommendation_performance(
        self,
        info: Info,
        range: DayRange,
        by: list[PerformanceDimension] = [],  # noqa: B006
        first: int = DEFAULT_ROWS,
        skip: int = 0,
    ) -> list[PerformanceRow]:
        rows = await analytics.performance(info.context.session, _page(range, by, first, skip))
        return [_performance(row) for row in rows]


def _performance(row: asyncpg.Record) -> PerformanceRow:
    steps = _steps(PERFORMANCE, row)
    shown, clicked = steps["shown"], steps["clicked"]
    found = None
    if not shown.is_suppressed and not clicked.is_suppressed:
        found = rate(clicked.events or 0, shown.events or 0)
    return PerformanceRow(
        day=row["day"],
        context=None if row["context"] is None else RecommendationContext(row["context"]),
        model=row["model"],
        arm=row["arm"],
        click_through_rate=None if found is None else Rate(value=found.value, low=found.low, high=found.high),
        **steps,
    )
