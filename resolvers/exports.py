"""Exports of personal data: requested with a proof besides the access token, then downloaded once from a signed URL.
docs/privacy.md"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db import exports
from db.claims import SERVICE, Claims, service_for
from db.queries import QUERIES, Composed
from db.session import Session
from domain.callers import Caller
from domain.errors import Expired, LimitReached, NotFound, Overloaded
from resolvers import privacy
from resolvers.profiles import require_subject
from services import attempts
from services.services import Services

PATH = "/exports/"
LIFETIME_SECONDS = 10 * 60
RETRY_SECONDS = 10
MAX_TOKEN = 16_000  # characters; an access token, whose claims it carries, has 8192 at most
MAX_DOCUMENT_BYTES = 1_000_000
_CARRIED_CLAIMS = ("role", "sub", "session_id", "is_anonymous", "app_metadata", "aal")  # what policies may ask for


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of an export, and its expiry."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """The content of a signed URL: a row of privacy_requests, and the claims under which the data is read."""

    request_id: UUID
    person: UUID
    claims: Claims


async def request(
    session: Session, services: Services, caller: Caller, *, password: str | None, refresh_token: str | None
) -> Address:
    """Stores a request of the caller. Raises Unauthenticated, InvalidCredentials, Unavailable, Forbidden or
    RateLimited."""
    user = require_subject(session)
    claims = session.claims
    await privacy.require_proof(services, caller, claims, user, password=password, refresh_token=refresh_token)
    limit = services.settings.sign_in_attempts
    await attempts.count(services, caller, attempts.guesses("export", str(user), limit, id=user), limit, claims)
    noted = await privacy.note_request(session, "export")
    token = services.exports.sign(noted["id"].bytes + _carried(claims))
    expires_at = noted["created_at"] + timedelta(seconds=LIFETIME_SECONDS)
    return Address(f"{services.settings.base_url}{PATH}{token}", expires_at)


def _carried(claims: Claims) -> bytes:
    payload = msgspec.json.decode(claims.raw)
    return msgspec.json.encode({name: payload[name] for name in _CARRIED_CLAIMS if name in payload})


def open_ticket(services: Services, token: str) -> Ticket:
    """Verifies a token. Raises NotFound for one that was not signed here."""
    signed = services.exports.open(token) if len(token) <= MAX_TOKEN else None
    if signed is None:
        raise NotFound("There is no such export.")
    payload = msgspec.json.decode(signed[16:])
    person, session = UUID(payload["sub"]), payload.get("session_id")
    claims = Claims(
        role=payload["role"],
        subject=person,
        session_id=UUID(session) if session else None,
        is_anonymous=payload.get("is_anonymous") is True,
        raw=signed[16:].decode(),
    )
    return Ticket(UUID(bytes=signed[:16]), person, claims)


def _while_open(block: str, ticket: Ticket, lifetime_seconds: float) -> Composed:
    condition = QUERIES["exports.open"].bind(
        user_id=ticket.person, request_id=ticket.request_id, lifetime_seconds=float(lifetime_seconds)
    )
    return QUERIES[block].fill(open=condition)


async def check(services: Services, ticket: Ticket, lifetime_seconds: float) -> None:
    """Raises Expired for a URL that is older than this or was used, or whose person was deleted."""
    async with services.database.session(SERVICE, read_only=True) as session:
        if not await session.fetchval(_while_open("exports.is_open", ticket, lifetime_seconds)):
            raise _expired()


async def fetch(services: Services, ticket: Ticket, lifetime_seconds: float) -> AsyncGenerator[bytes, None]:
    """The data as pages of JSON lines, from one snapshot. The first page uses the URL up. Raises Expired; or Overloaded
    while another export of the person is being downloaded, after which the URL still works."""
    async with services.database.session(service_for(ticket.person), read_only=True) as session:
        if not await session.fetchval("exports.try_lock", user_id=ticket.person):
            raise Overloaded("Another export of yours is being fetched.", RETRY_SECONDS)
        async with services.database.session(service_for(ticket.person), read_only=False) as claiming:
            if await claiming.fetchval(_while_open("exports.claim", ticket, lifetime_seconds)) is None:
                raise _expired()
        async with contextlib.aclosing(exports.pages(_Reader(session, ticket.claims), ticket.person)) as pages:
            async for page in pages:
                yield page


def _expired() -> Expired:
    return Expired("This address no longer works: request the export again.")


class _Reader:
    """See db.exports.Reader."""

    def __init__(self, session: Session, claims: Claims) -> None:
        self._session = session
        self._claims = claims

    async def run(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        return await self._session.run(sql, arguments)

    async def switch_to_person(self) -> None:
        await self._session.switch_claims(self._claims)


async def document(session: Session) -> dict[str, Any]:
    """The caller's data in one piece, for the deprecated field `document`. Raises LimitReached beyond
    MAX_DOCUMENT_BYTES."""
    user, claims = require_subject(session), session.claims
    await session.switch_claims(service_for(user))
    parts = bytearray()
    async with contextlib.aclosing(exports.pages(_Reader(session, claims), user)) as pages:
        async for page in pages:
            parts += page
            if len(parts) > MAX_DOCUMENT_BYTES:
                raise LimitReached(f"More than {MAX_DOCUMENT_BYTES} bytes: fetch them from `url`.")
    header, *rows, end = map(msgspec.json.decode, parts.splitlines())
    data: dict[str, list[Any]] = {name: [] for name in header["tables"]}
    for row in rows:
        data[row["table"]].append(row["row"])
    tables = {name: {"rows": end["tables"][name], **table} for name, table in header["tables"].items()}
    kept = {name: header[name] for name in ("generatedAt", "profileId", "notExported")}
    return {"manifest": {"formatVersion": "1", **kept, "tables": tables}, "data": data}
