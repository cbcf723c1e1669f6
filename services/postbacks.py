"""Postbacks: checked and stored as they come, then read into the ledger by a job. docs/money.md#postbacks

A sender has a secret in its URL or in a header, of which the hash is stored. Own senders sign their messages instead:
what is in their URL is an id, and the key of their signatures is stored encrypted.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from db.claims import ANONYMOUS, SERVICE
from db.session import Session
from domain.errors import TryAgain
from domain.ledger import generic
from domain.ledger.postbacks import Message, content_hash, count, is_recent, is_signed_by, read
from domain.ledger.reports import BadFile, Report
from domain.networks import parse_address
from domain.sealing import Sealer
from domain.switches import Switch
from services import conversion_flags, ledger, switches
from services.services import Services

log = structlog.get_logger("aclue.postbacks")

UNKNOWN_COST = 2_000  # charged to the address's rate limit for a wrong secret or signature, beside the visit
BATCH = 100
MAX_REPORTS = 500
"""Of a batch, after the message that reaches it: others want the ledger, too."""
MAX_ATTEMPTS = 6  # within an hour; waiting for the ledger is none
BUSY_SECONDS = 2.0  # until the next run where the ledger is held
FIRST_RETRY_SECONDS = 60.0  # doubled for each further attempt
TIMEOUT_MS = 60_000
MAX_SIGNATURE_CHARACTERS = 200
DELAYED = "postbacks wait: the ledger is held by something else"
DELAYED_MINUTES = 15


class Outcome(Enum):
    """What became of a message. UNKNOWN also stands for a sender outside its addresses, which learns nothing."""

    NEW = "new"
    REPEAT = "repeat"
    REPLAY = "replay"
    FULL = "full"
    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a message says it is from."""

    network: str
    secret: str = field(repr=False)
    signature: str = ""
    timestamp: str = ""


async def receive(services: Services, address: str, credentials: Credentials, message: Message) -> Outcome:
    """Stores a message. Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=True) as session:
        sender = await session.fetchrow(
            "postbacks.sender", network=credentials.network, secret_hash=_hash_of(credentials.secret)
        )
    outcome = _refusal(services, address, credentials, message, sender)
    if outcome is not None or sender is None:
        await services.rate_limits.take(ANONYMOUS, address, UNKNOWN_COST)
        return outcome or Outcome.UNKNOWN
    is_signed = sender["sealed_key"] is not None
    async with services.database.session(SERVICE, read_only=False) as session:
        stored: str = await session.fetchval(
            "postbacks.receive",
            sender_id=sender["id"],
            content_hash=content_hash(message, credentials.timestamp if is_signed else ""),
            content_type=message.content_type[:200],
            query_string=message.query,
            body=message.body,
            conversions=count(credentials.network, _mapping(sender["mapping"]), message),
            quota=services.settings.max_postback_bytes_per_day,
        )
    if stored == "full":
        log.warning("a sender of postbacks has used up its bytes of the day", sender=str(sender["id"]))
    return Outcome.REPLAY if is_signed and stored == "repeat" else Outcome(stored)


def _refusal(
    services: Services, address: str, credentials: Credentials, message: Message, sender: asyncpg.Record | None
) -> Outcome | None:
    if sender is None:
        return Outcome.UNKNOWN
    if sender["addresses"] and not _is_within(address, sender["addresses"]):
        log.warning("a postback came from another address than its sender's", sender=str(sender["id"]))
        return Outcome.UNKNOWN
    if sender["sealed_key"] is None:
        return None
    key = services.postback_sealer.open(sender["sealed_key"], str(sender["id"]))
    if key is None:
        log.error("the key of a sender of postbacks was encrypted with another secret", sender=str(sender["id"]))
    # Nothing outside the signed body counts.
    if key is None or message.query or len(credentials.signature) > MAX_SIGNATURE_CHARACTERS:
        return Outcome.UNSIGNED
    if not is_signed_by(key, credentials.timestamp, message.body, credentials.signature):
        return Outcome.UNSIGNED
    return None if is_recent(credentials.timestamp, time.time()) else Outcome.OUTDATED


def _is_within(address: str, networks: Sequence[str]) -> bool:
    found = parse_address(address)
    return found is not None and any(found in ipaddress.ip_network(network) for network in networks)


def _hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class LedgerBusy(Exception):
    """Something else has held the ledger for as long as a message waits; none of them is at fault."""


async def process_due(services: Services) -> int:
    """Reads what waits into the ledger; returns how many messages. Safe to run in several workers at once: a message is
    locked by the transaction that reads it, and free again if that ends halfway. While imports are switched off they
    wait."""
    total = 0
    if Switch.IMPORTS in await switches.off(services.database):
        return total
    try:
        while messages := await _process_batch(services):
            total += messages
    except TryAgain:
        log.info("postbacks wait: Postgres is busy")
        await _run_again(services)
    except LedgerBusy:
        log.info("postbacks wait: a long import holds the ledger")
        await _note_delay(services)
        await _run_again(services)
    return total


async def _run_again(services: Services) -> None:
    with contextlib.suppress(TryAgain):  # the next minute's run does it otherwise
        async with services.database.session(SERVICE, read_only=False) as session:
            await session.fetch("jobs.enqueue", name="process_postbacks", after_seconds=BUSY_SECONDS)


async def _note_delay(services: Services) -> None:
    """An entry of the system log when messages have waited for long, once an hour, however many servers there are."""
    async with _session(services) as session:
        delayed = await session.fetchrow("postbacks.delayed", message=DELAYED, minutes=DELAYED_MINUTES)
    if delayed is not None:
        log.warning(DELAYED, **delayed)
        services.system_log.note("warning", "ledger", DELAYED, **delayed)


async def _process_batch(services: Services) -> int:
    rows: Sequence[asyncpg.Record] = ()
    try:
        async with _session(services) as session:
            rows = await session.fetch("postbacks.due", maximum=BATCH)
            return await _process(services, session, rows)
    except Exception as error:
        if not rows or isinstance(error, LedgerBusy):
            raise
        log.warning("postbacks are processed one by one", exception=type(error).__name__)
        for row in rows:
            await _process_alone(services, row)
    return len(rows)


def _session(services: Services) -> Any:
    return services.database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS)


async def _process_alone(services: Services, row: asyncpg.Record) -> None:
    """So that one which cannot be stored keeps no other from it. One that holds the ledger for too long is put off as
    well, but the others wait, too: raises TryAgain. Raises LedgerBusy."""
    try:
        async with _session(services) as session:
            await _process(services, session, await session.fetch("postbacks.due_one", id=row["id"]))
    except LedgerBusy:
        raise
    except Exception as error:
        attempts = row["attempts"] + 1
        said = f"{type(error).__name__}: {error}"[:500]
        log.warning("a postback was not stored", id=str(row["id"]), attempts=attempts, exception=type(error).__name__)
        wait = FIRST_RETRY_SECONDS * 2 ** (attempts - 1) if attempts < MAX_ATTEMPTS else None
        async with _session(services) as session:
            await session.fetch("postbacks.postpone", id=row["id"], error=said, retry_after_seconds=wait)
        if isinstance(error, TryAgain):
            raise


async def _process(services: Services, session: Session, rows: Sequence[asyncpg.Record]) -> int:
    """Reads the first of these messages; returns how many."""
    if not rows:
        return 0
    try:
        await session.fetch("ledger.lock")
    except TryAgain as busy:
        raise LedgerBusy from busy
    reports: dict[str, list[Report]] = defaultdict(list)
    counts: list[int] = []
    errors: list[str | None] = []
    for row in rows:
        found, error = _read(row)
        reports[row["name"]] += found
        counts.append(len(found))
        errors.append(error)
        if sum(counts) >= MAX_REPORTS:
            break
    for origin, found in reports.items():
        if found:
            done = await ledger.import_reports(session, found, source="postback", origin=origin)
            await conversion_flags.update(session, services.settings.fraud_limits, {key.id for key in done.keys})
    await session.fetch(
        "postbacks.finish", ids=[row["id"] for row in rows[: len(counts)]], reports=counts, errors=errors
    )
    return len(counts)


def _read(row: asyncpg.Record) -> tuple[list[Report], str | None]:
    """The reports of a message, and what is wrong with the rest of it."""
    try:
        reading = read(
            row["affiliate_network"], _mapping(row["mapping"]), Message(row["content_type"], row["query"], row["body"])
        )
    except BadFile as error:
        return [], str(error)[:2000]
    faults = "; ".join(f"conversion {reject.row}: {reject.reason}" for reject in reading.rejects)
    return list(reading.reports), faults[:2000] or None


def _mapping(stored: str | None) -> generic.Mapping | None:
    return None if stored is None else msgspec.json.decode(stored, type=generic.Mapping)


@dataclass(frozen=True, slots=True)
class Sender:
    """A new sender. `secret` is what its URL ends with; `key` signs its messages, if it signs them."""

    id: UUID
    secret: str = field(repr=False)
    key: str | None = field(repr=False)


async def add_sender(
    session: Session,
    sealer: Sealer,
    network: str,
    *,
    name: str,
    is_signed: bool,
    addresses: Sequence[str] = (),
    mapping: generic.Mapping | None = None,
) -> Sender:
    """Stores a sender; its secret and key are not stored as they are, and can be shown this once only."""
    sender = Sender(uuid4(), secrets.token_urlsafe(32), secrets.token_urlsafe(32) if is_signed else None)
    await session.fetch(
        "postbacks.add_sender",
        id=sender.id,
        network=network,
        name=name,
        secret_hash=_hash_of(sender.secret),
        sealed_key=sealer.seal(sender.key, str(sender.id)) if sender.key is not None else None,
        addresses=list(addresses),
        mapping=encoded(mapping),
    )
    return sender


def encoded(mapping: generic.Mapping | None) -> str | None:
    """A mapping as it is stored."""
    return None if mapping is None else msgspec.json.encode(mapping).decode()
