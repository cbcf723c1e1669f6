"""The two services, and asking them without a server or a client in between."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import GraphQLSchema
from starlette.applications import Starlette

from engine.engine import Engine
from server import create_app
from services.public_answers import PublicAnswers
from services.services import Services
from settings import Settings
from tests.conftest import SECRET
from tests.differential.documents import Document

_TELLING_HEADERS = (b"content-type", b"retry-after", b"www-authenticate", b"cache-control")


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers that say something, and the body as JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def codes(self) -> list[str]:
        """extensions.code of every error."""
        errors = self.body.get("errors", []) if isinstance(self.body, dict) else []
        return [error["extensions"]["code"] for error in errors]

    @property
    def is_refused(self) -> bool:
        return self.status != 200

    @property
    def is_failure(self) -> bool:
        """Whether the service is at fault, whatever was asked."""
        is_broken = "escaped" in self.body or "not JSON" in self.body
        return self.status >= 500 or is_broken or "INTERNAL_SERVER_ERROR" in self.codes

    @property
    def has_data(self) -> bool:
        """Whether it tells anything: a value other than null and the name of a type at the root."""
        return isinstance(self.body, dict) and _tells(self.body.get("data"))


def _tells(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_tells(item) for key, item in value.items() if not key.startswith("__typename"))
    if isinstance(value, list):
        return any(_tells(item) for item in value)
    return value is not None


@dataclass(frozen=True)
class Pair:
    """A service with plans and one without. They share a secret, and read the same rows."""

    planned: Starlette
    plain: Starlette

    async def ask(self, document: Document, token: str | None) -> tuple[Answer, Answer]:
        """What each answers, asked one after the other: writes of both must not meet."""
        return await ask(self.planned, document, token), await ask(self.plain, document, token)

    @property
    def schema(self) -> GraphQLSchema:
        return schema_of(self.plain)

    @property
    def services(self) -> Services:
        services: Services = self.plain.state.services
        return services


@contextlib.asynccontextmanager
async def serving(settings: Settings, planned_dsn: str, plain_dsn: str) -> AsyncIterator[Pair]:
    """Both services, for the time of the block; on one database or on two copies of one."""
    planned = create_app(msgspec.structs.replace(settings, plans=True), planned_dsn, SECRET, background=())
    plain = create_app(msgspec.structs.replace(settings, plans=False), plain_dsn, SECRET, background=())
    async with planned.router.lifespan_context(planned), plain.router.lifespan_context(plain):
        yield Pair(planned, plain)


def beside(pair: Pair) -> Pair:
    """The pair with another service in place of the one with plans, which has compiled none yet, and caches nothing:
    not even the answers of plans with a fault."""
    services: Services = pair.planned.state.services
    app = create_app(services.settings, "", SECRET, background=())
    uncached = PublicAnswers(services.settings, services.database.changes)  # it is never started
    app.state.services = dataclasses.replace(services, public_answers=uncached)
    return Pair(app, pair.plain)


def engine_of(app: Starlette) -> Engine:
    """What answers in this service; each has one of its own."""
    engine: Engine = app.state.engine
    return engine


def schema_of(app: Starlette) -> GraphQLSchema:
    """The schema that this service runs."""
    return engine_of(app).core


async def ask(app: Starlette, document: Document, token: str | None) -> Answer:
    """What the service answers to a POST of the document."""
    body = {"query": document.text, "variables": document.variables, "operationName": document.operation_name}
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/graphql-response+json"),  # its status tells whether the document ran
        (b"user-agent", b"differential"),
    ]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    status, sent, received = 0, [], bytearray()

    parts = [json.dumps(body).encode()]

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.Event().wait()  # the client waits for the answer
        return {"type": "http.request", "body": parts.pop(), "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, sent
        if message["type"] == "http.response.start":
            status, sent = message["status"], message["headers"]
        else:
            received.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("shop", 80),
        "state": {},
    }
    try:
        await app(scope, receive, send)
    except (Exception, asyncio.CancelledError) as error:  # a server would answer 500, or nothing at all
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Answer(500, {}, {"escaped": repr(error)})
    told = {name.decode(): value.decode() for name, value in sent if name in _TELLING_HEADERS}
    return Answer(status, told, _parsed(bytes(received)))


def _parsed(body: bytes) -> Any:
    """The JSON. A text that is none, or that has a key twice, is kept as text: it differs from every good answer."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except ValueError as error:
        return {"not JSON": f"{error}: {body[:2000]!r}"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
