"""Six networks tell the life of a sale, each in its own shape; the figures are those of the life.

A life is drawn first and its figures follow from it directly. Then it is told as files of each network, in any order
and any number of times.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.booking import Booked, Payment, book
from domain.ledger.payments import settle
from domain.ledger.reports import BadFile, Report
from domain.ledger.sources import SOURCES, timeline_of
from domain.ledger.timelines import Step, Timeline

ORDERED = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
AMENDED, DECIDED, CUT = (ORDERED + timedelta(days=days) for days in (3, 10, 20))
PERIOD = (date(2026, 7, 1), date(2026, 7, 31))


@dataclass(frozen=True)
class Life:
    """A sale: its commission, an amendment, the decision, what is taken back later, and when it is paid, if it is."""

    first: int
    amended: int | None
    decision: str
    taken_back: int
    paid: str

    @property
    def decided(self) -> int:
        return self.first if self.amended is None else self.amended

    @property
    def figures(self) -> dict[str, int]:
        if self.decision != "approved":
            return {self.decision: self.decided}
        stands = "paid" if self.paid else "approved"
        taken = "clawback" if self.paid == "before" else "reversed"
        return {stands: self.decided - self.taken_back, taken: self.taken_back}

    @property
    def payment(self) -> Payment | None:
        """Of a network that pays for this life alone."""
        if not self.paid or self.decision != "approved":
            return None
        amount = self.decided if self.paid == "before" else self.decided - self.taken_back
        paid_on = date(2026, 7, 15) if self.paid == "before" else date(2026, 8, 20)
        return Payment("P", *PERIOD, paid_on, amount)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    first = draw(st.integers(1, 10**7))
    amended = draw(st.none() | st.integers(1, 10**7).filter(lambda amount: amount != first))
    decision = draw(st.sampled_from(["pending", "declined", "approved", "approved"]))
    decided = first if amended is None else amended
    taken_back = draw(st.sampled_from([0, decided]) | st.integers(0, decided)) if decision == "approved" else 0
    return Life(first, amended, decision, taken_back, draw(st.sampled_from(["", "before", "after"])))


def money(minor: int) -> str:
    sign, minor = ("-" if minor < 0 else ""), abs(minor)
    return f"{sign}{minor // 100}.{minor % 100:02}"


def awin(life: Life) -> list[str]:
    def row(status: str, amount: int, at: datetime | None, *, old: int | None = None, paid: bool = False) -> Any:
        return {
            "id": 1, "advertiserId": 7, "commissionStatus": status, "paidToPublisher": paid, "amended": old is not None,
            "commissionAmount": {"amount": amount / 100, "currency": "GBP"},
            "saleAmount": {"amount": 99.5, "currency": "GBP"},
            "oldCommissionAmount": None if old is None else {"amount": old / 100, "currency": "GBP"},
            "transactionDate": ORDERED.strftime("%Y-%m-%dT%H:%M:%S"),
            "validationDate": at and at.strftime("%Y-%m-%dT%H:%M:%S"),
        }  # fmt: skip

    old = None if life.amended is None else life.first
    rows = [row("pending", life.first, None)]
    if life.amended is not None:
        rows.append(row("pending", life.amended, None, old=life.first))
    if life.decision == "declined":
        rows.append(row("declined", life.decided, DECIDED, old=old))
    if life.decision == "approved":
        rows.append(row("approved", life.decided, DECIDED, old=old))
        if life.paid == "before":
            rows.append(row("approved", life.decided, DECIDED, old=old, paid=True))
        rest, paid = life.decided - life.taken_back, life.paid == "before"
        if life.taken_back and rest:
            rows.append(row("approved", rest, CUT, old=life.decided, paid=paid))
        elif life.taken_back:
            rows.append(row("declined", life.decided, CUT, old=old, paid=paid))
    return [json.dumps([each]) for each in rows]


def impact(life: Life) -> list[str]:
    def update(number: int, state: str, change: int, at: datetime) -> str:
        row = {"Id": f"1.{number}", "ActionId": "1", "CampaignId": 7, "State": state, "Currency": "GBP",
               "UpdateDate": at.isoformat(), "EventDate": str(ORDERED), "DeltaPayout": money(change),
               "DeltaAmount": "0.00"}  # fmt: skip
        return json.dumps({"ActionUpdates": [row]})

    def action(state: str, payout: int) -> str:
        row = {"Id": "1", "CampaignId": "7", "State": state, "Payout": money(payout), "Amount": "99.50",
               "IntendedPayout": money(life.first), "EventDate": str(ORDERED), "LockingDate": str(DECIDED),
               "Currency": "GBP", "ClearedDate": ""}  # fmt: skip
        return json.dumps({"Actions": [row]})

    files = [update(1, "PENDING", life.first, ORDERED), action("PENDING", life.first)]
    if life.amended is not None:
        files += [update(2, "PENDING", life.amended - life.first, AMENDED), action("PENDING", life.amended)]
    if life.decision == "declined":
        files += [update(3, "REVERSED", -life.decided, DECIDED), action("REVERSED", 0)]
    if life.decision == "approved":
        files.append(action("APPROVED", life.decided))
    return files


def cj(life: Life) -> list[str]:
    locks = life.decision == "approved"

    def answer(number: int, state: str, amount: int, at: datetime) -> str:
        row = {"commissionId": number, "original": number == 1, "originalActionId": "1", "actionStatus": state,
               "advertiserId": "7", "currency": "GBP", "saleAmountPubCurrency": "99.50", "eventDate": str(ORDERED),
               "pubCommissionAmountPubCurrency": money(amount), "postingDate": at.isoformat(),
               "lockingDate": DECIDED.isoformat() if state in ("LOCKED", "closed") else None}  # fmt: skip
        return json.dumps({"data": {"publisherCommissions": {"payloadComplete": True, "records": [row]}}})

    files = [answer(1, "new", life.first, ORDERED)]
    if life.amended is not None:  # a restatement: the old amount is taken back and the new one posted, at once
        files += [answer(2, "new", -life.first, AMENDED), answer(3, "new", life.amended, AMENDED)]
    if life.decision == "declined":
        files.append(answer(4, "new", -life.decided, DECIDED))
    if locks:
        files.append(answer(1, "LOCKED", life.first, ORDERED))
        if life.taken_back:
            files.append(answer(5, "LOCKED", -life.taken_back, CUT))
        if life.paid:
            files.append(answer(1, "closed", life.first, ORDERED))
        if life.paid == "after" and life.taken_back:
            files.append(answer(5, "closed", -life.taken_back, CUT))
    return files


def rakuten(life: Life) -> list[str]:
    def event(number: int, amount: int, at: datetime) -> str:
        row = {"etransaction_id": str(number), "advertiser_id": 7, "order_id": "1", "sku_number": "a",
               "currency": "GBP", "sale_amount": 99.5, "commissions": amount / 100, "is_event": "N",
               "process_date": at.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (UTC)"),
               "transaction_date": ORDERED.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (UTC)")}  # fmt: skip
        return json.dumps([row])

    def row(amount: int, at: datetime) -> str:
        header = "Member ID (U1),MID,Order ID,Transaction Date,Transaction Time,SKU,Sales,# of Items,Total Commission"
        ordered = f"{ORDERED:%m/%d/%y},{ORDERED:%H:%M:%S}"
        cells = f',7,1,{ordered},a,"99.50",1,"{money(amount)}",{at:%m/%d/%y},{at:%H:%M:%S},GBP'
        return f"\ufeff{header},Process Date,Process Time,Currency\n{cells}\n"

    files = [event(1, life.first, ORDERED)]
    if life.amended is not None:
        files.append(event(2, life.amended - life.first, AMENDED))
    if life.decision == "declined":
        files.append(event(3, -life.decided, DECIDED))
    if life.decision == "approved":
        files.append(row(life.decided, DECIDED))
        if life.taken_back:
            files.append(row(-life.taken_back, CUT))
    return files


def ebay(life: Life) -> list[str]:
    def row(state: str, earnings: int, change: int, at: datetime) -> str:
        header = "Event Date,Update Date,EPN Transaction ID,Status,Campaign ID,Sales,Earnings,Delta Earnings,Currency"
        times = f"{ORDERED:%Y-%m-%d %H:%M:%S},{at:%Y-%m-%d %H:%M:%S}"
        cells = f"{times},1,{state},7,99.50,{money(earnings)},{money(change)},GBP"
        return f"{header}\n{cells}\n"

    files = [row("pending", life.first, life.first, ORDERED)]
    if life.amended is not None:
        files.append(row("pending", life.amended, life.amended - life.first, AMENDED))
    if life.decision == "declined":
        files.append(row("reversed", 0, -life.decided, DECIDED))
    if life.decision == "approved":
        files.append(row("confirmed", life.decided, 0, DECIDED))
        rest = life.decided - life.taken_back
        if life.taken_back:
            files.append(row("confirmed" if rest else "reversed", rest, -life.taken_back, CUT))
    return files


TELLERS: dict[str, Callable[[Life], list[str]]] = {
    "awin": awin, "impact": impact, "cj": cj, "rakuten": rakuten, "ebay": ebay,
}  # fmt: skip
FINAL = {"impact"}  # nothing changes once it is approved


def booked(network: str, files: list[str], payment: Payment | None) -> Booked:
    reports: dict[str, Report] = {}
    for file in files:
        reading = SOURCES[network].read(file)
        assert not reading.rejects
        reports |= {report.identity: report for report in reading.reports}
    timeline = SOURCES[network].timeline(list(reports.values()))
    found, settlements = settle({"1": timeline}, [payment] if payment else [])
    assert all(settlement.meets for settlement in settlements)
    return found["1"]


def nonzero(figures: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in figures.items() if amount}


@pytest.mark.parametrize("network", TELLERS)
@given(life=lives(), seed=st.integers(0, 2**32))
def test_the_figures_are_those_of_the_life_in_any_order_and_number(network: str, life: Life, seed: int) -> None:
    if network in FINAL and life.taken_back:
        return
    shuffler = random.Random(seed)
    files = TELLERS[network](life)
    files = [file for file in files for _ in range(shuffler.randint(1, 3))]
    shuffler.shuffle(files)
    found = booked(network, files, life.payment)
    assert nonzero(found.figures) == nonzero(life.figures)
    assert found.faults == []
    assert sum(found.balances.values()) == 0


@pytest.mark.parametrize("network", ["awin", "cj"])
@given(life=lives())
def test_the_networks_own_word_agrees_with_a_payment(network: str, life: Life) -> None:
    if life.paid == "before" or (network == "cj" and life.paid):
        assert nonzero(booked(network, TELLERS[network](life), None).figures) == nonzero(life.figures)


@pytest.mark.parametrize("network", TELLERS)
@given(life=lives(), data=st.data())
def test_what_is_known_so_far_balances_whatever_is_missing(network: str, life: Life, data: st.DataObject) -> None:
    files = TELLERS[network](life)
    known = data.draw(st.lists(st.sampled_from(files), min_size=1, unique=True))
    timeline = SOURCES[network].timeline([report for file in known for report in SOURCES[network].read(file).reports])
    found = book(timeline, [life.payment] if life.payment else [])
    assert sum(found.balances.values()) == 0
    assert all(amount >= 0 for amount in found.figures.values())


AT = [ORDERED + timedelta(days=day) for day in range(9)]
STATES = st.sampled_from(["pending", "approved", "declined", "void"])


@given(st.lists(st.tuples(STATES, st.integers(0, 1000), st.booleans()), max_size=9), st.booleans())
def test_any_steps_balance_and_no_figure_is_negative(raw: list[tuple[Any, int, bool]], is_paid: bool) -> None:
    steps = tuple(Step(at, *each) for at, each in zip(AT, raw, strict=False))
    payments = [Payment("P", *PERIOD, AT[4].date(), 1)] if is_paid else []
    found = book(Timeline(steps, 0, 0), payments)
    assert sum(found.balances.values()) == 0
    assert all(amount >= 0 for amount in found.figures.values())


def test_what_was_taken_back_and_given_again_is_in_one_figure() -> None:
    steps = [Step(AT[n], "approved", amount) for n, amount in enumerate((1000, 600, 1000))]
    assert nonzero(book(Timeline(tuple(steps), 0, 0)).figures) == {"approved": 1000}
    payment = Payment("P", *PERIOD, AT[1].date(), 1000)
    again = book(Timeline(tuple(steps), 0, 0), [payment])
    assert nonzero(again.figures) == {"paid": 600, "approved": 400}


def transaction(status: str, amount: str, validated: str | None, **others: Any) -> dict[str, Any]:
    return {
        "id": 1, "advertiserId": 7, "commissionStatus": status, "validationDate": validated,
        "commissionAmount": {"amount": amount, "currency": "GBP"}, "saleAmount": {"amount": 99.5, "currency": "GBP"},
        "transactionDate": "2026-07-01T10:00:00", **others,
    }  # fmt: skip


@pytest.mark.parametrize("second", range(8))
def test_of_one_validation_date_approved_comes_before_declined(second: int) -> None:
    at = f"2026-07-10T00:00:0{second}"
    rows = [transaction("declined", "5.00", at), transaction("approved", "5.00", at)]
    found = book(SOURCES["awin"].timeline(SOURCES["awin"].read(json.dumps(rows)).reports))
    assert (nonzero(found.figures), found.faults) == ({"reversed": 500}, [])


def test_a_decline_that_empties_the_amount_declines_what_was_pending() -> None:
    steps = (Step(AT[0], "pending", 1000), Step(AT[1], "declined", 0))
    assert nonzero(book(Timeline(steps, 0, 0)).figures) == {"declined": 1000}


def test_a_payment_pays_what_was_approved_on_its_own_day() -> None:
    payment = Payment("P", date(2026, 7, 1), date(2026, 7, 31), date(2026, 7, 31), 1000)
    steps = (
        Step(datetime(2026, 7, 31, 9, tzinfo=UTC), "approved", 1000),
        Step(datetime(2026, 7, 31, 17, tzinfo=UTC), "approved", 700),
    )
    found = book(Timeline(steps, 0, 0), [payment])
    assert nonzero(found.figures) == {"paid": 700, "clawback": 300}
    assert found.paid_by["P"] == 1000


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "1999-12-31"])
def test_a_time_out_of_range_is_a_rejected_row(at: str) -> None:
    reading = SOURCES["awin"].read(json.dumps([transaction("approved", "5.00", at)]))
    assert [reject.reason for reject in reading.rejects] == [f"validationDate: '{at}' is out of range"]


@pytest.mark.parametrize("network", ["amazon", "rakuten", "ebay"])
def test_one_date_with_the_day_first_refuses_the_file_whose_other_dates_may_be_read_wrong(network: str) -> None:
    headers = {
        "amazon": "ASIN,Tracking ID,Date Shipped,Ad Fees(£)\nB1,a-21,{},1.00\nB2,a-21,{},1.00\n",
        "rakuten": "Member ID (U1),MID,Order ID,Transaction Date,SKU,Sales,Total Commission,Process Date,Currency\n"
        ",1,o1,{},s,9,1,7/31/26,GBP\n,1,o2,{},s,9,1,7/31/26,GBP\n",
        "ebay": "Event Date,Update Date,EPN Transaction ID,Status,Campaign ID,Earnings,Currency\n"
        "{},2026-07-31,1,pending,1,1,GBP\n{},2026-07-31,2,pending,1,1,GBP\n",
    }  # fmt: skip
    file = headers[network].format
    assert len(SOURCES[network].read(file("7/1/2026", "07/31/2026")).reports) == 2
    with pytest.raises(BadFile, match="day first"):
        SOURCES[network].read(file("1/7/2026", "31/7/2026"))
    assert len(SOURCES[network].read(file("7/1/2026", "32/32/2026")).rejects) == 1


def test_what_cannot_be_our_token_costs_no_money_and_what_is_too_large_only_its_row() -> None:
    rows = [
        transaction("pending", "5.00", None, clickRefs={"clickRef": "x" * 300, "clickRef2": "short"}),
        transaction("pending", "5.00", None, padding="x" * 100_000),
        transaction("pending", "1_000", None),
    ]
    reading = SOURCES["awin"].read(json.dumps(rows))
    assert [report.click_refs for report in reading.reports] == [("short",)]
    assert [reject.row for reject in reading.rejects] == [2, 3]
    text = f"ASIN,Tracking ID,Date Shipped,Ad Fees($)\n{'B' * 200},t-20,2026-07-30,5.00\n"
    (report,) = SOURCES["amazon"].read(text).reports
    assert len(report.reference) <= 200


def test_two_orders_of_rakuten_are_not_one_because_of_a_sign_in_their_numbers() -> None:
    header = "Member ID (U1),MID,Order ID,Transaction Date,SKU,Sales,Total Commission,Process Date,Currency"
    rows = [f",7,{order},07/01/26,{sku},9.00,1.00,07/02/26,GBP" for order, sku in (("1:a", "b"), ("1", "a:b"))]
    reading = SOURCES["rakuten"].read("\n".join([header, *rows]))
    assert len({report.reference for report in reading.reports}) == 2


@pytest.mark.parametrize(("currency", "amount", "minor"), [("JPY", "1200.5", 1201), ("KWD", "1.2345", 1235)])
def test_minor_units_are_those_of_the_currency(currency: str, amount: str, minor: int) -> None:
    row = transaction("pending", "1", None, commissionAmount={"amount": amount, "currency": currency})
    (report,) = SOURCES["awin"].read(json.dumps([row])).reports
    assert report.amount_minor == minor


def test_what_changed_before_the_first_payment_of_a_mapped_network_was_not_paid() -> None:
    def snapshot(state: str, amount: int, at: datetime) -> Report:
        return Report("other", "1", f"{state}{amount}", "snapshot", state, "7", "GBP", amount, 0, at, AT[0])

    said = [snapshot("approved", 1000, AT[1]), snapshot("paid", 800, AT[2])]
    assert nonzero(book(timeline_of("other", said)).figures) == {"paid": 800, "reversed": 200}
    said.append(snapshot("paid", 500, AT[3]))
    assert nonzero(book(timeline_of("other", said)).figures) == {"paid": 500, "reversed": 200, "clawback": 300}
