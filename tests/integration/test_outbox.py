"""The outbox: written with its reason, sent once, tried again, given up in the end, and nothing secret stays in it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from aiosmtpd.smtp import AuthResult
from structlog.testing import capture_logs

import settings as settings_module
from db.claims import SERVICE
from domain.mails import Mail
from server import create_app
from services import housekeeping, outbox
from services.senders import LogSender, SmtpSender
from settings import Settings
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import FORGOT, VERIFY, is_verified
from tests.http.test_sessions import ANNA
from tests.integration.waiting import until
from tests.mailbox import SENDER, Mailbox, mail_server, text_of

DUE = "update private.outbox set next_attempt_at = now() where next_attempt_at is not null"


async def rows(shop: Shop) -> list[Any]:
    return await shop.owner.fetch(
        "select *, next_attempt_at > now() as is_later, sent_at is not null as is_sent from private.outbox order by id"
    )


class Broken:
    """A sender whose mail server is not there."""

    async def send(self, mail: Mail) -> None:
        raise OSError("nobody answers")


@pytest.fixture
async def posting(shop: Shop, settings: Settings, mailbox: Mailbox) -> AsyncIterator[Client]:
    """A caller of the same service with a mail server and a worker that looks into the outbox every second."""
    with_mail = msgspec.structs.replace(
        settings, smtp_url=mailbox.url, mail_from=SENDER, mail_interval=1, app_url="https://app.example/"
    )
    app = create_app(with_mail, shop.dsns.api, SECRET, worker_url=shop.dsns.worker or "")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Client(http)


async def test_the_server_sends_what_waits_without_being_asked(shop: Shop, posting: Client, mailbox: Mailbox) -> None:
    await posting.sign_up(**ANNA)
    await until(shop.owner, "exists (select from private.outbox where sent_at is not null)")
    (mail,) = mailbox.received
    assert mailbox.recipients == [ANNA["email"]]
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (SENDER, ANNA["email"], "auto-generated")
    assert "\nhttps://app.example/verify-email?token=" in text_of(mail)
    await posting.do(VERIFY, token=mailbox.token("verify-email"))
    assert await is_verified(posting)


async def test_a_mail_that_was_sent_is_not_sent_again_and_keeps_no_token(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    (waiting,) = await rows(shop)
    assert (waiting["is_sent"], waiting["attempts"]) == (False, 0)
    await mailbox.collect(shop.services)
    await mailbox.collect(shop.services)
    (sent,) = await rows(shop)
    assert len(mailbox.received) == 1
    assert (sent["is_sent"], sent["attempts"], sent["next_attempt_at"], sent["payload"]) == (True, 1, None, None)
    assert mailbox.token("verify-email").encode() not in waiting["payload"]


async def test_no_account_no_mail(shop: Shop, mailbox: Mailbox) -> None:
    await shop.client().do(FORGOT, email="nobody@people.example")
    await shop.client().do(FORGOT, email="nothing")
    assert await mailbox.collect(shop.services) == []


async def test_a_mail_server_that_is_busy_is_asked_again_later(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    mailbox.refuse = "451 later"
    await mailbox.collect(shop.services)
    (waiting,) = await rows(shop)
    assert (waiting["attempts"], waiting["is_later"], waiting["is_sent"]) == (1, True, False)
    assert "451" in waiting["last_error"]
    mailbox.refuse = None
    assert await mailbox.collect(shop.services) == []  # not yet
    await shop.owner.execute(DUE)
    assert len(await mailbox.collect(shop.services)) == 1
    assert [(row["is_sent"], row["last_error"]) for row in await rows(shop)] == [(True, None)]


async def test_retries_back_off_and_the_last_failure_is_logged(shop: Shop) -> None:
    await shop.account(**ANNA)
    waits, logged = [], []
    for _ in range(outbox.MAX_ATTEMPTS):
        with capture_logs() as lines:
            assert await outbox.deliver(shop.services, Broken()) == 1
        logged += lines
        waits.append(await shop.owner.fetchval("select next_attempt_at - now() from private.outbox"))
        await shop.owner.execute(DUE)
    assert waits.pop() is None
    assert [round(wait.total_seconds() / 30) for wait in waits] == [1, 2, 4, 8, 16, 32, 64]
    assert [line["log_level"] for line in logged] == ["warning"] * 7 + ["error"]
    (given_up,) = await rows(shop)
    assert (given_up["is_sent"], given_up["last_error"], given_up["payload"]) == (
        False,
        "OSError: nobody answers",
        None,
    )
    assert await outbox.deliver(shop.services, Broken()) == 0


async def test_an_address_that_there_is_not_is_given_up_at_once(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    mailbox.refuse = "550 no such user"
    await mailbox.collect(shop.services)
    (row,) = await rows(shop)
    assert (row["attempts"], row["next_attempt_at"], row["payload"]) == (1, None, None)
    assert "550" in row["last_error"]


@pytest.mark.drill
async def test_one_mail_that_fails_holds_up_no_other(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.account("ben@people.example")
    await shop.owner.execute("update private.outbox set payload = '\\x00' where recipient = $1", ANNA["email"])
    await mailbox.collect(shop.services)
    assert mailbox.recipients == ["ben@people.example"]


async def test_several_workers_send_each_mail_once(shop: Shop, mailbox: Mailbox) -> None:
    people = [f"{number}@people.example" for number in range(12)]
    await shop.owner.execute(
        "insert into auth.users (id, email) select private.uuid_v7(), address from unnest($1::text[]) address", people
    )
    for address in people:
        await shop.client().do(FORGOT, email=address)
    sender = SmtpSender(mailbox.url, SENDER)
    counts = await asyncio.gather(*(outbox.deliver(shop.services, sender) for _ in range(4)))
    assert sum(counts) == 12
    assert sorted(mailbox.recipients) == sorted(people)


async def test_what_a_worker_took_before_it_died_is_sent_by_another(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await session.fetchrow("outbox.take", lease_seconds=outbox.LEASE_SECONDS)
    assert await mailbox.collect(shop.services) == []
    await shop.owner.execute(DUE)  # the lease is over
    assert len(await mailbox.collect(shop.services)) == 1


async def test_a_mail_is_not_written_when_its_reason_is_rolled_back(shop: Shop) -> None:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetch(
            "accounts.create",
            email=ANNA["email"],
            canonical=ANNA["email"],
            spellings=[],
            password_hash="x",
            display_name=None,
        )
        await outbox.queue_token(session, shop.services, outbox.VERIFY_EMAIL, ANNA["email"])
        session.mark_rollback()
    assert await rows(shop) == []


async def test_a_mail_whose_token_has_expired_is_not_sent(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.owner.execute("update private.outbox set expires_at = now()")
    await shop.owner.execute("update private.one_time_tokens set expires_at = now()")
    assert await mailbox.collect(shop.services) == []
    await housekeeping.purge_mails(shop.services)
    (row,) = await rows(shop)
    assert (row["next_attempt_at"], row["payload"], row["last_error"]) == (None, None, "expired unsent")
    assert await shop.owner.fetchval("select count(*) from private.one_time_tokens") == 0


async def test_the_state_of_a_mail_is_kept_for_a_month(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.account()
    age = "update private.outbox set id = private.uuid_v7_floor(now() - $1::interval) where recipient = $2"
    await shop.owner.execute(age, timedelta(days=31), ANNA["email"])
    await housekeeping.purge_mails(shop.services)
    assert [row["recipient"] for row in await rows(shop)] != [ANNA["email"]]
    assert len(await rows(shop)) == 1


async def test_the_mails_and_tokens_of_a_person_go_with_them(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.client().do(FORGOT, email=ANNA["email"])
    await mailbox.collect(shop.services)
    assert len(await rows(shop)) == 2
    await shop.owner.execute("delete from auth.users")
    assert await rows(shop) == []
    assert await shop.owner.fetchval("select count(*) from private.one_time_tokens") == 0


async def test_the_sender_logs_in(shop: Shop) -> None:
    seen = []

    def authenticate(server: Any, session: Any, envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    async with mail_server(authenticator=authenticate, auth_require_tls=False) as box:
        await shop.account(**ANNA)
        url = f"smtp://anna:p%40ss@127.0.0.1:{box.port}?starttls=0"
        await outbox.deliver(shop.services, SmtpSender(url, SENDER))
        assert len(box.received) == 1
    assert seen == [(b"anna", b"p@ss")]


async def test_a_log_in_is_not_given_to_a_server_without_tls(shop: Shop) -> None:
    seen: list[Any] = []
    async with mail_server(authenticator=lambda *a: seen.append(a), auth_require_tls=False) as box:
        await shop.account(**ANNA)
        await outbox.deliver(shop.services, SmtpSender(f"smtp://anna:pass@127.0.0.1:{box.port}", SENDER))
        assert box.received == []
    assert seen == []
    assert "STARTTLS" in (await rows(shop))[0]["last_error"]


async def test_a_mail_server_that_is_not_there(shop: Shop) -> None:
    await shop.account(**ANNA)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await outbox.deliver(shop.services, SmtpSender(f"smtp://127.0.0.1:{closed.getsockname()[1]}", SENDER))
    assert [row["is_later"] for row in await rows(shop)] == [True]


async def test_in_development_the_log_has_the_link(shop: Shop) -> None:
    await shop.account(**ANNA)
    with capture_logs() as lines:
        await outbox.deliver(shop.services, LogSender())
    (line,) = lines
    assert line["to"] == ANNA["email"]
    assert "/verify-email?token=" in line["text"]


async def test_in_production_without_a_mail_server_mails_wait_and_one_line_says_so(
    shop: Shop, settings: Settings
) -> None:
    production = {"ENVIRONMENT": "production", "JWT_SECRET": "x" * 32, "DATABASE_URL": "postgresql://x@y/z"}
    app = create_app(settings_module.load(production), shop.dsns.api, SECRET, worker_url=shop.dsns.worker or "")
    with capture_logs() as lines:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
        ):
            await Client(http).sign_up(**ANNA)
            await asyncio.sleep(0.2)
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "mails wait in the outbox: SMTP_URL is not set"
    ]
    assert [(row["attempts"], row["is_sent"]) for row in await rows(shop)] == [(0, False)]
