"""How six networks tell the lives of sales: rows in the shapes that docs/money.md names.

For tests/month.py. Nothing of the product is imported.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

SIGNS = {"USD": "$", "GBP": "£", "EUR": "€"}
IMPACT_ZONE = timezone(timedelta(hours=-5))


@dataclass(frozen=True)
class Shop:
    """An advertiser of a network, and the rate that its clicks are promised."""

    slug: str
    network: str
    advertiser_id: str
    currency: str
    rate: Decimal


@dataclass(frozen=True)
class Click:
    """A click on a shop's link; `token` is what its link carries."""

    id: UUID
    shop: Shop
    at: datetime

    @property
    def token(self) -> str:
        """The uuid in base32, small letters, without padding."""
        return base64.b32encode(self.id.bytes).decode().rstrip("=").lower()


@dataclass(frozen=True)
class Change:
    """From `at` on: the state, the commission and the sale that stand, in minor units."""

    at: datetime
    state: str  # pending, approved, declined, reversed, clawback
    commission: int
    sale: int
    is_paid: bool = False


@dataclass
class Sale:
    """A sale and its life: `changes` in order of time."""

    number: int
    shop: Shop
    click: Click | None
    ref: str
    ordered_at: datetime
    changes: list[Change] = field(default_factory=list)
    copies: int = 1

    @property
    def first(self) -> Change:
        return self.changes[0]

    def at(self, time: datetime) -> Change:
        """What stands at a time after the first change."""
        return [change for change in self.changes if change.at <= time][-1]


def csv_text(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def decimal_text(minor: int) -> str:
    return str(Decimal(minor).scaleb(-2).quantize(Decimal("0.01")))


def _plain(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def _clicked_at(sale: Sale) -> datetime:
    """What networks say; of sales without a click of ours a time at which nobody clicked."""
    return sale.click.at if sale.click else datetime(2026, 5, 1, 12, tzinfo=UTC)


def awin(sale: Sale, at: datetime) -> list[dict[str, Any]]:
    lived = [change for change in sale.changes if change.at <= at]
    now = lived[-1]
    amended_from = None
    for before, after in pairwise(lived):
        if after.commission != before.commission and after.state in ("pending", "approved"):
            amended_from = before
    ended = now.state in ("declined", "reversed", "clawback")
    standing = lived[-2] if ended and now.state != "declined" else now  # amounts stay on what is taken back whole
    decided = [change for change in lived if change.state != "pending"]
    decided = [c for n, c in enumerate(decided) if n == 0 or c.commission != decided[n - 1].commission]

    def money(minor: int) -> dict[str, Any]:
        return {"amount": float(decimal_text(minor)), "currency": sale.shop.currency}

    return [
        {
            "id": 810_000_000 + sale.number,
            "advertiserId": int(sale.shop.advertiser_id),
            "commissionStatus": "declined" if ended else now.state,
            "commissionAmount": money(standing.commission),
            "saleAmount": money(standing.sale),
            "clickRefs": {"clickRef": sale.ref} if sale.ref else {},
            "clickDate": _plain(_clicked_at(sale)),
            "transactionDate": _plain(sale.ordered_at),
            "validationDate": _plain(decided[-1].at) if decided else None,
            "amended": amended_from is not None,
            "oldCommissionAmount": money(amended_from.commission) if amended_from else None,
            "oldSaleAmount": money(amended_from.sale) if amended_from else None,
            "paidToPublisher": now.is_paid,
        }
    ]


def awin_push(sale: Sale) -> dict[str, Any]:
    """The sale as Awin pushes it when it happens."""
    return {
        "transactionId": str(810_000_000 + sale.number),
        "transactionDate": f"{sale.ordered_at:%Y-%m-%d %H:%M:%S}",
        "transactionCurrency": sale.shop.currency,
        "transactionAmount": decimal_text(sale.first.sale),
        "commission": decimal_text(sale.first.commission),
        "affiliateId": "45628",
        "merchantId": sale.shop.advertiser_id,
        "clickRef": sale.ref,
        "clickTime": f"{_clicked_at(sale):%Y-%m-%d %H:%M:%S}",
        "products": [],
    }


def _zoned(at: datetime) -> str:
    return at.astimezone(IMPACT_ZONE).isoformat(timespec="seconds")


def impact_action(sale: Sale, at: datetime) -> list[dict[str, Any]]:
    now = sale.at(at)
    approved = next((change for change in sale.changes if change.state == "approved" and change.at <= at), None)
    ended = now.state == "declined"
    lock = approved.at if approved else now.at if ended else sale.ordered_at + timedelta(days=45)
    return [
        {
            "Id": f"81.4636.{sale.number}",
            "CampaignId": sale.shop.advertiser_id,
            "State": "APPROVED" if approved else "REVERSED" if ended else "PENDING",
            "Payout": "0.00" if ended else decimal_text(now.commission),
            "DeltaPayout": decimal_text((0 if ended else now.commission) - sale.first.commission),
            "IntendedPayout": decimal_text(sale.first.commission),
            "Amount": "0.00" if ended else decimal_text(now.sale),
            "IntendedAmount": decimal_text(sale.first.sale),
            "Currency": sale.shop.currency,
            "ReferringDate": _zoned(_clicked_at(sale)),
            "EventDate": _zoned(sale.ordered_at),
            "LockingDate": _zoned(lock),
            "ClearedDate": _zoned(now.at) if now.is_paid else "",
            "SubId1": sale.ref,
            "SubId2": "",
            "SubId3": "",
        }
    ]


def impact_updates(sale: Sale) -> list[tuple[datetime, dict[str, Any]]]:
    rows, commission, value = [], 0, 0
    changes = [change for change in sale.changes if change.state in ("pending", "declined")]
    for number, change in enumerate(changes, 1):
        ended = change.state == "declined"
        now, now_sale = (0, 0) if ended else (change.commission, change.sale)
        row = {
            "Id": f"81.{sale.number}.{number}",
            "ActionId": f"81.4636.{sale.number}",
            "CampaignId": int(sale.shop.advertiser_id),
            "State": "REVERSED" if ended else "PENDING",
            "UpdateDate": _zoned(change.at),
            "EventDate": _zoned(sale.ordered_at),
            "Amount": decimal_text(now_sale),
            "DeltaAmount": decimal_text(now_sale - value),
            "Payout": decimal_text(now),
            "DeltaPayout": decimal_text(now - commission),
            "Currency": sale.shop.currency,
        }
        rows.append((change.at, row))
        commission, value = now, now_sale
    return rows


def cj(sale: Sale, at: datetime) -> list[dict[str, Any]]:
    """The original, and a correction per change of the amount; every third one is a restatement of two rows."""
    lived = [change for change in sale.changes if change.at <= at]
    approved = next((change for change in lived if change.state == "approved"), None)
    is_paid = any(change.is_paid for change in lived)

    def record(number: int, posted: datetime, commission: int, value: int, *, late: bool = False) -> dict[str, Any]:
        status = "closed" if is_paid and not late else "locked" if approved else "new"
        return {
            "commissionId": f"81{sale.number:06}{number:02}",
            "original": number == 0,
            "originalActionId": f"81{sale.number:06}",
            "actionStatus": status.upper() if sale.number % 2 else status,
            "advertiserId": sale.shop.advertiser_id,
            "sid": sale.ref,
            "clickDate": f"{_plain(_clicked_at(sale))}Z",
            "eventDate": f"{_plain(sale.ordered_at)}Z",
            "postingDate": f"{_plain(posted)}Z",
            "lockingDate": f"{_plain(approved.at if number == 0 else max(approved.at, posted))}Z" if approved else None,
            "pubCommissionAmountPubCurrency": decimal_text(commission),
            "saleAmountPubCurrency": decimal_text(value),
            "currency": sale.shop.currency,
        }

    rows = [record(0, sale.first.at, sale.first.commission, sale.first.sale)]
    number, standing, value = 1, sale.first.commission, sale.first.sale
    for change in lived[1:]:
        now, now_sale = (0, 0) if change.state == "declined" else (change.commission, change.sale)
        if now == standing:
            continue
        is_late = change.is_paid
        if sale.number % 3 == 0 and now:
            rows.append(record(number, change.at, -standing, -value, late=is_late))
            rows.append(record(number + 1, change.at, now, now_sale, late=is_late))
        else:
            rows.append(record(number, change.at, now - standing, now_sale - value, late=is_late))
        number, standing, value = number + 2, now, now_sale
    return rows


def _printed(at: datetime) -> str:
    return f"{at:%a %b %d %Y %H:%M:%S} GMT+0000 (UTC)"


def rakuten_events(sale: Sale) -> list[tuple[datetime, dict[str, Any]]]:
    rows, commission, value = [], 0, 0
    for number, change in enumerate(sale.changes):
        now, now_sale = (0, 0) if change.state == "declined" else (change.commission, change.sale)
        if change.state == "approved" and change.is_paid and now == commission:
            continue
        if number and now == commission:
            continue
        row = {
            "etransaction_id": f"{sale.number:020x}{number:04x}",
            "advertiser_id": int(sale.shop.advertiser_id),
            "order_id": f"81o{sale.number}",
            "sku_number": f"s{sale.number % 7}",
            "sale_amount": float(decimal_text(now_sale - value)),
            "commissions": float(decimal_text(now - commission)),
            "process_date": _printed(change.at),
            "transaction_date": _printed(sale.ordered_at),
            "u1": sale.ref,
            "currency": sale.shop.currency,
            "is_event": "N",
        }
        rows.append((change.at, row))
        if number == 0:
            noise = {**row, "etransaction_id": f"{sale.number:020x}ffff", "is_event": "Y", "commissions": 0.0}
            rows.append((change.at, noise))
        commission, value = now, now_sale
    return rows


RAKUTEN_HEADER = [
    "Member ID (U1)", "MID", "Advertiser Name", "Order ID", "Transaction Date", "Transaction Time", "SKU", "Sales",
    "# of Items", "Total Commission", "Process Date", "Process Time", "Currency",
]  # fmt: skip


def rakuten_rows(sale: Sale) -> list[tuple[datetime, list[str]]]:
    """What was approved and taken back, in equal rows where the sale has copies."""
    rows: list[tuple[datetime, list[str]]] = []
    commission, value = 0, 0
    for change in (change for change in sale.changes if change.state in ("approved", "reversed", "clawback")):
        if change.commission == commission:
            continue
        row = [
            sale.ref, sale.shop.advertiser_id, sale.shop.slug, f"81o{sale.number}",
            f"{sale.ordered_at.month}/{sale.ordered_at.day}/{sale.ordered_at:%y}", f"{sale.ordered_at:%H:%M:%S}",
            f"s{sale.number % 7}", f"{Decimal(decimal_text((change.sale - value) // sale.copies)):,}", "1",
            f"{Decimal(decimal_text((change.commission - commission) // sale.copies)):,}",
            f"{change.at.month}/{change.at.day}/{change.at:%y}", f"{change.at:%H:%M:%S}", sale.shop.currency,
        ]  # fmt: skip
        rows += [(change.at, row)] * sale.copies
        commission, value = change.commission, change.sale
    return rows


def amazon_header(currency: str) -> list[str]:
    sign = SIGNS[currency]
    return [
        "Category", "Name", "ASIN", "Seller", "Tracking ID", "Date Shipped", f"Price({sign})", "Items Shipped",
        "Returns", f"Revenue({sign})", f"Ad Fees({sign})", "Device Type Group", "Direct/Indirect",
    ]  # fmt: skip


def amazon_rows(sale: Sale) -> list[tuple[datetime, list[str]]]:
    asin = f"B0{sale.number % 40:08}"
    return [
        (
            row.at,
            ["Home", f"Thing, {sale.number % 40}", asin, "Amazon", sale.ref, f"{row.at:%Y-%m-%d}",
             decimal_text(abs(row.sale)), "0" if row.commission < 0 else "1", "1" if row.commission < 0 else "0",
             decimal_text(row.sale), decimal_text(row.commission), "Desktop", "Direct"],
        )
        for row in sale.changes
    ]  # fmt: skip


def ebay(sale: Sale) -> list[tuple[datetime, dict[str, str]]]:
    rows, commission, value = [], 0, 0
    for change in sale.changes:
        ended = change.state in ("declined", "reversed", "clawback")
        now, now_sale = (0, 0) if ended else (change.commission, change.sale)
        state = "reversed" if ended else {"pending": "pending", "approved": "confirmed"}[change.state]
        row = {
            "Event Date": f"{sale.ordered_at:%Y-%m-%d %H:%M:%S}",
            "Update Date": f"{change.at:%Y-%m-%d %H:%M:%S}",
            "EPN Transaction ID": f"81{sale.number:08}",
            "Status": state,
            "Campaign ID": sale.shop.advertiser_id,
            "Custom ID": sale.ref,
            "Sales": decimal_text(now_sale),
            "Delta Sales": decimal_text(now_sale - value),
            "Earnings": decimal_text(now),
            "Delta Earnings": decimal_text(now - commission),
            "Currency": sale.shop.currency,
        }
        if change.is_paid and now == commission:
            continue  # a payment is no update
        rows.append((change.at, row))
        commission, value = now, now_sale
    return rows
