"""A made-up month with the awkward cases together: currencies of no and of three decimals or without a rate, equal ids
at two networks, corrections, partial reversals, clawbacks with and without a payment, and postbacks, in any order.

The figures of each sale are counted from its life before a report of it is written.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from db.claims import SERVICE
from domain.ledger import awin, generic, postbacks
from domain.ledger.reports import Report
from services import ledger
from tests.conftest import Shop
from tests.integration.test_ledger import pay, reconciled
from tests.ledger import awin as awin_row
from tests.ledger import awin_push

DECIMALS = {"GBP": 2, "EUR": 2, "JPY": 0, "KWD": 3}
NETWORKS = ("awin", "partnerize")
NAMES = ("pending", "approved", "declined", "reversed", "paid", "clawback")
FIRST, PAID_ON, END = (datetime(2026, month, day, tzinfo=UTC) for month, day in ((7, 1), (8, 20), (9, 20)))
MAPPING = """
format = "json"
states = {P = "pending", A = "approved", D = "declined", X = "paid"}
[fields]
reference = "id"
state = "status"
amount = "commission"
currency = "currency"
advertiser_id = "program"
ordered_at = "sold"
stated_at = "changed"
"""


class Life:
    """A sale: what happens, what of it is paid, and the figures that follow. `reports` are (time, state, commission,
    what stood before, is paid)."""

    def __init__(self, chance: random.Random, number: int, network: str, currency: str, *, has_payment: bool) -> None:
        self.reference, self.network, self.currency, self.has_payment = f"S{number}", network, currency, has_payment
        self.ordered_at = FIRST + timedelta(minutes=chance.randrange(9 * 24 * 60))
        self.figures: Counter[str] = Counter()
        self.due = 0
        self.reports: list[tuple[datetime, str, int, int | None, bool]] = []
        self._live(chance)

    def _say(self, at: datetime, state: str, amount: int, before: int | None = None, *, is_paid: bool = False) -> None:
        self.reports.append((at, state, amount, before, is_paid))

    def _live(self, chance: random.Random) -> None:
        amount, at, before = chance.randrange(20, 90_000), self.ordered_at, None
        self._say(at, "pending", amount)
        if chance.random() < 0.4:
            before, amount, at = amount, chance.randrange(20, 90_000), at + timedelta(hours=5)
            self._say(at, "pending", amount, before)
        if (kind := chance.random()) < 0.2:
            self.figures["pending"] = amount
            return
        at = self.ordered_at + timedelta(days=chance.randrange(2, 12), seconds=7)
        if kind < 0.35:
            self._say(at, "declined", amount)
            self.figures["declined"] = amount
            return
        self._say(at, "approved", amount, before)
        if chance.random() < 0.3:
            before, amount, at = amount, chance.randrange(1, amount), at + timedelta(days=chance.randrange(1, 6))
            self._say(at, "approved", amount, before)
            self.figures["reversed"] = before - amount
        if kind < 0.5 and not self.has_payment:
            self.figures["approved"] = amount
            return
        self.due = amount
        paid_at = at if self.network == "awin" else PAID_ON + timedelta(hours=1)
        self._say(paid_at, "approved", amount, before, is_paid=True)
        if chance.random() < 0.4:
            back_at = PAID_ON + timedelta(days=chance.randrange(1, 25))
            left = chance.choice([0, chance.randrange(1, amount)]) if amount > 1 else 0
            self._say(back_at, "approved" if left else "declined", left or amount, amount, is_paid=True)
            self.figures["clawback"], amount = amount - left, left
        self.figures["paid"] = amount

    def _text(self, minor: int) -> str:
        return str(Decimal(minor).scaleb(-DECIMALS[self.currency]))

    def rows(self) -> list[dict[str, Any]]:
        """As its network writes them."""
        return [self._row(*said) for said in self.reports]

    def _row(self, at: datetime, state: str, amount: int, before: int | None, is_paid: bool) -> dict[str, Any]:
        if self.network == "awin":
            return awin_row(
                self.reference,
                state,
                commission=self._text(amount),
                currency=self.currency,
                validated=None if state == "pending" else f"{at:%Y-%m-%dT%H:%M:%S}",
                paid=is_paid,
                old=None if before is None else self._text(before),
                transactionDate=f"{self.ordered_at:%Y-%m-%dT%H:%M:%S}",
                saleAmount={"amount": 0, "currency": self.currency},
            )
        word = {"pending": "P", "approved": "X" if is_paid else "A", "declined": "D"}[state]
        return {
            "id": self.reference,
            "status": word,
            "commission": self._text(amount),
            "currency": self.currency,
            "program": "77",
            "sold": self.ordered_at.isoformat(),
            "changed": at.isoformat(),
        }

    def push(self) -> Any:
        """A postback with another commission, of a sale that the files report, too."""
        return awin_push(self.reference, commission=self._text(7)) | {
            "transactionCurrency": self.currency,
            "transactionDate": f"{self.ordered_at:%Y-%m-%d %H:%M:%S}",
        }


def read(network: str, rows: list[dict[str, Any]]) -> tuple[Report, ...]:
    source = awin.SOURCE if network == "awin" else generic.source(network, generic.parse_mapping(MAPPING))
    reading = source.read(json.dumps(rows))
    assert not reading.rejects, reading.rejects
    return reading.reports


@pytest.mark.parametrize("seed", [3, 77])
async def test_a_mixed_month_is_true_in_any_order_and_however_often_it_comes(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    sales = [
        Life(chance, number, network, currency, has_payment=currency != "KWD")
        for network in NETWORKS
        for number, currency in enumerate(sorted(DECIMALS) * 8)
    ]
    truth: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    due: Counter[tuple[str, str]] = Counter()
    for sale in sales:
        truth[sale.network, sale.currency].update(sale.figures)
        if sale.has_payment:
            due[sale.network, sale.currency] += sale.due
    rows = [(sale.network, row) for sale in sales for row in sale.rows()]
    pushes = [sale.push() for sale in sales if sale.network == "awin" and chance.random() < 0.3]

    for _ in range(3):
        chance.shuffle(rows)
        batches: list[tuple[str, str, tuple[Report, ...]]] = []
        for start in range(0, len(rows), 25):
            part = rows[start : start + 25]
            for network in NETWORKS:
                mine = [row for of, row in part if of == network]
                batches.append((chance.choice(["import", "pull"]), network, read(network, mine + mine[:2])))
        for push in pushes:
            message = postbacks.Message("application/json", b"", json.dumps(push).encode())
            batches.append(("postback", "awin", postbacks.read("awin", None, message).reports))
        payments: list[Any] = [(network, currency, amount) for (network, currency), amount in due.items()]
        everything = [*batches, *payments]
        chance.shuffle(everything)
        for source, network, what in everything:
            if isinstance(what, int):
                amount = str(Decimal(what).scaleb(-DECIMALS[network]))
                of = {"network": source, "currency": network, "reference": f"{source}-{network}"}
                await pay(shop, amount, **of)
                continue
            async with shop.services.database.session(SERVICE, read_only=False) as session:
                await ledger.import_reports(session, what, source=source)
        found = await reconciled(shop)
        by: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for row in found["by"]:
            for name in NAMES:
                by[row["network"], row["currency"]][name] += int(Decimal(row[name]).scaleb(DECIMALS[row["currency"]]))
        assert {key: +counted for key, counted in by.items()} == {key: +counted for key, counted in truth.items()}
        assert {Decimal(row["variance"]) for row in found["by"]} == {0}
        assert (found["exceptions"], found["unmatched"]) == (0, len(sales))

    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.rebuild_and_compare(session) == (len(sales), False)
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await shop.owner.fetch(off) == []


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("fault", ["removed", "doubled", "changed", "none"])
async def test_a_report_that_a_payment_covers_cannot_be_wrong_unseen(shop: Shop, network: str, fault: str) -> None:
    lives = []
    for number in range(3):
        life = Life(random.Random(number), number, network, "GBP", has_payment=True)
        life.reports = [
            (FIRST, "pending", 100 + number, None, False),
            (FIRST + timedelta(days=3), "approved", 100 + number, None, False),
        ]
        lives.append(life)
    rows = [row for life in lives for row in life.rows()]
    if fault == "removed":
        del rows[1]
    elif fault == "doubled":
        rows.append(rows[1] | {"id": "S9"})
    elif fault == "changed":
        lives[0].reports[1] = (FIRST + timedelta(days=3), "approved", 99, None, False)
        rows[1] = lives[0].rows()[1]
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.import_reports(session, read(network, rows), source="import")
    await pay(shop, "3.03", network=network)
    found = await reconciled(shop)
    assert found["exceptions"] == int(fault != "none")
    assert any(Decimal(row["variance"]) for row in found["by"]) is (fault != "none")
