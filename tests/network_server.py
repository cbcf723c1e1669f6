"""The APIs of affiliate networks, for tests: they serve rows by date and page, want their credentials, and may fail.

    with feed_server() as server:
        networks = Networks(server)
        networks.rows["awin"] = [...]                  # as the network's files have them
        networks.faults = [lambda h: h.answer(503)]    # answers the next request

Nothing of the product is imported: what a network takes and gives is written down here a second time.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.feed_server import Answer, FeedServer, Handler
from tests.month import File

PUBLISHER, TOKEN, PASSWORD = "4711", "t0p-s3cret", "pa55-w0rd"
ACCESS_TOKEN = "acc3ss"
BEARER = f"Bearer {TOKEN}"
BASIC = "Basic " + base64.b64encode(f"{PUBLISHER}:{TOKEN}".encode()).decode()
CLIENT = base64.b64encode(f"{TOKEN}:{PASSWORD}".encode()).decode()
Rows = list[dict[str, Any]]


def at(text: str) -> datetime:
    """A time as one of the networks writes it; without a zone it is UTC."""
    printed = re.fullmatch(r"\w{3} (\w{3} \d{2} \d{4} \d{2}:\d{2}:\d{2}) GMT\+0000.*", text)
    found = datetime.strptime(printed[1], "%b %d %Y %H:%M:%S") if printed else datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class _Routes(dict[str, Answer]):
    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def __missing__(self, path: str) -> Answer:
        return self._networks.answer


class Networks:
    """`page` is how many rows a page has where the network decides; `requests` are the paths asked for, with their
    parameters."""

    def __init__(self, server: FeedServer) -> None:
        server.answers = _Routes(self)
        self.server = server
        self.rows: dict[str, Rows] = defaultdict(list)
        self.faults: list[Answer] = []
        self.page = 50
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._routes: list[tuple[str, str, Callable[[Handler, dict[str, str]], None]]] = [
            (f"/publishers/{PUBLISHER}/transactions/", BEARER, self._awin),
            (f"/Mediapartners/{PUBLISHER}/Actions", BASIC, self._impact),
            (f"/Mediapartners/{PUBLISHER}/ActionUpdates", BASIC, self._impact),
            ("/query", BEARER, self._cj),
            ("/token", f"Bearer {CLIENT}", self._token),
            ("/events/1.0/transactions", f"Bearer {ACCESS_TOKEN}", self._rakuten_events),
            ("/en/reports/signature-orders-report/filters", "", self._rakuten_report),
            (f"/Mediapartners/{PUBLISHER}/Reports/ebay_partner_transaction_detail.csv", BASIC, self._ebay),
            ("/uaa/oauth/token", f"Basic {CLIENT}", self._token),
            ("/publisher/report/transactions", f"Bearer {ACCESS_TOKEN}", self._tradedoubler),
            (f"/publishers/{PUBLISHER}/reports/transactions", BEARER, self._webgains),
            ("/reports/transactions", f"secret {TOKEN}", self._sovrn),
        ]

    def add(self, file: File) -> None:
        """Makes a file of the month known to its network. Of files of whole days, each day counts once."""
        if file.name.endswith(".csv"):
            lines = file.text.splitlines()
            rows = list(csv.DictReader(lines))
            kind = "rakuten-report" if file.network == "rakuten" else file.network
            known = Counter(map(_frozen, self.rows[kind]))
            self.rows[kind] = [dict(row) for row in (known | Counter(map(_frozen, rows))).elements()]
            return
        document = json.loads(file.text)
        if file.network == "cj":
            for record in document["data"]["publisherCommissions"]["records"]:
                record["shopperId"] = record.pop("sid")
                del record["currency"]
                self.rows["cj"].append(record)
        elif file.network == "impact":
            for kind in ("Actions", "ActionUpdates"):
                self.rows[f"impact-{kind}"] += document.get(kind, [])
        else:
            self.rows["rakuten-event" if file.network == "rakuten" else file.network] += document

    def answer(self, handler: Handler) -> None:
        parts = urlsplit(handler.path)
        params = dict(parse_qsl(parts.query))
        self.requests.append((parts.path, params))
        if self.faults:
            self.faults.pop(0)(handler)
            return
        for path, authorization, route in self._routes:
            if unquote(parts.path) == path:
                if authorization and handler.headers["authorization"] != authorization:
                    handler.answer(401, b'{"error": "unauthorized"}')
                else:
                    route(handler, params)
                return
        handler.answer(404)

    # The networks --------------------------------------------------------------------------------------------------

    def _awin(self, handler: Handler, params: dict[str, str]) -> None:
        start, end = at(params["startDate"]), at(params["endDate"])
        if end - start > timedelta(days=31) or params["timezone"] != "UTC":
            handler.answer(400, b'{"error": "BAD_REQUEST", "description": "at most 31 days"}')
            return
        dated = {"transaction": "transactionDate", "validation": "validationDate", "amendment": "validationDate"}
        rows = _within(self.rows["awin"], dated[params["dateType"]], start, end)
        if params["dateType"] == "amendment":
            rows = [row for row in rows if row["amended"]]
        _json(handler, rows)

    def _impact(self, handler: Handler, params: dict[str, str]) -> None:
        kind = urlsplit(handler.path).path.rpartition("/")[2]
        start, end = (params.get(f"{name}Date") or params[f"LockingDate{name}"] for name in ("Start", "End"))
        if at(end) - at(start) > timedelta(days=45) or not 2000 <= int(params["PageSize"]) <= 20000:
            handler.answer(400)
            return
        dated = (
            "UpdateDate" if kind == "ActionUpdates" else "LockingDate" if "LockingDateStart" in params else "EventDate"
        )
        rows = _within(self.rows[f"impact-{kind}"], dated, at(start), at(end))
        number = int(params.get("Page", "1"))
        first = (number - 1) * self.page
        following = ""
        if first + self.page < len(rows):
            following = re.sub(r"&Page=\d+$", "", handler.path) + f"&Page={number + 1}"
        _json(handler, {"@page": str(number), "@nextpageuri": following, kind: rows[first : first + self.page]})

    def _cj(self, handler: Handler, params: dict[str, str]) -> None:
        query = json.loads(handler.form())["query"]
        given = {name: json.loads(value) for name, value in re.findall(r'(\w+): (\[.*?\]|".*?")', query)}
        kind = "Posting" if "sincePostingDate" in given else "Locking"
        start, end = at(given[f"since{kind}Date"]), at(given[f"before{kind}Date"])
        if given["forPublishers"] != [PUBLISHER] or end - start > timedelta(days=31):
            _json(handler, {"data": None, "errors": [{"message": f"not within 31 days, or not of {TOKEN}"}]})
            return
        rows = sorted(_within(self.rows["cj"], f"{kind.lower()}Date", start, end), key=lambda row: row["commissionId"])
        rows = [row for row in rows if row["commissionId"] > given.get("sinceCommissionId", "")]
        size = self.page
        while size < len(rows) and rows[size]["commissionId"] == rows[size - 1]["commissionId"]:
            size += 1
        page = rows[:size]
        found = {
            "count": len(page),
            "payloadComplete": len(page) == len(rows),
            "maxCommissionId": page[-1]["commissionId"] if page else None,
            "records": page,
        }
        _json(handler, {"data": {"publisherCommissions": found}})

    def _token(self, handler: Handler, params: dict[str, str]) -> None:
        form = dict(parse_qsl(handler.form().decode()))
        if form not in (
            {"scope": PUBLISHER},
            {"grant_type": "password", "username": "us3r", "password": PASSWORD},
        ):
            handler.answer(401)
            return
        _json(handler, {"access_token": ACCESS_TOKEN, "expires_in": 899})

    def _rakuten_events(self, handler: Handler, params: dict[str, str]) -> None:
        rows = _within(
            self.rows["rakuten-event"], "process_date", at(params["process_date_start"]), at(params["process_date_end"])
        )
        size = int(params["limit"])
        first = (int(params["page"]) - 1) * size
        _json(handler, rows[first : first + size])

    def _rakuten_report(self, handler: Handler, params: dict[str, str]) -> None:
        if params["token"] != TOKEN or (params["tz"], params["date_type"]) != ("GMT", "process"):
            handler.answer(403)
            return
        rows = [
            row
            for row in self.rows["rakuten-report"]
            for day in [datetime.strptime(row["Process Date"], "%m/%d/%y").date().isoformat()]
            if params["start_date"] <= day <= params["end_date"]
        ]
        header = [
            "Member ID (U1)", "MID", "Order ID", "Transaction Date", "SKU", "Sales", "Total Commission",
            "Process Date", "Currency",
        ]  # fmt: skip
        _csv(handler, rows, header)

    def _ebay(self, handler: Handler, params: dict[str, str]) -> None:
        first, last = (datetime.fromisoformat(params[name]) for name in ("START_DATE", "END_DATE"))
        if last - first > timedelta(days=90) or params["date_type"] != "update_date":
            handler.answer(400)
            return
        rows = [
            row for row in self.rows["ebay"] if params["START_DATE"] <= row["Update Date"][:10] <= params["END_DATE"]
        ]
        header = ["Event Date", "Update Date", "EPN Transaction ID", "Status", "Campaign ID", "Earnings", "Currency"]
        _csv(handler, rows, header)

    def _tradedoubler(self, handler: Handler, params: dict[str, str]) -> None:
        dated = "timeOfLastModified" if params["lastModified"] == "true" else "timeOfTransaction"
        rows = [
            row
            for row in self.rows["tradedoubler"]
            if row[dated] and params["fromDate"] <= row[dated][:10].replace("-", "") <= params["toDate"]
        ]
        first, size = int(params["offset"]), min(int(params["limit"]), 100)
        page = {"offset": first, "limit": size, "reportCurrencyCode": params["reportCurrencyCode"]}
        _json(handler, {**page, "items": rows[first : first + size]})

    def _webgains(self, handler: Handler, params: dict[str, str]) -> None:
        start, end = int(params["filters[start_date]"]), int(params["filters[end_date]"])
        rows = [row for row in self.rows["webgains"] if start <= row["date"] < end]
        number, last = int(params["page"]), max(1, -(-len(rows) // self.page))
        page = rows[(number - 1) * self.page : number * self.page]
        _json(handler, {"data": page, "pagination": {"current_page": number, "last_page": last}})

    def _sovrn(self, handler: Handler, params: dict[str, str]) -> None:
        _json(
            handler,
            {"transactions": [row for row in self.rows["sovrn"] if row["updateDate"][:10] == params["updateDate"]]},
        )


def _frozen(row: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(row.items())


def _within(rows: Rows, name: str, start: datetime, end: datetime) -> Rows:
    return [row for row in rows if row[name] and start <= at(row[name]) < end]


def _json(handler: Handler, document: Any) -> None:
    handler.answer(200, json.dumps(document).encode(), content_type="application/json")


def _csv(handler: Handler, rows: Rows, header: list[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else header)
    writer.writeheader()
    writer.writerows(rows)
    handler.answer(200, text.getvalue().encode(), content_type="text/csv")
