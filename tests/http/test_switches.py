"""What an operator switches off is refused or done without, and the rest goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from db import import_runs, product_imports
from domain.feed_mappings import ImportFailed
from domain.switches import Switch
from server import create_app
from services import import_sources, network_pulls, postbacks, switches
from services.network_clients.api import PullFailed
from services.network_clients.client import Account
from tests.conftest import SECRET, Shop
from tests.streams import CONVERSIONS, PREFERENCES, Events, listening, until
from tests.streams import FEED as FEED_CHANGES
from tests.streams import socket as connected

SET = """
insert into public.switches (name, is_on) values ($1, $2) on conflict (name) do update set is_on = excluded.is_on
"""
PRODUCTS = "{ products(first: 1) { nodes { id } } }"


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def switch(shop: Shop, name: Switch, *, is_on: bool) -> None:
    """As `aclue switch` does; returns once the process has followed."""
    await shop.owner.execute(SET, name.value, is_on)
    await until(lambda: shop.services.switches.is_on(name) == is_on)


async def test_all_are_on_at_first_and_the_table_takes_no_others(shop: Shop) -> None:
    assert all(shop.services.switches.is_on(each) for each in Switch)
    for each in Switch:
        await shop.owner.execute(SET, each.value, True)
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.owner.execute(SET, "redirects", False)


async def test_a_process_follows_within_about_a_second(shop: Shop) -> None:
    await listening(shop)
    for is_on in (False, True):
        started = time.monotonic()
        await switch(shop, Switch.WRITES, is_on=is_on)
        assert time.monotonic() - started < 2


async def test_a_process_that_starts_knows_what_is_off(shop: Shop) -> None:
    await shop.owner.execute(SET, "subscriptions", False)
    app = create_app(shop.services.settings, shop.dsns.api, SECRET, background=())
    async with app.router.lifespan_context(app):
        assert not app.state.services.switches.is_on(Switch.SUBSCRIPTIONS)


@pytest.mark.drill
async def test_without_notifications_it_is_read_once_a_second(shop: Shop) -> None:
    changes = shop.services.database.changes
    await until(lambda: changes.is_connected)
    changes._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    assert shop.dsns.superuser
    superuser: asyncpg.Connection[Any] = await asyncpg.connect(shop.dsns.superuser)
    await superuser.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'aclue changes' and datname = current_database()"
    )
    await superuser.close()
    await until(lambda: not changes.is_connected)
    await switch(shop, Switch.IMPORTS, is_on=False)


@pytest.mark.drill
async def test_a_table_that_cannot_be_read_changes_nothing(shop: Shop) -> None:
    await listening(shop)
    await switch(shop, Switch.WRITES, is_on=False)
    await shop.owner.execute("alter table public.switches rename to switches_of_yesterday")
    await shop.services.switches._read()
    assert not shop.services.switches.is_on(Switch.WRITES)
    await shop.owner.execute("alter table public.switches_of_yesterday rename to switches")


async def refused(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "30"
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "SWITCHED_OFF", "retryAfter": 30}


async def test_read_only_refuses_every_mutation_and_answers_queries(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    product = (await anna.products())[0]["id"]
    await switch(shop, Switch.WRITES, is_on=False)
    rows = await shop.owner.fetchval("select count(*) from public.user_sessions")
    swipe = f'productId: "{product}", direction: RIGHT, clientSwipeId: "s"'
    for document in (
        "mutation { startSession(input: {}) { accessToken } }",
        f"mutation {{ recordSwipe(input: {{{swipe}}}) {{ swipe {{ id }} }} }}",
        'mutation { refreshSession(input: {refreshToken: "x"}) { accessToken } }',
        "query Q { products(first: 1) { nodes { id } } } mutation M { signOut { userErrors { code } } }",
    ):
        name = "M" if "query Q" in document else None
        body = {"query": document, "operationName": name}
        await refused(await shop.http.post("/graphql", json=body, headers={"authorization": f"Bearer {anna.token}"}))
    assert rows == await shop.owner.fetchval("select count(*) from public.user_sessions")
    assert await anna.products()
    assert (await anna.ask("{ me { id } }"))["me"]["id"]
    await switch(shop, Switch.WRITES, is_on=True)
    assert (await anna.swipe(product))["swipe"]["id"]


async def test_read_only_refuses_mutations_of_sockets(shop: Shop, stack: contextlib.AsyncExitStack) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    socket = await stack.enter_async_context(connected(shop, anna.token))
    await switch(shop, Switch.WRITES, is_on=False)
    message = await socket.ask("mutation { signOut { userErrors { code } } }")
    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "SWITCHED_OFF")
    assert (await socket.ask(PRODUCTS))["data"]["products"]


async def test_links_redirect_though_the_service_is_read_only(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    product = (await anna.products())[0]["id"]
    document = """
    mutation ($input: AffiliateClickInput!) {
      createAffiliateClick(input: $input) { click { redirectUrl } userErrors { message } }
    }
    """
    click = (await anna.do(document, input={"productId": product}))["click"]
    await switch(shop, Switch.WRITES, is_on=False)
    response = await shop.http.get(click["redirectUrl"], follow_redirects=False)
    assert response.status_code in (302, 303, 307)


async def test_pages_behind_mails_keep_their_links_for_later(shop: Shop) -> None:
    await listening(shop)
    await switch(shop, Switch.WRITES, is_on=False)
    for path in ("/verify-email", "/reset-password"):
        response = await shop.http.post(path, data={"token": "x", "password": "a long password"})
        assert response.status_code == 503
        assert "read-only" in response.text


async def test_subscriptions_end_with_a_reason_and_new_ones_are_refused(
    shop: Shop, stack: contextlib.AsyncExitStack
) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    await stream.start()
    socket = await stack.enter_async_context(connected(shop, anna.token))
    for id, query in (("1", PREFERENCES), ("2", FEED_CHANGES), ("3", CONVERSIONS)):
        await socket.subscribe(query, id)
    await switch(shop, Switch.SUBSCRIPTIONS, is_on=False)
    ended = [await socket.hear() for _ in range(3)]
    assert sorted(message["id"] for message in ended) == ["1", "2", "3"]
    for message in ended:
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"] == {"code": "SWITCHED_OFF", "retryAfter": 30}
    assert (await socket.ask(PREFERENCES))["payload"][0]["extensions"]["code"] == "SWITCHED_OFF"
    assert (await socket.ask(PRODUCTS))["data"]["products"]  # the socket goes on
    event = await stream.event()
    assert event["errors"][0]["extensions"]["code"] == "SWITCHED_OFF"
    assert await stream.part() == "event: complete\ndata:\n\n"
    refusal = Events(shop, PREFERENCES, anna.token)
    status, headers = await refusal.start()
    assert (status, headers["retry-after"]) == (503, "30")
    await switch(shop, Switch.SUBSCRIPTIONS, is_on=True)
    again = Events(shop, PREFERENCES, anna.token)
    assert (await again.start())[0] == 200
    again.hang_up()
    await again.end()


async def test_without_personalisation_everybody_gets_what_a_new_person_gets(shop: Shop) -> None:
    await listening(shop)
    anna, new = await shop.anonymous(), await shop.anonymous()
    liked = [product for product in await anna.products(first=50) if product["category"]["slug"] == "books"]
    for product in liked[:5]:
        await anna.swipe(product["id"])
    await anna.take_quiz({"intellectual"})
    document = "query ($after: String) { recommendations(first: 10, after: $after) {"
    document += " pageInfo { endCursor } nodes { id score context product { name personalityMatch { match } } } } }"
    personal = (await anna.ask(document, after=None))["recommendations"]
    events = await shop.owner.fetchval("select count(*) from public.swipes")
    await switch(shop, Switch.PERSONALISATION, is_on=False)
    plain = (await anna.ask(document, after=None))["recommendations"]
    theirs = (await new.ask(document, after=None))["recommendations"]
    swiped = {product["name"] for product in liked[:5]}
    shown = [
        (node["product"]["name"], node["score"]) for node in theirs["nodes"] if node["product"]["name"] not in swiped
    ]
    assert [(node["product"]["name"], node["score"]) for node in plain["nodes"]][: len(shown)] == shown
    assert all(node["product"]["personalityMatch"] is None for node in plain["nodes"])
    assert any(node["product"]["personalityMatch"] for node in personal["nodes"])
    body = (await anna.post(document, after=personal["pageInfo"]["endCursor"])).json()
    assert body["errors"][0]["extensions"]["code"] == "STALE"
    follow = (await anna.ask(document, after=plain["pageInfo"]["endCursor"]))["recommendations"]
    assert follow["nodes"]
    by_id = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Recommendation { id score } } }"
    again = (await anna.ask(by_id, ids=[personal["nodes"][0]["id"]]))["nodes"][0]
    assert again["id"] == personal["nodes"][0]["id"]
    # Nothing is forgotten: switched on again, the feed is personal as before.
    assert events == await shop.owner.fetchval("select count(*) from public.swipes")
    await switch(shop, Switch.PERSONALISATION, is_on=True)
    back = (await anna.ask(document, after=None))["recommendations"]
    assert [node["product"] for node in back["nodes"]] == [node["product"] for node in personal["nodes"]]


async def test_imports_are_refused_and_jobs_wait(shop: Shop, tmp_path: Any) -> None:
    await shop.owner.execute(SET, "imports", False)
    mapping = product_imports.load_mapping(product_imports.MAPPINGS / "demo.toml")
    file = tmp_path / "products.jsonl"
    file.write_text("{}\n")
    with pytest.raises(ImportFailed, match="aclue switch on imports"):
        await product_imports.import_products(shop.owner, file, mapping)
    with pytest.raises(ImportFailed, match="switched off"):
        await import_sources.fetch(shop.owner, shop.services.settings, "nothing", started_by="anna")
    with pytest.raises(ImportFailed, match="switched off"):
        await import_runs.require_switched_on(shop.owner)
    account = Account("awin", "main", "1", None, {"token": "SOURCE_X"}, {}, None, None)
    with pytest.raises(PullFailed, match="switched off"):
        await network_pulls.pull(shop.services.database, shop.services.settings, account, started_by="anna")
    await shop.owner.execute(
        "insert into private.import_sources (name, mapping, every_seconds, next_at) values ('due', '{}', 300, now())"
    )
    assert await import_sources.run_due(shop.services) == 0  # else it would start a process, which fails here
    assert await postbacks.process_due(shop.services) == 0
    assert await shop.owner.fetchval("select failures from private.import_sources") == 0
    assert await shop.owner.fetchval("select count(*) from public.import_runs") == 0


async def test_it_is_audited_and_measured(shop: Shop) -> None:
    await listening(shop)
    async with shop.services.database.session(switches.SERVICE, read_only=False) as session:
        row = await switches.set_switch(session, Switch.IMPORTS, is_on=False, reason="the disk is full")
        assert (row["is_on"], row["reason"]) == (False, "the disk is full")
    entry = await shop.owner.fetchrow("select * from public.audit_log where table_name = 'public.switches'")
    assert entry is not None
    assert '"the disk is full"' in entry["changes"]
    await until(lambda: not shop.services.switches.is_on(Switch.IMPORTS))
    shown = (await shop.http.get("/metrics")).text
    assert 'aclue_switch_on{switch="imports"} 0.0' in shown
    assert 'aclue_switch_on{switch="writes"} 1.0' in shown


async def test_only_the_service_may_switch(shop: Shop) -> None:
    for role in ("anon", "authenticated"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shop.owner.execute(f"begin; set local role {role}; update public.switches set is_on = false")
        await shop.owner.execute("rollback")
