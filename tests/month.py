"""A made-up month of business: the files of six networks and their payments, with the balances that are true of it.

Each sale is given a life first (amended, declined, approved, taken back before or after its payment), and its figures
follow from that life alone; the files are written afterwards, in the shapes that docs/money.md names. Nothing of the
product is imported here, so a fault of its readers cannot hide in the figures.

    month = Month(seed=7, clicks=5_000, sales=1_000)
    month.files         # what to import, in any order and any number of times
    month.by            # the figures that must result,
    month.currencies    # and their sums
    month.unmatched     # how many conversions have no click of ours
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import asyncpg

from tests.month_files import (
    RAKUTEN_HEADER,
    Change,
    Click,
    Sale,
    Shop,
    amazon_header,
    amazon_rows,
    awin,
    cj,
    csv_text,
    decimal_text,
    ebay,
    impact_action,
    impact_updates,
    rakuten_events,
    rakuten_rows,
)

FIRST, LAST = datetime(2026, 6, 5, tzinfo=UTC), datetime(2026, 7, 31, tzinfo=UTC)
END = datetime(2026, 9, 1, tzinfo=UTC)
PERIODS = (  # first and last day of approval, and the day of payment
    (date(2026, 6, 1), date(2026, 7, 20), date(2026, 7, 25)),
    (date(2026, 7, 21), date(2026, 8, 10), date(2026, 8, 15)),
)
FIGURES = ("expected", "tracked", "pending", "approved", "declined", "reversed", "paid", "clawback")
OUR_TRACKING_IDS = ("aclue-web-21", "aclue-mail-21")
SHOPS = tuple(
    Shop(f"month-{network}-{currency.lower()}{extra}", network, advertiser, currency, Decimal(rate))
    for network, currency, advertiser, rate, extra in (
        ("awin", "GBP", "8100", "0.0525", ""),
        ("awin", "EUR", "8101", "0.0800", ""),
        ("impact", "USD", "8102", "0.0450", ""),
        ("impact", "GBP", "8103", "0.0700", ""),
        ("cj", "USD", "8104", "0.0333", ""),
        ("cj", "USD", "8105", "0.0600", "-two"),
        ("rakuten", "GBP", "8106", "0.0500", ""),
        ("rakuten", "EUR", "8107", "0.0250", ""),
        ("amazon", "USD", "amazon", "0.0300", ""),
        ("amazon", "GBP", "amazon", "0.0400", ""),
        ("ebay", "EUR", "8110", "0.0150", ""),
        ("ebay", "USD", "8111", "0.0275", ""),
    )
)


@dataclass(frozen=True)
class File:
    """A file: of conversions of a network, or of payments (network is empty)."""

    network: str
    name: str
    text: str


class Month:
    """See the module. Equal arguments make equal months."""

    def __init__(self, *, seed: int, clicks: int, sales: int, pull_days: int = 10) -> None:
        self._random = random.Random(seed)
        self._pull_days = pull_days
        self._figures: dict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
        self._due: Counter[tuple[Shop, int]] = Counter()
        self._seed = seed % 1000
        linked = [shop for shop in SHOPS if shop.network != "amazon"]
        self.clicks = [
            Click(UUID(int=self._random.getrandbits(128), version=4), self._pick(linked), self._time(FIRST, LAST))
            for _ in range(clicks)
        ]
        self._clicks_of: dict[str, list[Click]] = defaultdict(list)
        for click in self.clicks:
            self._clicks_of[click.shop.slug].append(click)
        self.unmatched = 0
        self.sales = [self._sale(number) for number in range(sales)]
        self.files = list(self._written())

    # The truth ------------------------------------------------------------------------------------------------------

    @property
    def by(self) -> dict[tuple[str, str, str, str], dict[str, int]]:
        """Minor units by network, shop, month of the order (UTC) and currency."""
        return {key: {name: counted[name] for name in FIGURES} for key, counted in sorted(self._figures.items())}

    @property
    def currencies(self) -> dict[str, dict[str, int]]:
        """Minor units by currency."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for (_, _, _, currency), counted in self._figures.items():
            for name in FIGURES:
                found[currency][name] += counted[name]
        return {code: dict(counted) for code, counted in found.items()}

    def _pick(self, among: Any) -> Any:
        return self._random.choice(among)

    def _time(self, first: datetime, last: datetime) -> datetime:
        return first + timedelta(seconds=self._random.randrange(int((last - first).total_seconds())))

    def _sale(self, number: int) -> Sale:
        shop = self._pick(SHOPS)
        if shop.network == "amazon":
            return self._amazon_sale(number, shop)
        click = self._pick(self._clicks_of[shop.slug] or [None])
        if click is None or self._random.random() < 0.1:
            click, ref = None, self._pick(("", "homepage_banner", "zzzz", Click(UUID(int=number), shop, FIRST).token))
            ordered_at = self._time(FIRST, LAST)
        else:
            ref, ordered_at = click.token, click.at + timedelta(seconds=self._random.randrange(60, 86_400))
        if self._random.random() < 0.15:  # close to the change of months
            ordered_at = datetime(2026, 7, 1, tzinfo=UTC) + timedelta(seconds=self._random.randrange(-7200, 7200))
        sale = Sale(number, shop, click, ref, ordered_at)
        if shop.network == "rakuten" and self._random.random() < 0.15:
            sale.copies = 2
        self._live(sale)
        self._count(sale)
        return sale

    def _live(self, sale: Sale) -> None:
        """Gives a sale its changes. Amounts of a sale with copies are even at every step."""
        share = sale.copies
        value, commission = (self._random.randrange(100, 60_000) * share, self._random.randrange(2, 9_000) * share)
        at = sale.ordered_at + timedelta(seconds=180)
        sale.changes.append(Change(at, "pending", commission, value))
        network, chance = sale.shop.network, self._random.random
        if chance() < 0.25:
            at += timedelta(seconds=self._random.randrange(3_600, 3 * 86_400))
            part = self._random.randrange(3, 9)
            if network in ("awin", "impact", "ebay") and chance() < 0.4:
                part = 13  # more than was reported first
            commission, value = commission // share * part // 10 * share, value // share * part // 10 * share
            if commission:
                sale.changes.append(Change(at, "pending", commission, value))
            else:
                commission, value = sale.first.commission, sale.first.sale
        if (kind := chance()) < 0.15:
            return
        at = self._decided_at(at)
        if kind < 0.3:
            sale.changes.append(Change(at, "declined", commission, value))
            return
        sale.changes.append(Change(at, "approved", commission, value))
        if network == "impact":
            self._pay(sale, at, None)
            return
        takes_back = chance() < 0.4
        latest = max(END - timedelta(days=3), at + timedelta(hours=2))
        back_at = self._time(at + timedelta(hours=1), latest) if takes_back else None
        self._pay(sale, at, back_at)

    def _decided_at(self, after: datetime) -> datetime:
        """Sometimes at the edge of a period. Impact's days are those of UTC in its own zone, too."""
        edges = [datetime(2026, 7, 20, 23, 59, 59, tzinfo=UTC), datetime(2026, 7, 21, 5, 0, 1, tzinfo=UTC)]
        edges = [edge for edge in edges if edge > after + timedelta(days=2)]
        if edges and self._random.random() < 0.1:
            return self._pick(edges)
        day = self._time(after + timedelta(days=1), after + timedelta(days=25)).date()
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
            days=1, seconds=self._random.randrange(5 * 3600, 86_399)
        )

    def _period(self, shop: Shop, approved_at: datetime) -> int | None:
        """The number of the payment that covers an approval; half of the shops are paid only once."""
        for number, (first, last, _) in enumerate(PERIODS):
            if first <= approved_at.date() <= last and (number == 0 or int(shop.advertiser_id[-1:], 36) % 2 == 0):
                return number
        return None

    def _pay(self, sale: Sale, approved_at: datetime, back_at: datetime | None) -> None:
        """Adds the payment, and what is taken back before or after it."""
        period = self._period(sale.shop, approved_at)
        paid_at = None if period is None else datetime.combine(PERIODS[period][2], datetime.min.time(), UTC)
        standing = sale.changes[-1]
        if back_at is not None and (paid_at is None or back_at < paid_at):
            standing = self._take_back(sale, back_at, is_paid=False)
            back_at = None
        if period is not None and paid_at is not None:
            self._due[(sale.shop, period)] += standing.commission
            if standing.state == "approved":
                sale.changes.append(replace(standing, at=paid_at, is_paid=True))
        if back_at is not None:
            self._take_back(sale, back_at, is_paid=True)

    def _take_back(self, sale: Sale, at: datetime, *, is_paid: bool) -> Change:
        standing = sale.changes[-1]
        part = self._random.randrange(1, 10) if self._random.random() < 0.6 else 10
        share = sale.copies
        left = standing.commission // share * (10 - part) // 10 * share
        left_sale = standing.sale // share * (10 - part) // 10 * share
        if left == standing.commission:
            left, left_sale = 0, 0
        state = "approved" if left else ("clawback" if is_paid else "reversed")
        change = Change(at, state, left, left_sale, is_paid)
        sale.changes.append(change)
        return change

    def _count(self, sale: Sale) -> None:
        counted = self._figures[(sale.shop.network, sale.shop.slug, f"{sale.ordered_at:%Y-%m}", sale.shop.currency)]
        if sale.click is None:
            self.unmatched += 1
        else:
            exact = Decimal(sale.first.sale) * sale.shop.rate
            counted["expected"] += int(exact.quantize(Decimal(1), ROUND_HALF_UP))
            counted["tracked"] += sale.first.commission
        before: Change | None = None
        for change in sale.changes:
            if change.state == "declined":
                counted["declined"] += change.commission
            elif before is not None and before.state == "approved" and change.commission < before.commission:
                counted["clawback" if change.is_paid else "reversed"] += before.commission - change.commission
            before = change
        assert before is not None
        if before.state == "pending":
            counted["pending"] += before.commission
        elif before.state == "approved":
            counted["paid" if before.is_paid else "approved"] += before.commission

    def _amazon_sale(self, number: int, shop: Shop) -> Sale:
        """A row, or two equal ones, and sometimes one that takes back; each row is a conversion."""
        tracking_id = self._pick((*OUR_TRACKING_IDS, *OUR_TRACKING_IDS, "somebody-else-20"))
        day = self._time(FIRST, LAST).replace(hour=0, minute=0, second=0)
        sale = Sale(number, shop, None, tracking_id, day, copies=2 if self._random.random() < 0.2 else 1)
        fees = self._random.randrange(1, 900)
        rows = [Change(day, "row", fees, fees * 30)] * sale.copies
        if self._random.random() < 0.2:
            rows.append(Change(day + timedelta(days=self._random.randrange(0, 25)), "row", -fees, -fees * 30))
        sale.changes = rows
        for row in rows:
            counted = self._figures[(shop.network, shop.slug, f"{row.at:%Y-%m}", shop.currency)]
            period = self._period(shop, row.at)
            counted["approved" if period is None else "paid"] += row.commission
            if row.commission < 0:
                counted["reversed"] -= row.commission
            if period is not None:
                self._due[(shop, period)] += row.commission
            self.unmatched += tracking_id not in OUR_TRACKING_IDS
        return sale

    # The files ------------------------------------------------------------------------------------------------------

    def _written(self) -> Iterator[File]:
        for network, write in (("awin", awin), ("impact", impact_action), ("cj", cj)):
            yield from self._snapshots(network, write)
        rows = {"impact": impact_updates, "ebay": ebay, "rakuten": rakuten_events}
        for network, changes in rows.items():
            yield from self._changes(network, changes)
        yield from self._whole_days("rakuten", rakuten_rows, RAKUTEN_HEADER)
        for sign in sorted({shop.currency for shop in SHOPS if shop.network == "amazon"}):
            yield from self._whole_days("amazon", amazon_rows, amazon_header(sign), currency=sign)
        payments = [
            [shop.network, shop.advertiser_id, shop.slug, first.isoformat(), last.isoformat(), shop.currency,
             decimal_text(due), paid.isoformat(), f"month-{self._seed}-{shop.slug}-{number}"]
            for (shop, number), due in sorted(self._due.items(), key=lambda item: (item[0][0].slug, item[0][1]))
            for first, last, paid in [PERIODS[number]]
            if due
        ]  # fmt: skip
        header = "network,advertiser_id,advertiser,period_start,period_end,currency,amount,paid_on,reference"
        for number, half in enumerate((payments[::2], payments[1::2])):
            yield File("", f"payments-{number}.csv", csv_text(header.split(","), half))

    def _pulls(self) -> list[datetime]:
        days = (END - FIRST).days
        return [FIRST + timedelta(days=day) for day in range(self._pull_days, days + self._pull_days, self._pull_days)]

    def _of(self, network: str) -> list[Sale]:
        return [sale for sale in self.sales if sale.shop.network == network]

    def _snapshots(self, network: str, write: Callable[[Sale, datetime], list[dict[str, Any]]]) -> Iterator[File]:
        """Each pull has what stands of sales that changed lately; what no pull would see is in the next one, too. Some
        rows come a few pulls late, and some twice."""
        pulls = self._pulls()
        files: list[list[dict[str, Any]]] = [[] for _ in pulls]
        for sale in self._of(network):
            ends = [change.at for change in sale.changes[1:]] + [END + timedelta(days=99)]
            for change, until in zip(sale.changes, ends, strict=True):
                first = next((n for n, pull in enumerate(pulls) if pull > change.at), len(pulls) - 1)
                if self._random.random() < 0.05:
                    first = min(first + 3, len(pulls) - 1)
                for number in range(first, min(first + 3, len(pulls))):
                    if number == first or pulls[number] < until:
                        files[number] += write(sale, change.at)
        yield from self._json_files(network, pulls, files)

    def _changes(self, network: str, write: Callable[[Sale], list[tuple[datetime, dict[str, Any]]]]) -> Iterator[File]:
        """Each pull has the changes of the days since the last one but one."""
        pulls = self._pulls()
        files: list[list[dict[str, Any]]] = [[] for _ in pulls]
        for sale in self._of(network):
            for at, row in write(sale):
                first = next((n for n, pull in enumerate(pulls) if pull > at), len(pulls) - 1)
                if self._random.random() < 0.05:
                    first = min(first + 3, len(pulls) - 1)
                for number in range(first, min(first + 2, len(pulls))):
                    files[number].append(row)
        if network == "ebay":
            for pull, rows in zip(pulls, files, strict=True):
                self._random.shuffle(rows)
                if rows:
                    header = list(rows[0])
                    text = csv_text(header, [[row[name] for name in header] for row in rows + rows[:2]])
                    yield File(network, f"ebay-{pull:%m%d}.csv", text)
            return
        yield from self._json_files(network, pulls, files, kind="updates" if network == "impact" else "events")

    def _json_files(
        self, network: str, pulls: list[datetime], files: list[list[dict[str, Any]]], *, kind: str = "sales"
    ) -> Iterator[File]:
        for pull, rows in zip(pulls, files, strict=True):
            twice = rows + rows[: len(rows) // 30]
            self._random.shuffle(twice)
            if not twice:
                continue
            document: Any = twice
            if network == "impact":
                document = {"@page": "1", "Actions" if kind == "sales" else "ActionUpdates": twice}
            elif network == "cj":
                found = {"count": len(twice), "payloadComplete": True, "records": twice}
                document = {"data": {"publisherCommissions": found}}
            yield File(network, f"{network}-{kind}-{pull:%m%d}.json", json.dumps(document))

    def _whole_days(
        self, network: str, write: Callable[[Sale], list[tuple[datetime, list[str]]]], header: list[str],
        *, currency: str | None = None,
    ) -> Iterator[File]:  # fmt: skip
        """Files of whole days that overlap."""
        rows = [row for sale in self._of(network) if currency in (None, sale.shop.currency) for row in write(sale)]
        for pull in self._pulls():
            first = pull - timedelta(days=self._pull_days * 3 // 2)
            held = [row for at, row in rows if first <= at < pull]
            self._random.shuffle(held)
            if held:
                title = (
                    f"Fee-Earnings reports from {first:%m-%d-%Y} to {pull:%m-%d-%Y}\n" if network == "amazon" else ""
                )
                yield File(network, f"{network}-rows-{currency or ''}-{pull:%m%d}.csv", title + csv_text(header, held))


async def prepare(database: asyncpg.Connection[Any], month: Month) -> None:
    """Puts in the shops, the placements and the clicks, which no import makes."""
    for shop in SHOPS:
        await database.execute(
            "insert into public.retailers (slug, name, affiliate_network, commission_rate) values ($1, $1, $2, $3)",
            shop.slug,
            shop.network,
            shop.rate,
        )
    for tracking_id in OUR_TRACKING_IDS:
        await database.execute(
            "insert into public.placements (retailer_id, network, name, tracking_id)"
            " select id, 'amazon', $1, $1 from public.retailers where slug = 'month-amazon-gbp'",
            tracking_id,
        )
    somebody = await database.fetchval("insert into public.profiles (is_anonymous) values (true) returning id")
    await database.execute(
        "insert into public.affiliate_clicks (user_id, id, product_id, retailer_id, affiliate_network, affiliate_url,"
        " price_minor, currency, commission_rate, click_timestamp)"
        " select $1, c.id, (select id from public.products limit 1), r.id, r.affiliate_network, 'https://shop.example/',"
        " 1000, 'GBP', r.commission_rate, c.clicked_at"
        " from unnest($2::uuid[], $3::text[], $4::timestamptz[]) c (id, shop, clicked_at)"
        " join public.retailers r on r.slug = c.shop",
        somebody,
        [click.id for click in month.clicks],
        [click.shop.slug for click in month.clicks],
        [click.at for click in month.clicks],
    )


def figures_of(row: dict[str, str]) -> dict[str, int]:
    """Minor units; every currency of the month has two decimals."""
    return {name: int(row[name].replace(".", "")) for name in FIGURES}
