"""Ways to send a mail. A sender is given one message and returns once it is out of our hands."""

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

TIMEOUT = 20  # seconds, for each step of the conversation


class Undeliverable(Exception):
    """The address takes no mail: to try again is no use."""


class Sender(Protocol):
    async def send(self, mail: Mail) -> None:
        """Raises Undeliverable, or anything else when another attempt may succeed."""


class LogSender:
    """For development: the message stands in the log, its link included."""

    async def send(self, mail: Mail) -> None:
        log.info("mail", to=mail.recipient, subject=mail.subject, text=mail.text)


class SmtpSender:
    """One connection per message: there are few."""

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
        """Raises Undeliverable for a recipient that no header can hold."""
        name, _, given = mail.recipient.rpartition("@")
        message = EmailMessage()
        # Every mail server takes this form. Address() quotes a strange name before the @, but takes every domain:
        # "x.example,y.example" would be two addresses.
        domain = to_ascii(given)
        if domain is None:
            raise Undeliverable("no address: its domain is none")
        try:
            message["To"] = Address(username=name, domain=domain)
        except ValueError as error:
            raise Undeliverable(f"no address: {error}") from error
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
            smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=context)
            if self._is_tls
            else smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)
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
    """SMTP where it is set up; else the log in development, and nothing in production."""
    if settings.smtp_url:
        return SmtpSender(settings.smtp_url, settings.mail_from)
    return None if settings.is_production else LogSender()
