"""A mail server on this machine that keeps what it is given, and the tokens in its mails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from services import outbox
from services.senders import SmtpSender
from services.services import Services

SENDER = "Aclue <no-reply@shop.example>"


@dataclass
class Mailbox:
    """What arrived. `refuse` is what the server answers instead of taking a recipient."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuse: str | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def collect(self, services: Services) -> list[EmailMessage]:
        """Sends what waits in the outbox; what has arrived by now."""
        await outbox.deliver(services, SmtpSender(self.url, SENDER))
        return self.received

    def token(self, path: str) -> str:
        """The token of the newest mail that links to this path."""
        for message in reversed(self.received):
            if found := re.search(rf"^https?://\S+/{path}\?token=(\S+)$", text_of(message), re.MULTILINE):
                return found[1]
        raise LookupError(path)

    def subjects(self, recipient: str) -> list[str]:
        return [str(m["Subject"]) for m in self.received if str(m["To"]) == recipient]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


def text_of(message: EmailMessage) -> str:
    text: str = message.get_content()
    return text.replace("\r\n", "\n")


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Mailbox]:
    """Listens on a free port of this machine; `options` are aiosmtpd's."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, loop=loop, hostname="mail.example", **options), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
