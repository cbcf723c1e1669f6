"""Feeds from URLs: what is imported, what is asked the second time, what is repeated, and which secrets are kept."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec
import pytest

import settings as settings_module
from db import import_runs
from domain.feed_mappings import ImportFailed, Mapping, Source
from services import import_sources
from services.import_sources import SourceBusy
from settings import Settings
from tests.conftest import Shop
from tests.feed_server import FeedServer, feed_server
from tests.integration.test_import_runs import MAPPING, record


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server() as running:
        yield running


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_private_sources=True, max_source_bytes=100_000)


def feed(*numbers: int, **changes: object) -> bytes:
    return "\n".join(json.dumps(record(n, **changes)) for n in numbers).encode()


def mapping(url: str, **more: Any) -> Mapping:
    return msgspec.structs.replace(MAPPING, source=Source(url, **more))


async def fetch(owner: Any, settings: Settings, **options: Any) -> Any:
    return await import_sources.fetch(owner, settings, "shop", started_by="anna", **options)


async def test_a_feed_is_imported_as_a_run_of_its_source(owner: Any, server: FeedServer, settings: Settings) -> None:
    server.answers["/feeds/products.jsonl"] = lambda h: h.answer(200, gzip.compress(feed(1, 2)))
    await import_sources.save(owner, "shop", mapping(server.url("/feeds/products.jsonl")))
    report = await fetch(owner, settings)
    assert (report.inserted, report.rejected) == (2, 0)
    [run] = await import_runs.newest(owner, 10)
    assert (run["source"], run["file_name"], run["started_by"]) == ("shop", "products.jsonl", "anna")
    assert run["number"] == report.run


async def test_an_unchanged_feed_writes_nothing_but_its_run(owner: Any, server: FeedServer, settings: Settings) -> None:
    server.answers["/"] = lambda h: (
        h.answer(304) if h.headers["if-none-match"] == '"1"' else h.answer(200, feed(1), etag='"1"')
    )
    await import_sources.save(owner, "shop", mapping(server.url("/")))
    await fetch(owner, settings)
    before = await owner.fetch("select xmin::text, * from products")
    assert await fetch(owner, settings) is None
    assert await owner.fetch("select xmin::text, * from products") == before
    run, _ = await import_runs.newest(owner, 10)
    assert (run["outcome"], run["counts"]) == ("not_modified", None)


async def test_a_changed_mapping_or_force_asks_for_the_whole_file(
    owner: Any, server: FeedServer, settings: Settings
) -> None:
    server.answers["/"] = lambda h: h.answer(304) if h.headers["if-none-match"] else h.answer(200, feed(1), etag='"1"')
    read = mapping(server.url("/"))
    await import_sources.save(owner, "shop", read)
    await fetch(owner, settings)
    assert await fetch(owner, settings, force=True) is not None
    await import_sources.save(owner, "shop", read)
    assert await fetch(owner, settings) is None
    await import_sources.save(owner, "shop", msgspec.structs.replace(read, tag_separator="|"))
    assert await fetch(owner, settings) is not None


async def test_a_feed_that_fails_is_asked_for_again_as_if_it_had_never_come(
    owner: Any, server: FeedServer, settings: Settings
) -> None:
    server.answers["/"] = lambda h: h.answer(200, b"PK\x03\x04 no archive", etag='"1"')
    await import_sources.save(owner, "shop", mapping(server.url("/")))
    with pytest.raises(ImportFailed):
        await fetch(owner, settings)
    server.answers["/"] = lambda h: h.answer(200, feed(1), etag='"2"')
    await fetch(owner, settings)
    assert "if-none-match" not in server.requests[1][1]


async def test_a_failure_is_a_run_and_writes_nothing(owner: Any, server: FeedServer, settings: Settings) -> None:
    server.answers["/"] = lambda h: h.answer(503)
    await import_sources.save(owner, "shop", mapping(server.url("/"), every="6h"))
    with pytest.raises(ImportFailed, match="source shop: the server answered 503"):
        await fetch(owner, settings)
    [run] = await import_runs.newest(owner, 10)
    assert (run["outcome"], run["error"]) == ("failed", "source shop: the server answered 503")
    row = await owner.fetchrow("select *, next_at - now() as pause from private.import_sources")
    assert row["failures"] == 1
    assert 890 < row["pause"].total_seconds() <= 900


async def test_a_small_archive_with_much_in_it_is_refused(owner: Any, server: FeedServer, settings: Settings) -> None:
    server.answers["/"] = lambda h: h.answer(200, gzip.compress(b"\n" * 1_000_000))
    await import_sources.save(owner, "shop", mapping(server.url("/")))
    with pytest.raises(ImportFailed, match="larger than 100000 bytes when unpacked"):
        await fetch(owner, settings)


async def test_secrets_are_sent_and_never_stored(
    owner: Any, server: FeedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_SHOP_KEY", "to/p secret")
    monkeypatch.setenv("SOURCE_SHOP_LOGIN", "Basic dG9wIHNlY3JldA==")
    server.answers["/key/to%2Fp%20secret/feed"] = lambda h: h.answer(200, feed(1))
    read = mapping(server.url("/key/{SOURCE_SHOP_KEY}/feed"), authorization="SOURCE_SHOP_LOGIN")
    await import_sources.save(owner, "shop", read)
    await fetch(owner, settings)
    assert server.requests[0][1]["authorization"] == "Basic dG9wIHNlY3JldA=="
    server.answers["/key/to%2Fp%20secret/feed"] = lambda h: h.answer(403)
    with pytest.raises(ImportFailed):
        await fetch(owner, settings, force=True)
    stored = await owner.fetch(
        "select r::text from import_runs r union all select s::text from private.import_sources s"
    )
    assert len(stored) == 3
    assert not any("secret" in row[0] or "dG9w" in row[0] for row in stored)
    monkeypatch.delenv("SOURCE_SHOP_LOGIN")
    with pytest.raises(ImportFailed, match="SOURCE_SHOP_LOGIN, which is not set"):
        await fetch(owner, settings)


async def test_two_do_not_fetch_the_same_source(owner: Any, dsns: Any, server: FeedServer, settings: Settings) -> None:
    await import_sources.save(owner, "shop", mapping(server.url("/")))
    other = await asyncpg.connect(dsns.owner)
    await other.execute("select pg_advisory_lock(hashtext('aclue.import_source'), hashtext('shop'))")
    with pytest.raises(SourceBusy):
        await fetch(owner, settings)
    await other.close()
    assert server.requests == []


async def test_due_sources_are_fetched_whatever_happens_to_others(
    owner: Any, server: FeedServer, settings: Settings
) -> None:
    server.answers["/good"] = lambda h: h.answer(200, feed(1))
    server.answers["/bad"] = lambda h: h.answer(500)
    for name, every in (("bad", "6h"), ("good", "1h"), ("later", "1d"), ("byhand", None)):
        await import_sources.save(owner, name, mapping(server.url(f"/{name}"), every=every))
    await owner.execute("update private.import_sources set next_at = now() where name in ('bad', 'good')")
    assert await owner.fetchval("select private.due_import_sources()") == 2
    done = {due.name: due async for due in import_sources.fetch_due(owner, settings)}
    assert set(done) == {"bad", "good"}
    assert done["bad"].error == "source bad: the server answered 500"
    assert done["good"].report.inserted == 1
    assert await owner.fetchval("select private.due_import_sources()") == 0
    pauses = {
        row["name"]: row["pause"].total_seconds()
        for row in await owner.fetch("select name, next_at - now() as pause from private.import_sources")
        if row["pause"]
    }
    assert pauses["good"] == pytest.approx(3600, abs=60)
    assert pauses["bad"] == pytest.approx(900, abs=60)
    assert {run["started_by"] for run in await import_runs.newest(owner, 10)} == {"schedule"}


async def test_a_mapping_without_a_source_is_none(owner: Any) -> None:
    with pytest.raises(ImportFailed, match=r"no \[source\]"):
        await import_sources.save(owner, "shop", MAPPING)


def test_private_sources_are_for_development() -> None:
    given = {"ENVIRONMENT": "production", "JWT_SECRET": "x" * 32, "DATABASE_URL": "postgresql://a@b/c"}
    with pytest.raises(settings_module.SettingsError, match="ALLOW_PRIVATE_SOURCES"):
        settings_module.load({**given, "ALLOW_PRIVATE_SOURCES": "true"})


async def test_a_server_that_does_not_know_the_owner_says_so(shop: Shop, server: FeedServer) -> None:
    without = msgspec.structs.replace(
        shop.services.settings, database_url="postgresql://api@db.example/aclue", migration_database_url=""
    )
    services = dataclasses.replace(shop.services, settings=without)
    await import_sources.save(shop.owner, "shop", mapping(server.url("/"), every="6h"))
    assert await import_sources.run_due(services) == 0
    await shop.owner.execute("update private.import_sources set next_at = now()")
    with pytest.raises(import_sources.ImportsFailed, match=r"1 sources are due: set MIGRATION_DATABASE_URL"):
        await import_sources.run_due(services)
    assert server.requests == []
