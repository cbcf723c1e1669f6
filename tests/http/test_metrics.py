"""What /metrics counts, who may read it, and that it says nothing of anybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client import generate_latest

from db import metrics
from db.claims import ANONYMOUS
from db.database import Database
from db.metrics import ProcessValues
from domain import ids
from server import create_app
from services import jobs
from services.jobs import Job
from services.metrics import CACHE_SECONDS
from services.services import Services
from settings import DocumentsMode, Environment
from tests.client import SWIPE
from tests.conftest import SECRET, Shop
from tests.scrapes import parse, risen, scrape
from tests.streams import socket

TOKEN = "a token for Prometheus, 32 bytes or more"
PRODUCTS = "{ products(first: 2) { nodes { name } } }"


@contextlib.asynccontextmanager
async def serving(shop: Shop, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = msgspec.structs.replace(shop.services.settings, **changes)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield http


async def test_a_query_is_counted_by_its_root_field_path_cost_and_time(shop: Shop) -> None:
    before = await scrape(shop.http)
    await shop.client().ask(PRODUCTS)
    after = risen(before, await scrape(shop.http))
    assert after['aclue_requests_total{result="ok",route="graphql"}'] == 1
    assert after['aclue_graphql_operation_duration_seconds_count{operation="products"}'] == 1
    assert after['aclue_graphql_operation_duration_seconds_sum{operation="products"}'] > 0
    assert after['aclue_graphql_executions_total{path="plan",reason=""}'] == 1
    assert after["aclue_graphql_cost_total"] > 0
    assert after["aclue_db_statement_duration_seconds_count"] >= 1
    assert after['aclue_cache_requests_total{cache="document",outcome="miss"}'] == 1


async def test_a_repeated_query_finds_its_document_and_statement_prepared(shop: Shop) -> None:
    await shop.client().ask(PRODUCTS)
    before = await scrape(shop.http)
    await shop.client().ask(PRODUCTS)
    after = risen(before, await scrape(shop.http))
    assert after['aclue_cache_requests_total{cache="document",outcome="hit"}'] == 1
    hits = after.get('aclue_cache_requests_total{cache="prepared_statement",outcome="hit"}', 0)
    assert (hits > 0) is shop.services.settings.prepared_statements
    assert 'aclue_cache_requests_total{cache="document",outcome="miss"}' not in after


async def test_a_fallback_is_counted_with_its_reason(shop: Shop) -> None:
    before = await scrape(shop.http)
    await shop.client().ask("{ __schema { queryType { name } } }")
    after = risen(before, await scrape(shop.http))
    assert after['aclue_graphql_executions_total{path="fallback",reason="introspection"}'] == 1


async def test_an_error_on_http_200_counts(shop: Shop) -> None:
    client = await shop.anonymous()
    await shop.owner.execute("alter table public.profiles rename column display_name to hidden_name")
    before = await scrape(shop.http)
    answer = await client.post("{ me { id displayName } }")
    assert answer.status_code == 200
    after = risen(before, await scrape(shop.http))
    assert after['aclue_graphql_errors_total{code="INTERNAL_SERVER_ERROR"}'] == 1
    assert after['aclue_requests_total{result="failed",route="graphql"}'] == 1
    assert after['aclue_db_errors_total{sqlstate="42703"}'] >= 1


@pytest.mark.parametrize(
    ("query", "token", "code"),
    [
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        (PRODUCTS, "no token", "UNAUTHENTICATED"),
    ],
)
async def test_a_mistake_of_the_client_is_no_failure(shop: Shop, query: str, token: str | None, code: str) -> None:
    before = await scrape(shop.http)
    assert await shop.client(token).code(query) == code
    after = risen(before, await scrape(shop.http))
    assert after[f'aclue_graphql_errors_total{{code="{code}"}}'] == 1
    assert after['aclue_requests_total{result="refused",route="graphql"}'] == 1
    assert 'aclue_requests_total{result="failed",route="graphql"}' not in after


async def test_refusals_are_counted_by_their_limit(shop: Shop) -> None:
    before = await scrape(shop.http)
    async with serving(shop, rate_limit_cost=1) as http:
        answers = [await http.post("/graphql", json={"query": PRODUCTS}) for _ in range(2)]
        assert answers[-1].status_code == 429
    many = "{ " + " ".join(f"a{n}: products(first: 100) {{ nodes {{ name tags }} }}" for n in range(20)) + " }"
    assert await shop.client().code(many)
    after = risen(before, await scrape(shop.http))
    assert after['aclue_limit_refusals_total{limit="rate"}'] >= 1
    assert after['aclue_limit_refusals_total{limit="cost"}'] == 1
    assert after['aclue_requests_total{result="limited",route="graphql"}'] >= 1


async def test_expected_outcomes_are_counted_by_code(shop: Shop) -> None:
    client = await shop.anonymous()
    before = await scrape(shop.http)
    await client.refusal(
        SWIPE, input={"productId": ids.encode("Product", uuid.uuid4()), "direction": "RIGHT", "clientSwipeId": "1"}
    )
    after = risen(before, await scrape(shop.http))
    assert after['aclue_graphql_user_errors_total{code="NOT_FOUND"}'] == 1
    assert after['aclue_requests_total{result="ok",route="graphql"}'] == 1


async def test_what_row_level_security_refuses_is_counted(shop: Shop) -> None:
    before = await scrape(shop.http)
    async with shop.services.database.session(ANONYMOUS, read_only=False) as session:
        with contextlib.suppress(Exception):
            await session.run("delete from public.products", ())
    after = risen(before, await scrape(shop.http))
    assert after['aclue_db_errors_total{sqlstate="42501"}'] == 1


async def test_a_name_that_a_client_chose_is_no_label(shop: Shop) -> None:
    person = await shop.anonymous()
    secret = f"of_{(await person.my_id()).replace('=', '').replace('-', '_')}"
    await person.ask(f"query {secret} {{ {secret}: products(first: 1) {{ nodes {{ {secret}: name }} }} }}")
    await person.ask(f"query {secret} {{ a: products(first: 1) {{ totalCount }} me {{ id }} }}")
    text = (await shop.http.get("/metrics")).text
    assert secret not in text
    assert 'operation="several"' in text


async def test_trusted_documents_are_counted_by_their_names(shop: Shop, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"abc": f"query FirstProducts {PRODUCTS}"}))
    async with serving(shop, trusted_documents=str(manifest), trusted_documents_mode=DocumentsMode.PREFER) as http:
        before = await scrape(http)
        await http.post("/graphql", json={"id": "abc"})
        await http.post("/graphql", json={"query": f"query Unknown {PRODUCTS}"})
        after = risen(before, await scrape(http))
    assert after['aclue_graphql_operation_duration_seconds_count{operation="FirstProducts"}'] == 1
    assert after['aclue_graphql_operation_duration_seconds_count{operation="products"}'] == 1


async def test_the_pool_shows_its_size_and_who_waits(shop: Shop) -> None:
    async with serving(shop, database_pool_size=1, database_max_overflow=0) as http:
        before = await scrape(http)
        assert before["aclue_db_pool_max_connections"] == 1
        # Requests of one network take turns before they may ask for a connection.
        await asyncio.gather(*(http.post("/graphql", json={"query": PRODUCTS}) for _ in range(5)))
        after = risen(before, await scrape(http))
        assert after["aclue_turn_wait_seconds_count"] == 4


async def test_who_waits_for_a_connection_is_counted(database: Database) -> None:
    before = parse(generate_latest(metrics.REGISTRY).decode())
    held = [await database.pool.acquire() for _ in range(database.pool.max_size)]
    waiting = asyncio.create_task(database.pool.acquire())
    await asyncio.sleep(0.05)
    ProcessValues(database.pool).read()
    after = risen(before, parse(generate_latest(metrics.REGISTRY).decode()))
    assert after["aclue_db_pool_waiting_requests"] == 1
    assert after['aclue_db_pool_connections{state="used"}'] == len(held)
    database.pool.release(held.pop())
    held.append(await waiting)
    for connection in held:
        database.pool.release(connection)
    after = risen(before, parse(generate_latest(metrics.REGISTRY).decode()))
    assert after["aclue_db_pool_wait_seconds_count"] == 1
    assert after["aclue_db_pool_wait_seconds_sum"] >= 0.05


async def test_subscriptions_are_counted(shop: Shop) -> None:
    client = await shop.anonymous()
    async with socket(shop, client.token):
        assert (await scrape(shop.http))["aclue_streams_open"] == 1
    assert (await scrape(shop.http))["aclue_streams_open"] == 0


async def test_jobs_are_counted_also_those_that_fail(shop: Shop) -> None:
    async def fail(services: Services) -> int:
        raise RuntimeError("a test")

    before = await scrape(shop.http)
    with pytest.raises(RuntimeError):
        await jobs.run(shop.services, Job("failing", lambda _: "", fail))
    after = risen(before, await scrape(shop.http))
    assert after['aclue_job_runs_total{job="failing",outcome="failed"}'] == 1
    assert 'aclue_job_last_success_timestamp_seconds{job="failing"}' not in after


async def test_what_people_did_comes_from_the_database(shop: Shop) -> None:
    """So commands and other processes count, too. Postgres adds up what a connection did after a moment."""
    before = await scrape(shop.http)
    anna = await shop.account()
    await anna.swipe((await anna.products(first=1))[0]["id"])

    found: dict[str, float] = {}
    async with asyncio.timeout(30):
        while not {"aclue_swipes_total", "aclue_registrations_total"} <= found.keys():
            await asyncio.sleep(0.2)
            shop.services.metrics._read_at = float("-inf")
            found = risen(before, await scrape(shop.http))
    assert (found["aclue_swipes_total"], found["aclue_registrations_total"]) == (1, 1)


async def test_figures_of_the_database_are_read_once_in_some_seconds(shop: Shop) -> None:
    clock = 100.0
    shop.services.metrics._clock = lambda: clock
    first = await scrape(shop.http)
    await shop.owner.execute("select private.record_backup('full', null, now())")
    assert "aclue_backup_last_failed" not in await scrape(shop.http)
    clock += CACHE_SECONDS
    third = await scrape(shop.http)
    assert third["aclue_backup_last_failed"] == 0
    assert first["aclue_database_up"] == third["aclue_database_up"] == 1
    assert third['aclue_backup_last_success_timestamp_seconds{kind="full"}'] > 1.7e9


async def test_a_failed_backup_is_told_beside_the_last_good_one(shop: Shop) -> None:
    await shop.owner.execute("select private.record_backup('full', null, now() - interval '2 days')")
    await shop.owner.execute("select private.record_backup('incremental', 'no space left', now())")
    found = await scrape(shop.http)
    assert found["aclue_backup_last_failed"] == 1
    assert [name for name in found if name.startswith("aclue_backup_last_success")] == [
        'aclue_backup_last_success_timestamp_seconds{kind="full"}'
    ]


async def test_a_scrape_works_while_the_database_does_not(shop: Shop) -> None:
    await shop.owner.execute("alter function private.metrics() rename to metrics_gone")
    found = await scrape(shop.http)
    assert found["aclue_database_up"] == 0
    assert "aclue_swipes_total" not in found
    assert 'aclue_requests_total{result="ok",route="graphql"}' in found


@pytest.mark.parametrize(
    ("token", "authorization", "status"),
    [
        ("", "", 404),
        ("", f"Bearer {TOKEN}", 404),
        (TOKEN, "", 401),
        (TOKEN, "Bearer another token", 401),
        (TOKEN, f"Basic {TOKEN}", 401),
        (TOKEN, f"Bearer {TOKEN}", 200),
        (TOKEN, f"bearer {TOKEN}", 200),
    ],
)
async def test_production_shows_them_to_the_bearer_of_the_token(
    shop: Shop, token: str, authorization: str, status: int
) -> None:
    async with serving(shop, environment=Environment.PRODUCTION, metrics_token=token) as http:
        answer = await http.get("/metrics", headers={"authorization": authorization})
        assert answer.status_code == status
        assert ("aclue_" in answer.text) == (status == 200)


async def test_development_shows_them_to_this_machine_only(shop: Shop) -> None:
    app = create_app(shop.services.settings, shop.dsns.api, SECRET, background=())
    async with app.router.lifespan_context(app):
        for address, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.1", 404)):
            transport = httpx.ASGITransport(app=app, client=(address, 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
                assert (await http.get("/metrics")).status_code == status


async def test_prometheus_gets_the_format_that_it_asks_for(shop: Shop) -> None:
    answer = await shop.http.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert (await shop.http.get("/metrics")).headers["content-type"].startswith("text/plain; version=0.0.4")
