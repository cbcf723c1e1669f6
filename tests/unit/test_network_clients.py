"""Windows, pace and readers of networks that are pulled."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import cj, generic, sovrn, tradedoubler
from domain.ledger.booking import book
from domain.ledger.reports import BadFile
from services.network_clients.api import Pace
from services.network_clients.client import Rate, Stream
from services.network_clients.clients import CLIENTS

TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))


@given(TIMES, TIMES, st.integers(1, 90), st.booleans())
def test_windows_meet_and_leave_nothing_out(one: datetime, other: datetime, days: int, is_daily: bool) -> None:
    start, until = min(one, other), max(one, other)
    longest = timedelta(days=days)
    windows = list(Stream("date", longest, timedelta(), is_daily=is_daily).windows(start, until))
    for window in windows:
        assert timedelta() < window.end - window.start <= longest
        assert (window.last_day - window.first_day).days <= days
    for window, following in pairwise(windows):
        assert window.end == following.start
        assert not is_daily or window.last_day < following.first_day
    if start < until:
        assert windows[0].start <= start
        assert windows[-1].end >= until


def test_a_day_that_is_not_over_is_a_whole_window() -> None:
    [window] = Stream("day", timedelta(days=1), timedelta(), is_daily=True).windows(
        datetime(2026, 7, 3, 10, tzinfo=UTC), datetime(2026, 7, 3, 11, tzinfo=UTC)
    )
    assert (window.first_day.isoformat(), window.last_day.isoformat()) == ("2026-07-03", "2026-07-03")


@given(st.lists(st.floats(0, 50), max_size=60), st.integers(1, 7))
def test_no_period_has_more_requests_than_the_rate_allows(pauses: list[float], requests: int) -> None:
    now = 0.0
    pace = Pace(Rate(requests, 60), lambda: now)
    sent: list[float] = []
    for pause in pauses:
        now += pause
        now += pace.wait()
        sent.append(now)
    for first, beyond in zip(sent, sent[requests:], strict=False):
        assert beyond - first >= 60 - 1e-6


def test_an_overlap_is_no_shorter_than_a_day() -> None:
    for client in CLIENTS.values():
        for stream in client.streams:
            assert stream.overlap >= timedelta(days=1), (client.code, stream.name)


def page(*items: dict[str, Any]) -> str:
    return json.dumps({"offset": 0, "limit": 100, "reportCurrencyCode": "EUR", "items": items})


def transaction(**values: Any) -> dict[str, Any]:
    made = {
        "transactionId": 1, "programId": 3, "status": "P", "paid": False, "timeOfTransaction": "2026-07-20 10:00:00.0",
        "timeOfLastModified": None, "orderValue": 50.0, "commission": 2.5, "epi": "f37", "epi2": None,
    }  # fmt: skip
    return {**made, **values}


def test_tradedoubler_states_follow_the_last_modification() -> None:
    text = page(
        transaction(status="A", paid=True, timeOfLastModified="2026-09-01 00:00:00.0"),
        transaction(status="A", timeOfLastModified="2026-08-01 00:00:00.0"),
        transaction(),
    )
    reports = tradedoubler.read(text).reports
    assert [report.click_refs for report in reports] == [("f37",)] * 3
    booked = book(tradedoubler.SOURCE.timeline(reports))
    assert (booked.state, booked.faults) == ("paid", [])
    assert booked.figures["paid"] == 250


@pytest.mark.parametrize("document", ["[]", "{}", '{"items": [{}]}', '{"items": [{'])
def test_what_is_no_page_of_tradedoubler_is_refused(document: str) -> None:
    with pytest.raises(BadFile):
        tradedoubler.read(document)


def test_a_row_of_tradedoubler_that_cannot_be_read_is_rejected() -> None:
    reading = tradedoubler.read(page(transaction(status="X"), transaction(commission=None), transaction()))
    assert [reject.reason for reject in reading.rejects] == [
        "status: 'X' is unknown",
        "commission: None is no amount",
    ]
    assert len(reading.reports) == 1


def test_a_smaller_amount_of_sovrn_takes_the_rest_back() -> None:
    row = {"revenueId": 1, "merchantGroupId": 2, "commissionDate": "2026-07-01", "orderValue": 9, "cuid": "f37"}
    text = json.dumps(
        {
            "transactions": [
                {**row, "updateDate": "2026-07-09", "publisherRevenue": 0},
                {**row, "updateDate": "2026-07-02", "publisherRevenue": 1.005},
            ]
        }
    )
    booked = book(sovrn.SOURCE.timeline(sovrn.read(text).reports))
    assert (booked.state, booked.faults) == ("reversed", [])
    assert booked.figures["reversed"] == 101
    assert booked.approved_at == datetime(2026, 7, 1, tzinfo=UTC)


def test_a_record_of_cj_without_a_currency_has_that_of_the_account() -> None:
    record = {
        "commissionId": "1", "original": True, "originalActionId": "2", "actionStatus": "CLOSED", "advertiserId": "3",
        "eventDate": "2026-07-20T10:00:00Z", "postingDate": "2026-07-20T10:00:00Z", "lockingDate": None,
        "pubCommissionAmountPubCurrency": "100", "shopperId": "f37",
    }  # fmt: skip
    text = json.dumps({"data": {"publisherCommissions": {"records": [record]}}})
    [reject] = cj.read(text).rejects
    assert reject.reason == "currency is missing"
    [report] = cj.read(text, currency="JPY", is_closed_paid=False).reports
    assert (report.currency, report.amount_minor, report.state, report.click_refs) == ("JPY", 100, "locked", ("f37",))


def test_a_mapping_may_read_unix_times_and_amounts_without_a_point() -> None:
    mapping = generic.parse_mapping(
        'format = "json"\nrows = ""\nstates = {"1" = "approved"}\ndecimals = 4\ntimes = {format = "unix"}\n[fields]\n'
        'reference = "id"\nstate = "s"\namount = "a"\ncurrency = "=GBP"\nadvertiser_id = "=7"\nordered_at = "at"'
    )
    good = {"id": 5, "s": 1, "a": 12345, "at": 1784800000}
    reading = generic.read("other", mapping, json.dumps([good, {**good, "a": 1.5}, {**good, "at": "today"}]))
    [report] = reading.reports
    assert (report.amount_minor, report.ordered_at) == (123, datetime(2026, 7, 23, 9, 46, 40, tzinfo=UTC))
    assert [reject.reason for reject in reading.rejects] == [
        "amount: '1.5' is no whole number, and the mapping has decimals",
        "ordered_at: 'today' is no time as the mapping says",
    ]
