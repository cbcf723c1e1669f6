"""What is suspicious of a sale, and what is not."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fraud import BusyHour, Limits, Sale, SameOrder, flags_of, is_spike

LIMITS = Limits()
AT = datetime(2026, 7, 3, 12, 34, 56, tzinfo=UTC)
HOUR = datetime(2026, 7, 3, 12, tzinfo=UTC)
PRODUCT = UUID(int=7)
SALE = Sale(
    UUID(int=1), "awin", AT, UUID(int=2), AT - timedelta(minutes=5), HOUR, PRODUCT, "summer",
    visitor_clicks=30, network_clicks=300, visitor_sales=5, network_sales=20,
)  # fmt: skip


def kinds(sale: Sale, *busy: BusyHour) -> list[str]:
    return [flag.kind for flag in flags_of(sale, busy, LIMITS)]


def same_order(seconds: float, network: str = "impact", order: str = "1001", id: int = 9) -> SameOrder:
    return SameOrder(order, UUID(int=id), network, "X1", AT + timedelta(seconds=seconds))


def test_a_sale_at_every_limit_is_not_suspicious() -> None:
    assert kinds(SALE) == []
    assert kinds(replace(SALE, followed_at=AT - timedelta(seconds=10))) == []


@pytest.mark.parametrize("kind", ["visitor_clicks", "network_clicks", "visitor_sales", "network_sales"])
def test_one_more_than_the_limit_is_suspicious(kind: str) -> None:
    over = getattr(SALE, kind) + 1
    (flag,) = flags_of(replace(SALE, **{kind: over}), (), LIMITS)
    assert flag.kind == kind
    assert flag.detail.startswith(f"{over} ")
    assert flags_of(replace(SALE, **{kind: over + 1}), (), LIMITS)[0].facts == flag.facts, "more is the same suspicion"


@pytest.mark.parametrize(
    ("at", "seconds", "found"),
    [
        (AT, 9.9, ["early_sale"]),
        (AT, 0, ["early_sale"]),
        (AT, 10, []),
        (AT, -1, []),  # an order before the click: no network's clock is that exact
        (HOUR, 5, []),  # a network that names the day, or the hour, alone
    ],
)
def test_a_sale_within_seconds_after_its_click_is_suspicious(at: datetime, seconds: float, found: list[str]) -> None:
    assert kinds(replace(SALE, ordered_at=at, followed_at=at - timedelta(seconds=seconds))) == found


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([same_order(-60)], ["duplicate_order"]),
        ([same_order(-60, "awin")], ["duplicate_order"]),
        ([same_order(0, id=0)], ["duplicate_order"]),  # at the same second, the lower id is the first
        ([same_order(0)], []),
        ([same_order(60)], []),
        ([same_order(-31 * 24 * 3600)], []),  # shops begin to count again
        ([same_order(-60), same_order(-90), same_order(-60, order="1002")], ["duplicate_order"] * 2),
    ],
)
def test_all_but_the_first_sale_of_an_order_are_suspicious(others: list[SameOrder], found: list[str]) -> None:
    assert kinds(replace(SALE, same_orders=others)) == found
    assert kinds(replace(SALE, click_id=None, same_orders=others)) == found, "a click is not needed for that"


def test_lines_of_an_order_are_sales_of_their_own() -> None:
    line = replace(SALE, network="rakuten", same_orders=[same_order(-60, "rakuten")])
    assert kinds(line) == []
    assert kinds(replace(line, same_orders=[same_order(-60, "awin")])) == ["duplicate_order"]


def test_a_gift_link_that_its_maker_followed_is_suspicious() -> None:
    assert kinds(replace(SALE, is_by_maker=True)) == ["own_gift_link"]


@pytest.mark.parametrize(
    ("visitors", "before", "shown", "shown_before", "found"),
    [
        (100, 0, 0, 0, True),
        (99, 0, 0, 0, False),  # too few to say
        (100, 10 * 168, 0, 0, False),  # ten times what is usual
        (101, 10 * 168, 0, 0, True),
        (101, 168, 0, 0, True),
        (1000, 168 * 100, 0, 0, False),
        (1001, 168 * 100, 0, 0, True),
        (150, 168 * 20, 100, 168 * 200, True),  # 1.5 for each time that it was shown, and 0.1 before
        (150, 168 * 20, 1000, 168 * 200, False),
        (150, 168 * 20, 0, 168 * 200, False),
    ],
)
def test_many_more_visitors_than_usual_are_a_spike(
    visitors: int, before: int, shown: int, shown_before: int, found: bool
) -> None:
    hour = BusyHour(HOUR, "product", str(PRODUCT), visitors, before, shown, shown_before)
    assert is_spike(hour, LIMITS) is found
    assert kinds(SALE, hour) == ["click_spike"] * found


def test_a_spike_concerns_the_sales_of_its_hour_and_subject() -> None:
    spikes = [BusyHour(HOUR, kind, name, 900, 0) for kind, name in (("campaign", "summer"), ("network", "awin"))]
    assert kinds(SALE, *spikes) == ["click_spike"] * 2
    assert kinds(replace(SALE, hour=HOUR - timedelta(hours=1)), *spikes) == []
    assert kinds(replace(SALE, campaign=None, network="cj"), *spikes) == []


@given(st.randoms(use_true_random=False))
def test_flags_do_not_depend_on_the_order_of_facts(chance: random.Random) -> None:
    others = [
        same_order(chance.randint(-90, 90), chance.choice(("awin", "cj")), chance.choice("12"), chance.randint(2, 9))
        for _ in range(6)
    ]
    busy = [
        BusyHour(HOUR, *chance.choice((("campaign", "summer"), ("network", "awin"))), chance.randint(0, 300), 0)
        for _ in range(3)
    ]
    found = flags_of(replace(SALE, same_orders=others), busy, LIMITS)
    chance.shuffle(others)
    assert flags_of(replace(SALE, same_orders=others), busy, LIMITS) == found
    assert len({(flag.kind, flag.facts) for flag in found if flag.kind == "duplicate_order"}) == sum(
        flag.kind == "duplicate_order" for flag in found
    )
    assert all(flag.detail for flag in found)
