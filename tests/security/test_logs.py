"""What a whole journey leaves in the log: request ids and hashes of callers, and nothing of anybody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import structlog

from commands.terminal import log_to_stderr
from db.claims import SERVICE
from domain import ids
from server import configure_logging, create_app
from services import jobs
from services.jobs import Job
from services.services import Services
from settings import Settings
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.mailbox import Mailbox

EMAIL, PASSWORD, NAME = "anna.secret@people.example", "correct horse 4711", "Anna Unmistakable"
RENAME = "mutation ($n: String) { updateProfile(input: {displayName: $n}) { userErrors { message } } }"
RESET = "mutation ($e: String!) { requestPasswordReset(input: {email: $e}) { userErrors { message } } }"
SIGN_IN = """
mutation ($e: String!, $p: String!) { signIn(input: {email: $e, password: $p}) { accessToken userErrors { code } } }
"""


class Log:
    """What a server writes to standard error."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._captured.readouterr().err
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The log at the level debug."""
    before = structlog.get_config()
    configure_logging(msgspec.structs.replace(Settings(), log_level="debug"), SECRET)
    yield Log(capsys)
    structlog.configure(**before)


@pytest.fixture
async def talkative(shop: Shop) -> AsyncIterator[Shop]:
    """The shop, where each statement of a millisecond is logged as slow."""
    settings = msgspec.structs.replace(shop.services.settings, database_slow_query_threshold=1)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Shop(app.state.services, shop.owner, shop.dsns, http, shop.base, app.state.engine)


@pytest.mark.usefixtures("own_accounts")
async def test_a_journey_leaves_nothing_of_anybody_in_the_log(talkative: Shop, mailbox: Mailbox, log: Log) -> None:
    shop = talkative
    anna = await shop.client().sign_up(EMAIL, PASSWORD)
    await anna.post(SIGN_IN, e=EMAIL, p="a wrong password 4712")
    await anna.do(RENAME, n=NAME)
    products = await anna.products(first=3)
    for product in products:
        await anna.swipe(product["id"])
    await anna.feed()
    await anna.take_quiz({"adv"})
    await shop.client().post(RESET, e=EMAIL)
    mailbox.refuse = f"550 <{EMAIL}> is unknown"
    await mailbox.collect(shop.services)
    mailbox.refuse = None
    await shop.http.get("/r/no-such-token")
    await shop.client("not a token at all").post("{ me { id } }")
    # Postgres quotes the row that breaks a constraint which the code does not know.
    await shop.owner.execute("alter table public.profiles add constraint odd check (display_name is null) not valid")
    assert await anna.code(RENAME, n=f"{NAME} again") == "INTERNAL_SERVER_ERROR"

    async def fail(services: Services) -> int:
        async with services.database.session(SERVICE, read_only=False) as session:
            await session.run("update public.profiles set display_name = $1", [f"{NAME} once more"])
        return 0

    with pytest.raises(asyncpg.CheckViolationError):
        await jobs.run(shop.services, Job("failing", lambda _: "", fail))

    told = log.text
    subject = str(ids.decode_as("Profile", await anna.my_id()))
    for secret in (
        *(EMAIL, EMAIL.partition("@")[0], "people.example", PASSWORD, "4712", NAME, "Anna", subject, SECRET),
        *(anna.token, anna.refresh_token, "not a token", shop.dsns.api, shop.dsns.owner),
    ):
        assert secret and secret not in told, secret
    events = {line["event"] for line in log.lines}
    assert {"slow query", "internal error", "job failed"} <= events
    assert any(event.startswith("mail ") for event in events)


async def test_lines_carry_the_request_and_a_hash_of_the_caller(talkative: Shop, log: Log) -> None:
    anna, ben = await talkative.anonymous(), await talkative.anonymous()
    await talkative.owner.execute("alter table public.profiles rename column display_name to hidden_name")

    async def fail(client: Client) -> tuple[str, dict[str, Any]]:
        answer = await client.post("{ me { displayName } }")
        request_id = answer.headers["x-request-id"]
        (line,) = (line for line in log.lines if line["event"] == "internal error" and line["request_id"] == request_id)
        return request_id, line

    of_anna = [await fail(anna) for _ in range(2)]
    _, of_ben = await fail(ben)
    subjects = [line["subject"] for _, line in of_anna]
    assert subjects[0] == subjects[1] != of_ben["subject"]
    assert len(subjects[0]) == 32


def test_commands_log_no_variables_of_frames(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        log_to_stderr()
        of_a_dsn = "".join(["hidden", "-password"])
        try:
            raise ValueError(len(of_a_dsn))
        except ValueError:
            structlog.get_logger("aclue").exception("a command failed")
    finally:
        structlog.configure(**before)
    said = capsys.readouterr().err
    assert "a command failed" in said
    assert "ValueError: 15" in said
    assert of_a_dsn not in said
