"""`/postbacks/{network}/{secret}`: what networks and own senders push. docs/money.md#postbacks

The secret and the query leave the scope before anything else sees it: access logs, error reports and traces of whatever
server runs this say `/postbacks/{network}/...`.
"""

from __future__ import annotations

import re

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from domain.callers import Caller
from domain.ledger.postbacks import Message
from services import postbacks
from services.postbacks import Credentials, Outcome
from services.services import Services
from transports.pages import HEADERS, limited, read_body

PREFIX = "/postbacks/"
_TAKEN = "aclue.postback"
_NETWORK = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_QUERY_BYTES = 16_384
_RETRY_SECONDS = "3600"
_ANSWERS = {
    Outcome.NEW: (200, ""),
    Outcome.REPEAT: (200, ""),
    Outcome.REPLAY: (409, "This message was received before."),
    Outcome.FULL: (429, "This sender has sent too much today."),
    Outcome.UNKNOWN: (404, ""),
    Outcome.UNSIGNED: (401, "The signature is invalid."),
    Outcome.OUTDATED: (401, "The timestamp is more than five minutes off."),
}


def routes() -> list[Route]:
    return [Route("/postbacks/{network}/...", limited(_receive), methods=["GET", "POST"])]


def take_secret(scope: Scope) -> None:
    """Moves the secret and the query of a postback out of what is logged."""
    network, _, secret = scope["path"].removeprefix(PREFIX).partition("/")
    if not _NETWORK.fullmatch(network) or len(network) > 50:
        network = "unknown"
    scope[_TAKEN] = (secret, scope["query_string"])
    scope["path"] = f"{PREFIX}{network}/..."
    scope["raw_path"] = scope["path"].encode()
    scope["query_string"] = b""


async def _receive(http: HttpRequest, services: Services, caller: Caller) -> Response:
    if http.method == "HEAD":
        return PlainTextResponse("", 405, headers={**HEADERS, "allow": "GET, POST"})
    secret, query = http.scope[_TAKEN]
    if len(query) > _MAX_QUERY_BYTES:
        return PlainTextResponse(f"The query is larger than {_MAX_QUERY_BYTES} bytes.", 414, headers=HEADERS)
    body = await read_body(http, services.settings.max_postback_bytes) if http.method == "POST" else b""
    if http.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return PlainTextResponse("Send the body as it is, without Content-Encoding.", 415, headers=HEADERS)
    credentials = Credentials(
        network=http.path_params["network"],
        secret=secret or _secret_of(http),
        signature=http.headers.get("x-signature", ""),
        timestamp=http.headers.get("x-timestamp", ""),
    )
    message = Message(http.headers.get("content-type", ""), query, body)
    status, text = _ANSWERS[await postbacks.receive(services, caller.address, credentials, message)]
    headers = {**HEADERS, "retry-after": _RETRY_SECONDS} if status == 429 else HEADERS
    return PlainTextResponse(text, status, headers=headers)


def _secret_of(http: HttpRequest) -> str:
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    return http.headers.get("x-postback-secret") or (token.strip() if scheme.lower() == "bearer" else "")
