"""Parses bodies and query strings into requests, and charges their callers."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from graphql import OperationType

from db.claims import Claims
from domain.switches import Switch
from engine.engine import Engine
from engine.requests import Prepared, Request
from engine.trusted_documents import TrustedDocuments
from services.services import Services
from settings import Settings

PLANNED_FIELD_CHARGE = 2  # values charged for each field that a new document may have compiled
MAX_PARAMETERS = 20
MAX_SHOWN = 100  # characters of a parameter's name in an error
LARGE_BYTES = 10_000  # of a body; parsing a smaller one takes no longer than charging for it
BYTES_PER_COST_UNIT = 100
MAX_COMMAS = 10_000  # of variables and of extensions: bounds their values, each of which is visited several times
DOCUMENT_IDS = ("documentId", "doc_id", "id")  # in GraphQL over HTTP; in Relay; in either
PARAMETERS = ("query", *DOCUMENT_IDS, "variables", "operationName", "extensions")

_NOTHING = msgspec.Raw(b"null")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAY_BE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")  # an escape, or invalid UTF-8


class BadRequest(Exception):
    """The request is not GraphQL over HTTP."""

    def __init__(
        self, status: int, message: str, code: str = "BAD_REQUEST", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


async def charge_bytes(services: Services, address: str, size: int) -> None:
    """Charges an address for bytes whose sender is not authenticated. Raises RateLimited."""
    await services.rate_limits.take_address(address, charge_for_bytes(size))


def charge_for_bytes(size: int) -> int:
    """The charge for reading so many bytes. Large inputs are charged before they are parsed; small ones only if they
    are refused, as the charge of a request that runs covers them."""
    return 1 + size // BYTES_PER_COST_UNIT


async def prepare_and_charge(
    engine: Engine, services: Services, claims: Claims, address: str, request: Request
) -> Prepared:
    """Parses a request, and charges its caller for parsing and running it. Raises RateLimited, or SwitchedOff."""
    document = engine.known(request.query)
    is_new = document is None
    if is_new:
        await services.rate_limits.take(claims, address, engine.charge_for_reading(request.query))
    prepared = engine.prepare(request, document)
    if is_new:
        await asyncio.sleep(0)  # parsing and planning a long text take hundredths of a second each: yield in between
    if (counting := prepared.charge_for_counting()) > 0:
        await services.rate_limits.take(claims, address, counting)
    planning = PLANNED_FIELD_CHARGE * prepared.document.planned_fields if is_new else 0
    await services.rate_limits.take(claims, address, prepared.charge + planning)
    if prepared.kind is OperationType.MUTATION:
        services.switches.require(Switch.WRITES)
    elif prepared.kind is OperationType.SUBSCRIPTION:
        services.switches.require(Switch.SUBSCRIPTIONS)
    if request.on_accepted is not None and not prepared.errors:
        request.on_accepted()
    return prepared


class _Body(msgspec.Struct, rename="camel", gc=False):
    query: str | None = None
    document_id: str | None = None
    doc_id: str | None = msgspec.field(default=None, name="doc_id")
    id: str | None = None
    variables: msgspec.Raw = _NOTHING
    operation_name: str | None = None
    extensions: msgspec.Raw = _NOTHING


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_anything = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reader:
    """Parses requests within the limits of the settings, and looks up the documents that they name."""

    def __init__(self, settings: Settings, trusted: TrustedDocuments) -> None:
        self._text = trusted.text
        self._registration = trusted.registration
        self._max_variables_bytes = settings.max_variables_bytes
        self._max_explained_bytes = settings.max_variables_bytes + settings.max_document_bytes
        self._max_variables_depth = settings.max_variables_depth

    def from_body(self, body: bytes) -> Request:
        """The request of a POST. Raises BadRequest or DocumentRefused."""
        body = body.removeprefix(codecs.BOM_UTF8)  # JSON parsers may ignore it (RFC 8259, 8.1)
        try:
            given = _decode_body(body)
        except msgspec.ValidationError as error:
            raise _mismatch(str(error)) from None
        except _UNREADABLE:
            raise self._not_json(body) from None
        extensions = None if given.extensions is _NOTHING else self._extensions(bytes(given.extensions))
        text = self._text(given.query, given.document_id or given.doc_id or given.id, extensions)
        if text is None:
            raise _no_query()
        variables = None if given.variables is _NOTHING else self._variables(given.variables)
        on_accepted = self._registration(given.query, extensions) if extensions else None
        return Request(text, variables, given.operation_name or None, on_accepted=on_accepted)

    def from_query_string(self, query_string: bytes) -> Request:
        """The request of a GET. Raises BadRequest or DocumentRefused."""
        given = _parameters(query_string)
        extensions = self._extensions(given["extensions"].encode()) if given.get("extensions") else None
        ids = (given[name] for name in DOCUMENT_IDS if given.get(name))
        text = self._text(given.get("query"), next(ids, None), extensions)
        if text is None:
            raise _no_query()
        variables = given.get("variables")
        return Request(
            text,
            self._variables(msgspec.Raw(variables.encode())) if variables else None,
            given.get("operationName") or None,
            on_accepted=self._registration(given.get("query"), extensions) if extensions else None,
        )

    def _extensions(self, text: bytes) -> dict[str, Any] | None:
        if text.count(b",") > MAX_COMMAS:
            raise BadRequest(400, f"`extensions` hold more than {MAX_COMMAS} commas.")
        extensions = self._json(text, "extensions")
        if not isinstance(extensions, dict | None):
            raise BadRequest(400, "`extensions` must be an object.")
        return extensions

    def _variables(self, raw: msgspec.Raw) -> dict[str, Any] | None:
        text = bytes(raw)
        if len(text) > self._max_variables_bytes:
            raise BadRequest(400, f"`variables` are larger than {self._max_variables_bytes} bytes.")
        if text.count(b",") > MAX_COMMAS:
            raise BadRequest(400, f"`variables` hold more than {MAX_COMMAS} commas: send fewer values.")
        variables = self._json(text, "variables")
        if variables is not None and not isinstance(variables, dict):
            raise BadRequest(400, "`variables` must be an object.")
        # Cheap pre-check: with few brackets, nesting cannot be deep.
        limit = self._max_variables_depth
        if text.count(b"{") + text.count(b"[") > limit and _is_deeper_than(variables, limit):
            raise BadRequest(400, f"`variables` are nested more than {limit} deep.")
        return variables

    def may_explain(self, text: bytes) -> bool:
        """Whether invalid input may be parsed a second time to explain the error: not if it is larger than any request
        that could run."""
        return len(text) <= self._max_explained_bytes and text.count(b",") <= MAX_COMMAS

    def _json(self, text: bytes, name: str) -> Any:
        try:
            return _decode_anything(text)
        except _UNREADABLE:
            raise self._not_json(text, name) from None

    def _not_json(self, text: bytes, name: str | None = None) -> BadRequest:
        """Explains why a body, or a parameter of this name, is invalid: it is not JSON, or it holds a lone surrogate.
        To locate that, the input is parsed a second time, unless it is larger than any request that could run."""
        what = f"`{name}`" if name else "The body"
        if _MAY_BE_SURROGATE.search(text) is None:
            return BadRequest(400, f"{what} is not JSON.")
        if not self.may_explain(text):
            return BadRequest(400, f"{what} is not JSON, or holds a lone surrogate.")
        with contextlib.suppress(ValueError, RecursionError):
            given = json.loads(text)  # unlike msgspec, it takes lone surrogates
            for place, value in _places(given if name is None else {name: given}):
                found = _surrogate_in(value)
                if found is not None:
                    problem = f"{place} holds a lone surrogate, \\u{ord(found):x}, which is no Unicode character."
                    return BadRequest(400, problem.encode("utf-8", "backslashreplace").decode())
        return BadRequest(400, f"{what} is not JSON.")


def _no_query() -> BadRequest:
    return BadRequest(400, "Give a `query`, or the `documentId` of one.")


def _mismatch(message: str) -> BadRequest:
    """Explains JSON that is not a request, from msgspec's message: "Expected `str`, got `int` - at `$.query`"."""
    kind, _, place = message.partition(" - at `$.")
    if place:
        return BadRequest(400, f"`{place.rstrip('`')}` must be a string.")
    if kind.endswith("got `array`"):
        return BadRequest(400, "Send one request at a time: a JSON object, not an array.")
    return BadRequest(400, "Send one request: a JSON object with `query`.")


def _places(request: Any) -> Iterator[tuple[str, Any]]:
    """Each variable, then each member of the request, with a description."""
    if not isinstance(request, dict):
        return
    variables = request.get("variables")
    if isinstance(variables, dict):
        yield from ((f"The variable `{name}`", [name, value]) for name, value in variables.items())
    yield from ((f"`{name}`", [name, value]) for name, value in request.items())


def _surrogate_in(value: Any) -> str | None:
    """The first lone surrogate in a decoded value, including names of members."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found = _SURROGATE.search(each)
            if found is not None:
                return found[0]
        elif isinstance(each, list):
            waiting.extend(reversed(each))
        elif isinstance(each, dict):
            waiting.extend(reversed(each.values()))
            waiting.extend(reversed(each))
    return None


def _is_deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
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
    """Parameters of a query string that GraphQL over HTTP defines, each at most once."""
    parts = query_string.split(b"&")
    if len(parts) > MAX_PARAMETERS:
        raise BadRequest(400, f"The query string has more than {MAX_PARAMETERS} parameters.")
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        try:
            key = unquote_to_bytes(name.replace(b"+", b" ")).decode()
            text = unquote_to_bytes(value.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            shown = name.decode("ascii", "replace")[:MAX_SHOWN]
            raise BadRequest(400, f"The parameter `{shown}` is not UTF-8.") from None
        if key in found:
            raise BadRequest(400, f"The parameter `{key[:MAX_SHOWN]}` is given twice.")
        if key in PARAMETERS:
            found[key] = text
    return found
