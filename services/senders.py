"""Mail senders. A sender takes one message, and returns once the mail server has accepted it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from domain.emails import to_ascii
from domain.mails import Mail
from settings import Settings

log = structlog.get_logger("aclue.mail")

COMMAND_TIMEOUT_SECONDS = 20  # per SMTP command


class Undeliverable(Exception):
    """The recipient is invalid: retrying is pointless."""


class Sender(Protocol):
    async def send(self, mail: Mail) -> None:
        """Raises Undeliverable, or anything else if another attempt may succeed."""


class LogSender:
    """For development: logs the message, including its link."""

    async def send(self, mail: Mail) -> None:
        log.info("mail", to=mail.recipient, subject=mail.subject, text=mail.text)


class SmtpSender:
    """Opens a connection per message, as there are few."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_tls = parts.scheme == "smtps"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        asked = parse_qs(parts.query).get("starttls", ["1" if self._user else "0"])[-1]
        self._starts_tls = not self._is_tls and asked not in ("0", "false")
        self._port = parts.port or (465 if self._is_tls else 587 if self._starts_tls else 25)
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        await asyncio.to_thread(self._send, mail)

    def message(self, mail: Mail) -> EmailMessage:
        """Raises Undeliverable for a recipient that cannot be a header."""
        name, _, given = mail.recipient.rpartition("@")
        message = EmailMessage()
        # Every mail server accepts ASCII. Address() quotes the local part, but does not validate the domain:
        # "x.example,y.example" would become two addresses.
        domain = to_ascii(given)
        if domain is None:
            raise Undeliverable("invalid address: its domain is invalid")
        if "=?" in name:  # an encoded word, which headers decode: it may hide line breaks or other addresses
            raise Undeliverable("invalid address: it would read differently in a header")
        try:
            message["To"] = Address(username=name, domain=domain)
        except ValueError as error:
            raise Undeliverable(f"invalid address: {error}") from error
        message["From"] = self._sender
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{mail.key}@{parseaddr(self._sender)[1].rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message

    def _send(self, mail: Mail) -> None:
        message = self.message(mail)
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(self._host, self._port, timeout=COMMAND_TIMEOUT_SECONDS, context=context)
            if self._is_tls
            else smtplib.SMTP(self._host, self._port, timeout=COMMAND_TIMEOUT_SECONDS)
        ) as server:
            if self._starts_tls:
                server.starttls(context=context)
            if self._user:
                server.login(self._user, self._password)
            try:
                server.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                codes = dict(error.recipients.values())
                if all(code >= 500 for code in codes):
                    raise Undeliverable(f"refused: {codes}") from error
                raise


def from_settings(settings: Settings) -> Sender | None:
    """SMTP if SMTP_URL is set; else the log in development, and None in production."""
    if settings.smtp_url:
        return SmtpSender(settings.smtp_url, settings.mail_from)
    return None if settings.is_production else LogSender()
