"""Signs of fraud in sales: pure rules over what was reported and counted. docs/money.md#signs-of-fraud"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Kind = Literal[
    "duplicate_order", "early_sale", "visitor_clicks", "network_clicks", "visitor_sales", "network_sales",
    "own_gift_link", "click_spike",
]  # fmt: skip

BASELINE_HOURS = 7 * 24
MAX_ORDER_AGE = timedelta(days=30)  # between two sales of one order number; shops may begin again
LINES_OF_ORDERS = frozenset({"rakuten"})  # networks that report each line of an order as a sale
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What is suspicious begins above these counts. `early_sale_seconds`: a sale within them after its click is."""

    early_sale_seconds: int = 10
    visitor_clicks: int = 30
    network_clicks: int = 300
    visitor_sales: int = 5
    network_sales: int = 20
    spike_factor: int = 10
    spike_hits: int = 100


@dataclass(frozen=True, slots=True)
class SameOrder:
    """Another sale that was reported with the same order number, at the same shop."""

    order_id: str
    id: UUID
    network: str
    reference: str
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class BusyHour:
    """Visitors of a product, campaign or network (`kind`, `subject`) in an hour, each once however many links they
    followed, so that nobody alone makes a spike; and the sum of those of each hour of the week before it. Of a product
    also how often it was shown."""

    hour: datetime
    kind: str
    subject: str
    visitors: int
    visitors_before: int
    shown: int = 0
    shown_before: int = 0


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale, and what was counted around it. `hour` is that in which its link was followed; clicks of its visitor and
    network are of that hour, sales of that day."""

    id: UUID
    network: str
    ordered_at: datetime
    click_id: UUID | None = None
    followed_at: datetime | None = None
    hour: datetime | None = None
    product_id: UUID | None = None
    campaign: str | None = None
    visitor_clicks: int = 0
    network_clicks: int = 0
    visitor_sales: int = 0
    network_sales: int = 0
    is_by_maker: bool = False
    same_orders: Sequence[SameOrder] = field(default=())


@dataclass(frozen=True, slots=True)
class Flag:
    """A suspicion. It is the same one, whatever its `detail`, for the same sale, kind and `facts`."""

    kind: Kind
    facts: str
    detail: str


def flags_of(sale: Sale, busy: Iterable[BusyHour], limits: Limits) -> list[Flag]:
    """What is suspicious of a sale; a function of the facts, however they arrived."""
    found = list(_duplicates(sale))
    if sale.click_id is None:
        return found
    click = str(sale.click_id)
    if (seconds := _seconds_after_click(sale)) is not None and seconds < limits.early_sale_seconds:
        found.append(Flag("early_sale", click, f"ordered {seconds:.0f} seconds after the link was followed"))
    for kind, count, limit, what in (
        ("visitor_clicks", sale.visitor_clicks, limits.visitor_clicks, "links followed by one visitor in the hour"),
        ("network_clicks", sale.network_clicks, limits.network_clicks, "links followed from one network in the hour"),
        ("visitor_sales", sale.visitor_sales, limits.visitor_sales, "sales came from one visitor's clicks of the day"),
        ("network_sales", sale.network_sales, limits.network_sales, "sales came from one network's clicks of the day"),
    ):  # fmt: skip
        if count > limit:
            found.append(Flag(kind, click, f"{count} {what}"))  # type: ignore[arg-type]
    if sale.is_by_maker:
        found.append(Flag("own_gift_link", click, "the maker of the gift link seems to have followed it"))
    found += _spikes(sale, click, busy, limits)
    return found


def _duplicates(sale: Sale) -> Iterable[Flag]:
    """The first sale of an order stands, the others are suspicious."""
    earlier: dict[str, SameOrder] = {}
    for other in sale.same_orders:
        if other.network == sale.network and sale.network in LINES_OF_ORDERS:
            continue
        is_first = (other.ordered_at, other.id) < (sale.ordered_at, sale.id)
        if not is_first or sale.ordered_at - other.ordered_at > MAX_ORDER_AGE:
            continue
        known = earlier.setdefault(other.order_id, other)
        if (other.ordered_at, other.id) < (known.ordered_at, known.id):
            earlier[other.order_id] = other
    for order, other in sorted(earlier.items()):
        text = f"order {order[:_MAX_SHOWN]} is also {other.network} {other.reference}"
        yield Flag("duplicate_order", order, text)


def _seconds_after_click(sale: Sale) -> float | None:
    """None where it cannot be told: a network that names the day or the hour alone, or a time before the click."""
    if sale.followed_at is None or (sale.ordered_at.minute, sale.ordered_at.second) == (0, 0):
        return None
    seconds = (sale.ordered_at - sale.followed_at).total_seconds()
    return seconds if seconds >= 0 else None


def _spikes(sale: Sale, click: str, busy: Iterable[BusyHour], limits: Limits) -> Iterable[Flag]:
    subjects = {
        ("product", str(sale.product_id)),
        ("campaign", sale.campaign),
        ("network", sale.network),
    }
    for each in sorted(busy, key=lambda each: (each.kind, each.subject)):
        if each.hour == sale.hour and (each.kind, each.subject) in subjects and is_spike(each, limits):
            usual = each.visitors_before / BASELINE_HOURS
            when = f"{each.hour:%Y-%m-%d %H:%M} UTC"
            text = (
                f"{each.visitors} visitors of the {each.kind} in the hour from {when}, and {usual:.1f} an hour before"
            )
            yield Flag("click_spike", f"{click} {each.kind}", text)


def is_spike(each: BusyHour, limits: Limits) -> bool:
    """Whether an hour has `spike_hits`, and `spike_factor` times as many as the hours of the week before it (at least
    one an hour); or, of a product, that many for each time it was shown."""
    if each.visitors < limits.spike_hits:
        return False
    if each.visitors > limits.spike_factor * max(each.visitors_before / BASELINE_HOURS, 1):
        return True
    if min(each.shown, each.shown_before, each.visitors_before) == 0:
        return False
    return each.visitors * each.shown_before > limits.spike_factor * each.visitors_before * each.shown
