"""Bodies and query strings become requests, or are refused with a reason before anything is looked up."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from db.claims import Claims
from engine.engine import Engine
from engine.requests import Prepared, Request
from engine.trusted_documents import TrustedDocuments
from services.services import Services
from settings import Settings

PLANNED_FIELD_PRICE = 2  # values that a field costs which a new document may have compiled
MAX_PARAMETERS = 20
MAX_VALUES = 10_000  # of variables, judged by their commas; each is looked at several times
DOCUMENT_IDS = ("documentId", "doc_id", "id")  # GraphQL over HTTP; Relay; both are seen
PARAMETERS = ("query", *DOCUMENT_IDS, "variables", "operationName", "extensions")

_NOTHING = msgspec.Raw(b"null")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRequest(Exception):
    """The request is not GraphQL over HTTP; nothing was looked at."""

    def __init__(
        self, status: int, message: str, code: str = "BAD_REQUEST", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


async def prepare(engine: Engine, services: Services, claims: Claims, address: str, request: Request) -> Prepared:
    """Reads a request's text, and takes what that and running it cost from its caller's limits. Raises RateLimited."""
    reading = engine.price_of_reading(request.query)
    if reading:
        await services.rate_limits.take(claims, address, reading)
    prepared = engine.prepare(request)
    if reading:
        await asyncio.sleep(0)  # a long text is read, and planned, in hundredths of a second each: others in between
    planning = PLANNED_FIELD_PRICE * prepared.document.planned_fields if reading else 0
    await services.rate_limits.take(claims, address, prepared.price + planning)
    return prepared


class _Body(msgspec.Struct, rename="camel", gc=False):
    query: str | None = None
    document_id: str | None = None
    doc_id: str | None = msgspec.field(default=None, name="doc_id")
    id: str | None = None
    variables: msgspec.Raw = _NOTHING
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_anything = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reader:
    """Reads requests within the limits of the settings, and looks up the documents that they name."""

    def __init__(self, settings: Settings, trusted: TrustedDocuments) -> None:
        self._text = trusted.text
        self._max_variables_bytes = settings.max_variables_bytes
        self._max_variables_depth = settings.max_variables_depth

    def from_body(self, body: bytes) -> Request:
        """The request of a POST. Raises BadRequest or DocumentRefused."""
        body = body.removeprefix(codecs.BOM_UTF8)  # which parsers of JSON may ignore (RFC 8259, 8.1)
        try:
            given = _decode_body(body)
        except _UNREADABLE:
            raise _explained(body) from None
        text = self._text(given.query, given.document_id or given.doc_id or given.id, given.extensions)
        if text is None:
            raise _no_query()
        variables = None if given.variables is _NOTHING else self._variables(given.variables)
        return Request(text, variables, given.operation_name or None)

    def from_query_string(self, query_string: bytes) -> Request:
        """The request of a GET. Raises BadRequest or DocumentRefused."""
        given = _parameters(query_string)
        extensions = _json(given["extensions"].encode(), "extensions") if given.get("extensions") else None
        if not isinstance(extensions, dict | None):
            raise BadRequest(400, "`extensions` must be an object.")
        ids = (given[name] for name in DOCUMENT_IDS if given.get(name))
        text = self._text(given.get("query"), next(ids, None), extensions)
        if text is None:
            raise _no_query()
        variables = given.get("variables")
        return Request(
            text,
            self._variables(msgspec.Raw(variables.encode())) if variables else None,
            given.get("operationName") or None,
        )

    def _variables(self, raw: msgspec.Raw) -> dict[str, Any] | None:
        text = bytes(raw)
        if len(text) > self._max_variables_bytes:
            raise BadRequest(400, f"`variables` have at most {self._max_variables_bytes} bytes.")
        variables = _json(text, "variables")
        if variables is not None and not isinstance(variables, dict):
            raise BadRequest(400, "`variables` must be an object.")
        if text.count(b",") > MAX_VALUES:
            raise BadRequest(400, f"`variables` hold at most {MAX_VALUES} values.")
        # What has few brackets cannot be nested deeply, whatever stands in its strings.
        most = self._max_variables_depth
        if text.count(b"{") + text.count(b"[") > most and _is_deeper_than(variables, most):
            raise BadRequest(400, f"`variables` are nested at most {most} deep.")
        return variables


def _no_query() -> BadRequest:
    return BadRequest(400, "Give a `query`, or the `documentId` of one.")


def _explained(body: bytes) -> BadRequest:
    """What is wrong with a body."""
    try:
        given = _decode_anything(body)
    except _UNREADABLE:
        return _not_json(body)
    if isinstance(given, list):
        return BadRequest(400, "Send one request at a time: a JSON object, not an array.")
    if not isinstance(given, dict):
        return BadRequest(400, "Send one request: a JSON object with `query`.")
    for name in ("query", "operationName", *DOCUMENT_IDS):
        if not isinstance(given.get(name), str | None):
            return BadRequest(400, f"`{name}` must be a string.")
    return BadRequest(400, "`extensions` must be an object.")


def _json(text: bytes, name: str) -> Any:
    try:
        return _decode_anything(text)
    except _UNREADABLE:
        raise _not_json(text, name) from None


def _not_json(text: bytes, name: str | None = None) -> BadRequest:
    """Why a body, or a parameter of this name, cannot be read: it is not JSON, or it holds a lone surrogate."""
    with contextlib.suppress(ValueError, RecursionError):
        given = json.loads(text)  # unlike msgspec, it takes lone surrogates
        request = given if name is None else {name: given}
        places = [(f"`{member}`", member, value) for member, value in request.items()] if type(request) is dict else []
        if places and isinstance(request.get("variables"), dict):
            variables = request["variables"].items()
            places = [*((f"The variable `{member}`", member, value) for member, value in variables), *places]
        for place, member, value in places:
            found = _SURROGATE.search(json.dumps([member, value], ensure_ascii=False))
            if found is not None:
                problem = f"{place} holds a lone surrogate, \\u{ord(found[0]):x}, which is no Unicode character."
                return BadRequest(400, problem.encode("utf-8", "backslashreplace").decode())
    return BadRequest(400, f"`{name}` is not JSON." if name else "The body is not JSON.")


def _is_deeper_than(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        if not below:
            return False
        level = below
    return any(isinstance(each, dict | list) for each in level)


def _parameters(query_string: bytes) -> dict[str, str]:
    """Of a query string: those that GraphQL over HTTP knows, each at most once."""
    parts = query_string.split(b"&")
    if len(parts) > MAX_PARAMETERS:
        raise BadRequest(400, f"At most {MAX_PARAMETERS} parameters.")
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        try:
            key = unquote_to_bytes(name.replace(b"+", b" ")).decode()
            text = unquote_to_bytes(value.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            raise BadRequest(400, "The parameters are not UTF-8.") from None
        if key in found:
            raise BadRequest(400, "A parameter is given twice.")
        if key in PARAMETERS:
            found[key] = text
    return found
