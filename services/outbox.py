"""Transactional outbox: mails are stored in the transaction that causes them, sent afterwards, and retried on failure.

A token in a mail is stored as a hash, and encrypted in the mail itself until that is sent.
"""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

import asyncpg
import structlog

from db.claims import SERVICE
from db.session import Session
from domain.mails import compose
from services.senders import Sender, Undeliverable
from services.services import Services

log = structlog.get_logger("aclue.mail")

RESET_PASSWORD, VERIFY_EMAIL, PASSWORD_CHANGED = "reset_password", "verify_email", "password_changed"
NOTICE_LIFETIME = 24 * 3600.0
LEASE_SECONDS = 600.0  # after which a mail that was not sent is free for another worker
MAX_ATTEMPTS = 8  # over an hour
FIRST_RETRY_SECONDS = 30.0  # doubled for each further attempt
MAILS_PER_ROUND = 50
KEEP_SECONDS = 30 * 24 * 3600.0  # for which the state of a mail is kept


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def queue_token(session: Session, services: Services, kind: str, email: str) -> None:
    """Issues a one-time token and queues its mail to an account's address. `session` is service_role's."""
    await issue_token(session, services, kind, email, has_mail=True)


async def issue_token(session: Session, services: Services, kind: str, email: str, *, has_mail: bool) -> str:
    """Issues a one-time token for the account with this address. `session` is service_role's."""
    settings = services.settings
    token = secrets.token_urlsafe(32)
    await session.fetch(
        "one_time_tokens.issue",
        kind=kind,
        email=email,
        token_hash=hash_of(token),
        payload=services.mail_sealer.seal(token, _about(kind, email)) if has_mail else None,
        lifetime_seconds=float(
            settings.reset_token_lifetime if kind == RESET_PASSWORD else settings.verification_token_lifetime
        ),
    )
    return token


async def _answer_reset_requests(services: Services) -> None:
    """Queues the mail of each reset request whose address has an account. Done in the background, so that response
    times do not reveal whether it has one."""
    while True:
        async with services.database.session(SERVICE, read_only=False) as session:
            asked = await session.fetchrow("one_time_tokens.take_reset_request")
            if asked is None:
                return
            known = await session.fetchrow(
                "accounts.by_email", canonical=asked["canonical_email"], spellings=asked["spellings"]
            )
            if known is not None:
                await queue_token(session, services, RESET_PASSWORD, known["email"])


async def queue_notice(session: Session, user_id: UUID, template: str, email: str) -> None:
    """Queues a mail without a token. `session` is service_role's."""
    await session.fetch(
        "outbox.queue", user_id=user_id, template=template, recipient=email, lifetime_seconds=NOTICE_LIFETIME
    )


def _about(template: str, recipient: str) -> str:
    return f"{template}:{recipient}"


async def deliver_due(services: Services) -> int:
    """Sends all mails that are due through the configured sender; returns how many, 0 without one."""
    if services.sender is None:
        return 0
    sent = done = await deliver(services, services.sender)
    while done == MAILS_PER_ROUND:
        done = await deliver(services, services.sender)
        sent += done
    return sent


async def deliver(services: Services, sender: Sender) -> int:
    """Sends mails that are due, one by one; returns how many. Safe to run in several workers at once. No database
    connection is held while talking to the mail server."""
    await _answer_reset_requests(services)
    for done in range(MAILS_PER_ROUND):
        async with services.database.session(SERVICE, read_only=False) as session:
            mail = await session.fetchrow("outbox.take", lease_seconds=LEASE_SECONDS)
        if mail is None:
            return done
        error, retry_after = await _send(services, sender, mail)
        async with services.database.session(SERVICE, read_only=False) as session:
            await session.fetch("outbox.finish", id=mail["id"], error=error, retry_after_seconds=retry_after)
    return MAILS_PER_ROUND


async def _send(services: Services, sender: Sender, mail: asyncpg.Record) -> tuple[str | None, float | None]:
    """Returns the error, if any, and the seconds until the next attempt, if there is one."""
    template, recipient, sealed, attempts = mail["template"], mail["recipient"], mail["payload"], mail["attempts"]
    try:
        token = services.mail_sealer.open(sealed, _about(template, recipient)) if sealed else None
        if sealed and token is None:
            raise Undeliverable("encrypted with another secret")
        await sender.send(compose(str(mail["id"]), template, recipient, services.settings.app_base_url, token))
    except Exception as error:
        is_last = isinstance(error, Undeliverable) or attempts >= MAX_ATTEMPTS
        said = f"{type(error).__name__}: {error}"[:500]
        logged = said.replace(recipient, "(the recipient)")  # servers quote the address that they refuse
        if is_last:
            log.error("mail given up", id=str(mail["id"]), template=template, attempts=attempts, error=logged)
            return said, None
        log.warning("mail not sent, will be tried again", id=str(mail["id"]), attempts=attempts, error=logged)
        return said, FIRST_RETRY_SECONDS * 2 ** (attempts - 1)
    return None, None
