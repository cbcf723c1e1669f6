"""What a postback holds, and what it is worth: a sign of a conversion, never the truth about its money.

While a conversion is known from postbacks only, it is pending, or declined if the last of them says so, whatever else
they say. As soon as an import or a pull reports it, its postbacks count for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from domain.ledger import generic, rakuten
from domain.ledger.reports import BadFile, Reading, Report, Row, identity, parse_json, read_rows
from domain.ledger.timelines import Step, Timeline

POSTBACK = "postback"
"""The kind of a report that came by postback."""
MAX_ROWS = 100
MAX_PARAMETERS = 200
MAX_SKEW_SECONDS = 300
_FORM = "application/x-www-form-urlencoded"
_ENDS = {"declined", "void"}


@dataclass(frozen=True, slots=True)
class Message:
    """A postback as it arrived."""

    content_type: str
    query: bytes
    body: bytes


def content_hash(message: Message, timestamp: str = "") -> bytes:
    """What tells a message from others of its sender; of a signed one, with the time that it signs."""
    parts = (timestamp.encode(), message.query, message.body)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def is_signed_by(key: str, timestamp: str, body: bytes, signature: str) -> bool:
    """Whether the signature is the HMAC-SHA256, in hexadecimal, of `<timestamp>.<body>` under this key."""
    expected = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.strip().lower().encode())


def is_recent(timestamp: str, now: float) -> bool:
    """Whether these Unix seconds are at most five minutes off."""
    return re.fullmatch(r"[0-9]{1,12}", timestamp) is not None and abs(now - int(timestamp)) <= MAX_SKEW_SECONDS


def counted(reports: Sequence[Report]) -> list[Report]:
    """The reports that say how a conversion stands: those that came by postback only where there are no others."""
    return [report for report in reports if report.kind != POSTBACK] or list(reports)


def timeline(reports: Sequence[Report]) -> Timeline:
    """Pending by what the postbacks say, and declined if the last of them says so."""
    ordered = sorted(
        reports, key=lambda r: (r.stated_at or r.ordered_at, r.state in _ENDS, r.state, r.amount_minor, r.identity)
    )
    changes = bool(ordered[0].facts.get("is_change"))
    steps: list[Step] = []
    standing = before = 0
    for report in ordered:
        before = standing or before
        standing = standing + report.amount_minor if changes else report.amount_minor
        at = report.stated_at or report.ordered_at
        steps.append(Step(at, "pending", max(0, standing), reports=(report.identity,)))
    last = ordered[-1]
    if last.state in _ENDS:
        state, amount = ("void" if last.state == "void" else "declined"), standing or before
        steps[-1] = replace(steps[-1], state=state, amount_minor=max(0, amount))  # type: ignore[arg-type]
    elif changes and standing <= 0 and len(steps) > 1:
        steps[-1] = replace(steps[-1], state="declined", amount_minor=max(0, before))
    return Timeline(tuple(steps), ordered[0].sale_minor, ordered[0].amount_minor)


def read(network: str, mapping: generic.Mapping | None, message: Message) -> Reading:
    """The reports of a message; without a mapping, as the network is known to send them. Raises BadFile."""
    report = READERS[network] if mapping is None else _mapped(network, mapping)
    rows = _rows(network, mapping, message)
    if len(rows) > MAX_ROWS:
        raise BadFile(f"more than {MAX_ROWS} conversions in a message")
    return read_rows(rows, lambda row: _as_postback(report(row), row))


def count(network: str, mapping: generic.Mapping | None, message: Message) -> int:
    """How many reports a message holds at most: what cannot be read at all holds none."""
    try:
        rows = len(_rows(network, mapping, message))
    except BadFile:
        return 0
    return rows if rows <= MAX_ROWS else 0


def _as_postback(report: Report | None, row: Row) -> Report | None:
    if report is None:
        return None
    facts = {"is_change": report.kind == rakuten.EVENT}
    # Of another identity than the same report of an import, which would be taken for a repeat of it.
    return replace(report, kind=POSTBACK, identity=identity(POSTBACK, report.identity), facts=facts, raw=row)


def _rows(network: str, mapping: generic.Mapping | None, message: Message) -> Sequence[Row]:
    is_form = message.content_type.partition(";")[0].strip().lower() == _FORM
    parameters: dict[str, Any] = _parameters(message.query)
    text = _text(message.body)
    if is_form:
        parameters |= _parameters(message.body)
        text = ""
    if network == "awin" and mapping is None and "AwinTransactionPush" in parameters:
        text = parameters["AwinTransactionPush"]
    if mapping is not None and mapping.format == "parameters":
        text = ""
    if not text.strip():
        if not parameters:
            raise BadFile("there are neither parameters nor a body")
        return [parameters]
    document = parse_json(text)
    _require_storable(document)
    for name in filter(None, (mapping.rows if mapping else "").split(".")):
        document = document.get(name) if isinstance(document, dict) else None
    if isinstance(document, dict):
        return [parameters | document]
    if not isinstance(document, list):
        raise BadFile("the body is no conversion, and no array of them")
    return document


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile("the body is not UTF-8") from None


def _parameters(encoded: bytes) -> dict[str, Any]:
    """The first value of each name."""
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise BadFile(f"the parameters are not UTF-8, or more than {MAX_PARAMETERS}") from None
    parameters = dict(reversed(pairs))
    _require_storable(parameters)
    return parameters


def _require_storable(document: Any) -> None:
    """Raises BadFile for texts that Postgres refuses."""
    try:
        encoded = json.dumps(document, ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, RecursionError):
        raise BadFile("a text is not Unicode, or nested too deeply") from None
    if b"\\u0000" in encoded.replace(b"\\\\", b""):
        raise BadFile("a text contains NUL")


def _mapped(network: str, mapping: generic.Mapping) -> Callable[[Row], Report | None]:
    return lambda row: generic.read_row(network, mapping, row)


def _spelled(row: Row) -> Row:
    """By names without underscores, in lower case: the receiver chooses how parameters are spelled."""
    return {name.replace("_", "").lower(): value for name, value in row.items()}


# The names are those of Awin's documentation ("Transaction Notifications"), for the JSON that it pushes and for the
# placeholders of a GET. It sends a transaction once, when it is recorded.
_AWIN = generic.Mapping(
    format="json",
    fields=generic.Fields(
        reference="transactionId",
        state="=pending",
        amount="commission",
        currency="transactionCurrency",
        advertiser_id="merchantId",
        ordered_at="transactionDate",
        sale="transactionAmount",
        clicked_at="clickTime",
        click_ref="clickRef",
        order_id="orderRef",
    ),
    states={"pending": "pending"},
)
# The names are those of impact's macros ("Event Notifications"), such as {ActionId}.
_IMPACT = generic.Mapping(
    format="parameters",
    fields=generic.Fields(
        reference="actionid",
        state="status",
        amount="payout",
        currency="currency",
        advertiser_id="campaignid",
        ordered_at="eventdate",
        sale="amount",
        click_ref="subid1",
        order_id="oid",
    ),
    states={"pending": "pending", "approved": "approved", "reversed": "declined"},
)

# Rakuten's Postback API sends the fields of its Events API as parameters.
READERS: Mapping[str, Callable[[Row], Report | None]] = {
    "awin": _mapped("awin", _AWIN),
    "impact": lambda row: generic.read_row("impact", _IMPACT, _spelled(row)),
    "rakuten": rakuten.read_event,
}
