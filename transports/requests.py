"""Bodies and query strings become requests, or are refused with a reason before anything is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from schema.execution import Request
from settings import Settings

MAX_PARAMETERS = 20
PARAMETERS = ("query", "variables", "operationName", "extensions")

_NOTHING = msgspec.Raw(b"null")


class BadRequest(Exception):
    """The request is not GraphQL over HTTP; nothing was looked at."""

    def __init__(
        self, status: int, message: str, code: str = "BAD_REQUEST", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class _Body(msgspec.Struct, rename="camel", gc=False):
    query: str
    variables: msgspec.Raw = _NOTHING
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_anything = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reader:
    """Reads requests within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._max_variables_bytes = settings.max_variables_bytes
        self._max_variables_depth = settings.max_variables_depth

    def from_body(self, body: bytes) -> Request:
        """The request of a POST. Raises BadRequest."""
        try:
            given = _decode_body(body)
        except _UNREADABLE:
            return self._explained(body)
        variables = None if given.variables is _NOTHING else self._variables(given.variables)
        return Request(given.query, variables, given.operation_name or None)

    def from_query_string(self, query_string: bytes) -> Request | None:
        """The request of a GET; None where there is no `query`. Raises BadRequest."""
        given = _parameters(query_string)
        if "query" not in given:
            return None
        extensions = given.get("extensions")
        if extensions and not isinstance(_json(extensions.encode(), "extensions"), dict | None):
            raise BadRequest(400, "`extensions` must be an object.")
        variables = given.get("variables")
        return Request(
            given["query"],
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
        # What has few brackets cannot be nested deeply, whatever stands in its strings.
        most = self._max_variables_depth
        if text.count(b"{") + text.count(b"[") > most and _is_deeper_than(variables, most):
            raise BadRequest(400, f"`variables` are nested at most {most} deep.")
        return variables

    def _explained(self, body: bytes) -> Request:
        """Says what is wrong with a body. The exception is one without a `query`, which is read for its extensions."""
        try:
            given = _decode_anything(body)
        except _UNREADABLE:
            raise BadRequest(400, "The body is not JSON.") from None
        if isinstance(given, list):
            raise BadRequest(400, "Send one request at a time: a JSON object, not an array.")
        if not isinstance(given, dict):
            raise BadRequest(400, "Send one request: a JSON object with `query`.")
        query, extensions = given.get("query"), given.get("extensions")
        if query is None and isinstance(extensions, dict) and "persistedQuery" in extensions:
            raise BadRequest(400, "Send the `query` itself.", "PERSISTED_QUERY_NOT_SUPPORTED")
        if not isinstance(query, str):
            raise BadRequest(400, "`query` must be a string.")
        if given.get("operationName") is not None and not isinstance(given["operationName"], str):
            raise BadRequest(400, "`operationName` must be a string.")
        raise BadRequest(400, "`extensions` must be an object.")


def _json(text: bytes, name: str) -> Any:
    try:
        return _decode_anything(text)
    except _UNREADABLE:
        raise BadRequest(400, f"`{name}` is not JSON.") from None


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
