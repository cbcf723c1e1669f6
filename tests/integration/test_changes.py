"""Changes reach every process, in as few notifications as hold them, and nobody misses them for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.changes import EVERYBODY, MAX_PAYLOAD_BYTES, MAX_WAITING, Changes, _payloads
from db.embedded import Dsns
from tests.streams import until


class Heard:
    """What one listener was told."""

    def __init__(self, changes: Changes, topic: str, owner: str) -> None:
        self.details: list[str | None] = []
        self.forget = changes.listen(topic, owner, self.details.append)


@pytest.fixture
async def processes(dsns: Dsns) -> AsyncIterator[tuple[Changes, Changes]]:
    """Two of them, that hear each other."""
    one, other = Changes(dsns.api), Changes(dsns.api)
    for changes in (one, other):
        changes.start()
    await until(lambda: one.is_connected and other.is_connected)
    yield one, other
    for changes in (one, other):
        await changes.stop()


async def test_every_process_hears_what_one_of_them_says(processes: tuple[Changes, Changes]) -> None:
    told = [Heard(changes, "clicks", "anna") for changes in processes]
    processes[0].note("clicks", "anna", "seven")
    await until(lambda: all(heard.details == ["seven"] for heard in told))


async def test_only_those_hear_it_whom_it_concerns(processes: tuple[Changes, Changes]) -> None:
    one, other = processes
    hers, his, else_ = Heard(other, "clicks", "anna"), Heard(other, "clicks", "ben"), Heard(other, "swipes", "anna")
    one.note("clicks", "anna")
    one.note("clicks", EVERYBODY, "last")
    await until(lambda: his.details == ["last"])
    assert hers.details == ["", "last"]
    assert else_.details == []


async def test_a_process_follows_what_is_for_everybody(processes: tuple[Changes, Changes]) -> None:
    one, other = processes
    heard: list[str | None] = []
    forget = other.follow("clicks", heard.append)
    one.note("clicks", "anna", "hers")
    one.note("clicks", EVERYBODY, "all")
    await until(lambda: heard == ["all"])
    forget()
    told = Heard(other, "clicks", "anna")
    one.note("clicks", EVERYBODY, "later")
    await until(lambda: told.details == ["later"])
    assert heard == ["all"]


async def test_a_removed_listener_is_not_called(processes: tuple[Changes, Changes]) -> None:
    one, other = processes
    gone, there = Heard(other, "clicks", "anna"), Heard(other, "clicks", "anna")
    gone.forget()
    gone.forget()  # harmless
    one.note("clicks", "anna")
    await until(lambda: there.details == [""])
    assert gone.details == []


async def test_when_too_much_waits_everybody_looks_again(processes: tuple[Changes, Changes]) -> None:
    one, other = processes
    heard = Heard(other, "clicks", "anna")
    for number in range(MAX_WAITING + 1):
        one.note("swipes", str(number))
    await until(lambda: heard.details == [None])


@pytest.mark.drill
async def test_a_connection_that_was_lost_comes_back_and_everybody_looks_again(
    processes: tuple[Changes, Changes], dsns: Dsns
) -> None:
    one, other = processes
    heard = Heard(other, "clicks", "anna")
    assert dsns.superuser
    superuser: asyncpg.Connection[Any] = await asyncpg.connect(dsns.superuser)
    await superuser.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'aclue changes' and datname = current_database()"
    )
    await superuser.close()
    await until(lambda: heard.details == [None])
    await until(lambda: one.is_connected)
    one.note("clicks", "anna", "after")
    await until(lambda: heard.details[-1] == "after")


@pytest.mark.drill
async def test_changes_without_a_connection_are_notified_later(dsns: Dsns) -> None:
    changes = Changes(dsns.api)
    heard = Heard(changes, "clicks", "anna")
    changes.start()
    changes.note("clicks", "anna", "early")
    await until(lambda: "early" in heard.details)
    await changes.stop()


async def test_pending_changes_are_notified_on_shutdown(processes: tuple[Changes, Changes]) -> None:
    one, other = processes
    heard = Heard(other, "clicks", "anna")
    one.note("clicks", "anna", "last")
    await one.stop()
    await until(lambda: heard.details == ["last"])


async def test_nothing_is_notified_before_start(processes: tuple[Changes, Changes], dsns: Dsns) -> None:
    silent = Changes(dsns.api)
    silent.note("clicks", "anna")
    await silent.stop()
    assert not silent._waiting


@pytest.mark.drill
async def test_a_way_on_which_notifications_do_not_arrive_is_noticed(
    dsns: Dsns, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def deaf(*_: Any) -> None:
        """As through a pooler: LISTEN is taken, and nothing comes."""

    monkeypatch.setattr("db.changes.GREETING_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(asyncpg.Connection, "add_listener", deaf)
    changes = Changes(dsns.api)
    changes.start()
    said: list[str] = []

    def is_told() -> bool:
        said.extend(capsys.readouterr())  # a command that ran in this process has moved the log to standard error
        return "LISTEN_DATABASE_URL" in "".join(said)

    await until(is_told)
    await changes.stop()
    assert not changes.is_connected


def test_many_lines_are_few_notifications_that_postgres_takes() -> None:
    lines = [f"conversions {number:036} {number:036}" for number in range(1_000)]
    payloads = list(_payloads(lines))
    assert "\n".join(payloads).split("\n") == lines
    assert max(map(len, payloads)) <= MAX_PAYLOAD_BYTES
    assert len(payloads) == 11
