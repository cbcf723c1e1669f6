"""What the service says of itself: written beside the requests, read by administrators."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import asyncpg
import pytest

from domain import ids
from services import jobs, system_logs
from services.system_logs import SystemLog
from tests.client import Client
from tests.conftest import Shop
from tests.integration.waiting import until

LOGS = """
query ($first: Int, $after: String, $level: LogLevel, $component: String) {
  systemLogs(first: $first, after: $after, level: $level, component: $component) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id level component message context requestId createdAt }
  }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { id } }"


def admin(shop: Shop) -> Client:
    return shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))


async def entries(shop: Shop, **wanted: Any) -> list[dict[str, Any]]:
    await shop.services.system_log.flush()
    found: list[dict[str, Any]] = (await admin(shop).ask(LOGS, **wanted))["systemLogs"]["nodes"]
    return found


async def test_an_error_of_ours_is_found_by_its_request_id_and_says_nothing_of_anybody(shop: Shop) -> None:
    anna = await shop.account("anna@people.example")
    await shop.owner.execute("alter table public.profiles rename column display_name to hidden_name")
    answer = await anna.post("{ annasSecret: me { displayName } }")
    request_id = answer.json()["errors"][0]["extensions"]["requestId"]
    assert answer.headers["x-request-id"] == request_id
    found = [entry for entry in await entries(shop, component="graphql") if entry["requestId"] == request_id]
    assert [(entry["level"], entry["message"], entry["context"]) for entry in found] == [
        ("ERROR", "internal error", {"exception": "UndefinedColumnError"})
    ]
    told = await shop.owner.fetchval("select string_agg(l::text, ' ') from public.system_logs l")
    assert "anna" not in told


async def test_client_errors_are_not_logged(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert await anna.code("{ me { nothing } }") == "GRAPHQL_VALIDATION_FAILED"
    assert await anna.code(LOGS) == "FORBIDDEN"
    assert await entries(shop, component="graphql") == []


async def test_jobs_note_what_they_did_and_what_failed(shop: Shop) -> None:
    await shop.owner.execute("delete from public.recommendation_models")
    await shop.owner.execute("alter table public.idempotency_keys rename to hidden_keys")
    await jobs.run_all(shop.services)
    found: dict[str, Any] = {}
    await shop.services.system_log.flush()
    for entry in await entries(shop, component="jobs"):
        found[entry["context"]["job"]] = (entry["level"], entry["context"])
    assert found["refresh_model"] == ("INFO", {"job": "refresh_model", "count": 1})
    assert found["purge_keys"] == ("ERROR", {"job": "purge_keys", "exception": "UndefinedTableError"})
    assert "ensure_partitions" not in found, "it had nothing to do"


async def test_the_log_is_paged_newest_first_and_filtered(shop: Shop) -> None:
    await shop.services.system_log.flush()
    await shop.owner.execute("delete from public.system_logs")
    for number in range(5):
        shop.services.system_log.note("info" if number % 2 else "warning", f"part-{number % 2}", f"note {number}")
    assert [e["message"] for e in await entries(shop)] == [f"note {n}" for n in (4, 3, 2, 1, 0)]
    assert [e["message"] for e in await entries(shop, level="INFO")] == ["note 3", "note 1"]
    assert [e["message"] for e in await entries(shop, component="part-0", level="WARNING", first=2)] == [
        "note 4", "note 2"
    ]  # fmt: skip
    assert await entries(shop, component="' or true --") == []
    page = (await admin(shop).ask(LOGS, first=2))["systemLogs"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (5, True)
    rest = await entries(shop, after=page["pageInfo"]["endCursor"])
    assert [e["message"] for e in rest] == ["note 2", "note 1", "note 0"]


async def test_only_administrators_and_service_role_read_it(shop: Shop) -> None:
    shop.services.system_log.note("info", "tests", "a note")
    (entry,) = await entries(shop, component="tests")
    service = shop.client(shop.token(uuid.uuid4(), role="service_role"))
    assert (await service.ask(LOGS, component="tests"))["systemLogs"]["nodes"] == [entry]
    assert (await admin(shop).ask(NODE, id=entry["id"]))["node"] == {"id": entry["id"]}
    analyst = shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "analyst"}))
    for client in (await shop.anonymous(), await shop.account(), analyst):
        assert await client.code(LOGS) == "FORBIDDEN"
        assert (await client.ask(NODE, id=entry["id"]))["node"] is None
    assert await shop.client().code(LOGS) == "UNAUTHENTICATED"
    assert (await shop.client().ask(NODE, id=ids.encode("SystemLog", uuid.uuid4())))["node"] is None


@pytest.mark.drill
async def test_noting_neither_waits_nor_fails_while_nothing_can_be_written(shop: Shop) -> None:
    """The table is locked: requests are answered all the same, and the queue has an end."""
    await shop.services.system_log.flush()
    holder = shop.owner.transaction()
    await holder.start()
    await shop.owner.execute("lock table public.system_logs in access exclusive mode")
    for number in range(system_logs.MAX_WAITING_ENTRIES * 2):
        shop.services.system_log.note("info", "tests", f"note {number}")
    answer = await asyncio.wait_for(shop.client().ask("{ quiz { version } }"), timeout=5)
    assert answer["quiz"]["version"] == "2.0"
    await holder.commit()
    await shop.services.system_log.flush()
    kept = "(select count(*) from public.system_logs where component = 'tests') between 1000 and 1200"
    await until(shop.owner, kept)
    shop.services.system_log.note("info", "tests", "later")
    dropped = [e for e in await entries(shop, component="system_logs") if e["message"] == "entries were dropped"]
    assert sum(e["context"]["count"] for e in dropped) >= 800


async def test_what_is_waiting_is_written_before_the_service_stops(shop: Shop) -> None:
    log = SystemLog(shop.services.database)
    log.start()
    log.note("info", "tests", "last words")
    await log.stop()
    assert await shop.owner.fetchval("select count(*) from public.system_logs where message = 'last words'") == 1


async def test_an_entry_that_cannot_be_stored_does_not_stop_the_next(shop: Shop) -> None:
    log = shop.services.system_log
    log.note("no such level", "tests", "lost")
    await log.flush()
    log.note("info", "tests", "kept", request_id="r-1", count=3)
    (entry,) = await entries(shop, component="tests")
    assert (entry["message"], entry["requestId"], entry["context"]) == ("kept", "r-1", {"count": 3})


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_clients_write_nothing_into_it(shop: Shop, role: str) -> None:
    login = await asyncpg.connect(shop.dsns.api)
    try:
        for claims in ({}, {"app_metadata": {"role": "admin"}}):
            async with login.transaction():
                await login.execute(
                    "select set_config('request.jwt.claims', $1, true), set_config('role', $2, true)",
                    json.dumps({"role": role, "sub": str(uuid.uuid4()), **claims}),
                    role,
                )
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with login.transaction():
                        await login.execute(
                            "insert into public.system_logs (level, component, message) values ('info', 'x', 'x')"
                        )
    finally:
        await login.close()


async def test_a_nul_in_a_component_is_named(shop: Shop) -> None:
    admin = shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))
    (error,) = (await admin.post(LOGS, component="a\0b")).json()["errors"]
    assert "`component` holds a NUL" in error["message"]
