"""What postbacks hold, what they are worth, and who signed them."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.affiliate import encode_token
from domain.ledger import awin, generic
from domain.ledger.booking import book
from domain.ledger.postbacks import MAX_SKEW_SECONDS, POSTBACK, Message, is_recent, is_signed_by, read
from domain.ledger.reports import BadFile, Report
from domain.ledger.sources import timeline_of
from tests.ledger import awin as transaction
from tests.ledger import awin_push, impact_parameters

FORM = "application/x-www-form-urlencoded"
OWN = generic.parse_mapping("""
format = "json"
rows = "sales"
states = {new = "pending", ok = "approved", no = "declined", paid = "paid"}
[fields]
reference = "id"
state = "state"
amount = "commission"
currency = "currency"
advertiser_id = "=north"
ordered_at = "sold"
stated_at = "changed"
click_ref = "click"
""")


def message(body: str = "", query: str = "", content_type: str = "application/json") -> Message:
    return Message(content_type, query.encode(), body.encode())


def pushed(**values: object) -> Message:
    return message(urlencode({"AwinTransactionPush": json.dumps(awin_push("A1", **values))}), content_type=FORM)


def only(reports: tuple[Report, ...]) -> Report:
    (report,) = reports
    return report


def sale(state: str, changed: str, commission: object = "1.20", **others: object) -> dict[str, object]:
    return {
        "id": "S1", "state": state, "commission": commission, "currency": "GBP", "sold": "2026-07-01T10:00:00Z",
        "changed": changed, **others,
    }  # fmt: skip


def own(*sales: dict[str, object]) -> tuple[Report, ...]:
    reading = read("own", OWN, message(json.dumps({"sales": sales})))
    assert not reading.rejects
    return reading.reports


def test_awin_pushes_a_form_field_with_json() -> None:
    report = only(read("awin", None, pushed(click="0191b3c2-0000-7000-8000-000000000001")).reports)
    assert (report.reference, report.state, report.amount_minor, report.sale_minor, report.currency) == (
        "A1", "pending", 120, 2000, "GBP",
    )  # fmt: skip
    assert report.click_refs == (encode_token(UUID("0191b3c2-0000-7000-8000-000000000001")),)
    assert report.ordered_at == datetime(2026, 7, 3, 12, tzinfo=UTC)


def test_the_same_of_awin_as_a_body_or_as_parameters_is_the_same_report() -> None:
    pushes = [
        pushed(),
        message(json.dumps(awin_push("A1"))),
        message(query=urlencode({k: v for k, v in awin_push("A1").items() if k != "products"})),
    ]
    identities = {only(read("awin", None, each).reports).identity for each in pushes}
    assert len(identities) == 1


def test_impact_sends_parameters_however_they_are_spelled() -> None:
    sent = impact_parameters("9000.1", "REVERSED")
    snaked = {"action_id": sent["ActionId"], "campaign_id": sent["CampaignId"], "event_date": sent["EventDate"]}
    others = {
        name.lower(): value for name, value in sent.items() if name not in ("ActionId", "CampaignId", "EventDate")
    }
    by_query = only(read("impact", None, message(query=urlencode(sent))).reports)
    by_body = only(read("impact", None, message(json.dumps(snaked | others))).reports)
    assert by_query.identity == by_body.identity
    assert (by_query.state, by_query.amount_minor, by_query.advertiser_id) == ("declined", 120, "4711")


def test_rakuten_sends_the_fields_of_its_events_and_events_that_earn_nothing_are_none() -> None:
    event = {
        "is_event": "N", "etransaction_id": "E1", "advertiser_id": "38131", "order_id": "O1", "sku_number": "S",
        "sale_amount": "20.00", "commissions": "1.20", "currency": "GBP", "u1": "x",
        "transaction_date": "2026-07-01 10:00:00", "process_date": "2026-07-01 11:00:00",
    }  # fmt: skip
    first = only(read("rakuten", None, message(query=urlencode(event))).reports)
    assert first.reference == "38131:O1:S"
    cancelled = event | {"etransaction_id": "E2", "commissions": "-1.20", "process_date": "2026-07-02 11:00:00"}
    second = only(read("rakuten", None, message(query=urlencode(cancelled))).reports)
    assert book(timeline_of("rakuten", [first])).figures["pending"] == 120
    assert book(timeline_of("rakuten", [second, first])).figures == dict.fromkeys(
        ("pending", "approved", "reversed", "paid", "clawback"), 0
    ) | {"declined": 120}
    ignored = read("rakuten", None, message(query=urlencode(event | {"is_event": "Y"})))
    assert (ignored.reports, ignored.ignored) == ((), 1)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (message(), "neither parameters nor a body"),
        (message("{"), "not JSON"),
        (message('"text"'), "no conversion"),
        (Message("application/json", b"", b"\xff\xfe{"), "not UTF-8"),
        (Message("", b"a=%ff", b""), "not UTF-8"),
        (message(json.dumps({"transactionId": "A\x00"})), "NUL"),
        (message(query="transactionId=%00"), "NUL"),
        (message('{"transactionId": "\\ud800"}'), "not Unicode"),
        (message("[" * 50_000), "cut off"),
        (message('{"commission": ' + "1" * 5000 + "}"), "limit"),
        (message('{"commission": 1e99999999999999999999}'), "not JSON"),
        (message(json.dumps([{}] * 101)), "more than 100"),
        (message(query="&".join(f"a{n}=1" for n in range(300))), "more than 200"),
    ],
)
def test_what_cannot_be_read_says_why(sent: Message, says: str) -> None:
    with pytest.raises(BadFile, match=says):
        read("awin", None, sent)


def test_a_bad_conversion_of_several_leaves_the_others() -> None:
    reading = read("own", OWN, message(json.dumps({"sales": [sale("new", ""), sale("ok", "", commission="much")]})))
    assert len(reading.reports) == 1
    assert [reject.row for reject in reading.rejects] == [2]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_zone_can_hold_costs_its_conversion_alone(at: str) -> None:
    pushed_together = message(json.dumps([awin_push("A1"), awin_push("A2") | {"transactionDate": at}]))
    reading = read("awin", None, pushed_together)
    assert ([report.reference for report in reading.reports], [reject.row for reject in reading.rejects]) == (
        ["A1"],
        [2],
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["new", "ok", "no", "paid"]), st.integers(1, 28), st.integers(0, 10_000)), min_size=1
    ),
    st.randoms(),
)
def test_postbacks_alone_approve_nothing(said: list[tuple[str, int, int]], chance: object) -> None:
    reports = [
        only(own(sale(state, f"2026-07-{day:02}T00:00:00Z", f"{minor / 100:.2f}"))) for state, day, minor in said
    ]
    chance.shuffle(reports)  # type: ignore[attr-defined]
    booked = book(timeline_of("own", reports))
    assert booked.state in ("pending", "amended", "declined")
    assert booked.faults == []
    assert not any(booked.figures[name] for name in ("approved", "paid", "reversed", "clawback"))
    chance.shuffle(reports)  # type: ignore[attr-defined]
    assert timeline_of("own", reports) == timeline_of("own", sorted(reports, key=lambda r: r.identity))


@given(st.sampled_from(["pending", "approved", "declined"]), st.lists(st.integers(1, 10_000), max_size=4), st.randoms())
def test_beside_an_import_postbacks_count_for_nothing(state: str, minors: list[int], chance: object) -> None:
    imported = list(awin.read(json.dumps([transaction("A1"), transaction("A1", state)])).reports)
    signs = [only(read("awin", None, pushed(commission=f"{minor / 100:.2f}")).reports) for minor in minors]
    mixed = imported + signs
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert timeline_of("awin", mixed) == timeline_of("awin", imported)


def test_a_postback_is_no_repeat_of_an_imported_report() -> None:
    (snapshot,) = generic.read("own", OWN, json.dumps({"sales": [sale("ok", "2026-07-02T00:00:00Z")]})).reports
    (sign,) = own(sale("ok", "2026-07-02T00:00:00Z"))
    assert sign.kind == POSTBACK
    assert sign.identity != snapshot.identity


def test_a_signature_is_of_the_time_and_the_body() -> None:
    signature = hmac.new(b"key", b"1785000000.body", hashlib.sha256).hexdigest()
    assert is_signed_by("key", "1785000000", b"body", signature)
    assert is_signed_by("key", "1785000000", b"body", signature.upper())
    for key, timestamp, body in (("other", "1785000000", b"body"), ("key", "1785000001", b"body"), ("key", "1", b"x")):
        assert not is_signed_by(key, timestamp, body, signature)
    assert not is_signed_by("key", "1785000000", b"body", "ä")


@pytest.mark.parametrize(
    ("timestamp", "accepted"),
    [
        (str(1000 - MAX_SKEW_SECONDS), True),
        (str(1000 + MAX_SKEW_SECONDS), True),
        (str(1001 + MAX_SKEW_SECONDS), False),
        ("-1000", False),
        ("1e3", False),
        ("", False),
        ("1" * 40, False),
        ("١٠٠٠", False),
    ],
)
def test_a_timestamp_is_within_five_minutes(timestamp: str, accepted: bool) -> None:
    assert is_recent(timestamp, 1000) is accepted
