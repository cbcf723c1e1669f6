"""Answers that are the same for everybody are cached, and dropped as soon as something that they show changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from db.session import Session
from domain import ids
from services import public_answers
from services.public_answers import TOPIC, PublicAnswers
from settings import Settings
from tests.conftest import Shop
from tests.streams import until

PRODUCTS = "query ($first: Int) { products(first: $first, orderBy: NAME) { nodes { id name price { amount } } } }"
RECEIPT = {"x-aclue-receipt": "1"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, public_cache_bytes=1_000_000)


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    await until(lambda: shop.services.database.changes.heard_until > 0)
    return shop


async def ask(shop: Shop, query: str = PRODUCTS, token: str | None = None, **variables: Any) -> tuple[Any, str | None]:
    """The data, and where they came from."""
    headers = RECEIPT | ({"authorization": f"Bearer {token}"} if token else {})
    response = await shop.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    body = response.json()
    assert "errors" not in body, body
    return body["data"], body["extensions"]["receipt"]["cacheHits"].get("answer")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SQL of all sessions from now on."""
    ran: list[str] = []
    watched = Session._watched

    async def watch(self: Session, sql: str, *arguments: Any, **options: Any) -> Any:
        ran.append(sql)
        return await watched(self, sql, *arguments, **options)

    monkeypatch.setattr(Session, "_watched", watch)
    return ran


async def test_the_second_answer_comes_from_the_cache(shop: Shop) -> None:
    first = await ask(shop, first=3)
    second = await ask(shop, first=3)
    assert (first[1], second[1]) == ("miss", "hit")
    assert first[0] == second[0]
    assert (await ask(shop, first=4))[1] == "miss"


async def test_an_answer_of_the_cache_takes_no_statement(shop: Shop, statements: list[str]) -> None:
    await ask(shop, first=3)
    del statements[:]
    response = await shop.http.post("/graphql", json={"query": PRODUCTS, "variables": {"first": 3}}, headers=RECEIPT)
    receipt = response.json()["extensions"]["receipt"]
    assert (receipt["path"], receipt["statements"], statements) == ("cache", 0, [])


async def test_a_hundred_equal_requests_on_a_cold_cache_are_one_read(shop: Shop, statements: list[str]) -> None:
    answers = await asyncio.gather(*(ask(shop, first=5) for _ in range(100)))
    assert len(statements) == 1
    assert all(data == answers[0][0] for data, _ in answers)
    assert sorted({source for _, source in answers if source}) == ["joined", "miss"]


async def test_requests_that_wait_for_an_equal_one_keep_nobody_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = asyncio.Event()
    watched = Session._watched

    async def slow(self: Session, *arguments: Any, **options: Any) -> Any:
        await may_end.wait()
        return await watched(self, *arguments, **options)

    monkeypatch.setattr(Session, "_watched", slow)
    asking = [asyncio.create_task(ask(shop, first=7)) for _ in range(20)]
    await until(lambda: bool(shop.services.public_answers._flights))
    await until(lambda: shop.services.admission.running == 1)
    may_end.set()
    await asyncio.gather(*asking)
    assert shop.services.admission.running == 0


async def test_a_client_that_disconnects_ends_no_other_request(shop: Shop, statements: list[str]) -> None:
    """The first of equal requests reads for all of them; without it, the next one does."""
    reading = asyncio.create_task(ask(shop, first=6))
    await until(lambda: bool(statements))
    others = [asyncio.create_task(ask(shop, first=6)) for _ in range(5)]
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    answers = await asyncio.gather(*others)
    assert len({msgspec.json.encode(data) for data, _ in answers}) == 1


@pytest.mark.parametrize(
    ("document", "change"),
    [
        ("{ products(first: 50) { nodes { name } } }", "update public.products set name = name || '!'"),
        ("{ products(first: 50) { nodes { price { amount } } } }", "update public.products set price_minor = 777"),
        ("{ products(first: 50) { nodes { inStock } } }", "update public.products set in_stock = false"),
        ("{ products(first: 50) { nodes { id } } }", "update public.products set is_active = false"),
        ("{ products(orderBy: POPULARITY) { nodes { id } } }", "update public.products set popularity = random()"),
        (
            "{ products(first: 5) { nodes { offers { price { amount } } } } }",
            "update public.product_offers set price_minor = price_minor + 1",
        ),
        (
            "{ products(first: 50) { nodes { priceHistory { price { amount } } } } }",
            "update public.product_prices set price_minor = 1",
        ),
        ("{ brands { nodes { name } } }", "insert into public.brands (slug, name) values ('new', 'New')"),
        ("{ categories { name } }", "update public.categories set name = name || '!'"),
        ("{ retailers { id } }", "update public.retailers set is_active = false"),
        ('{ suggest(prefix: "al") { brands { name } } }', "delete from private.suggestions"),
        ('{ suggest(prefix: "al") { brands { name } } }', "truncate private.suggestions"),
        ("{ quiz { questions { text } } }", "update public.quiz_texts set text = text || '!'"),
        ("{ quiz { minAnswers } }", "update public.quiz_versions set min_answers = min_answers + 1"),
    ],
)
async def test_a_change_of_what_it_shows_is_seen_within_a_second(shop: Shop, document: str, change: str) -> None:
    before, _ = await ask(shop, document)
    assert (await ask(shop, document))[1] == "hit"
    await shop.owner.execute(change)
    committed_at = time.monotonic()
    while (after := (await ask(shop, document))[0]) == before:
        assert time.monotonic() < committed_at + 1
        await asyncio.sleep(0.005)
    assert (await ask(shop, document)) == (after, "hit")


@pytest.mark.parametrize(
    "change",
    [
        "update public.products set name = name",
        "update public.products set name = 'x' where false",
        "delete from public.brands where false",
        "update public.product_offers set link_checked_at = now(), link_failures = 1",
        "insert into public.brands (slug, name) select slug, name from public.brands on conflict do nothing",
    ],
)
async def test_what_changes_nothing_that_is_shown_drops_nothing(shop: Shop, change: str) -> None:
    heard: list[str | None] = []
    shop.services.database.changes.follow(TOPIC, heard.append)
    await ask(shop)
    await shop.owner.execute(change)
    await shop.owner.execute("select pg_notify('aclue_changes', 'catalogue * last')")
    await until(lambda: "last" in heard)
    assert heard == ["last"]


async def test_one_transaction_notifies_once(shop: Shop) -> None:
    heard: list[str | None] = []
    shop.services.database.changes.follow(TOPIC, heard.append)
    async with shop.owner.transaction():
        for number in range(5):
            await shop.owner.execute("update public.products set description = $1", str(number))
    await shop.owner.execute("select pg_notify('aclue_changes', 'catalogue * last')")
    await until(lambda: "last" in heard)
    assert len(heard) == 2


async def test_what_was_read_before_a_change_is_not_cached(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is on its way while the change is committed and heard of."""
    heard: list[str | None] = []
    shop.services.database.changes.follow(TOPIC, heard.append)
    watched = Session._watched

    async def slow(self: Session, *arguments: Any, **options: Any) -> Any:
        rows = await watched(self, *arguments, **options)
        if not heard:
            await shop.owner.execute("update public.products set name = 'Changed'")
            await until(lambda: bool(heard))
        return rows

    monkeypatch.setattr(Session, "_watched", slow)
    old, _ = await ask(shop)
    new, source = await ask(shop)
    assert source == "miss"
    assert old != new
    assert {node["name"] for node in new["products"]["nodes"]} == {"Changed"}


async def test_who_joins_a_slow_read_does_not_wait_for_what_is_out_of_date(shop: Shop) -> None:
    answers = shop.services.public_answers
    may_end = asyncio.Event()

    async def slow() -> public_answers.Read:
        await may_end.wait()
        return public_answers.Read(b"of before")

    first = asyncio.create_task(answers.get(b"k", slow))
    await asyncio.sleep(0)
    joined = asyncio.create_task(answers.get(b"k", reading(b"its own")))
    await asyncio.sleep(0)
    answers.drop()
    await asyncio.sleep(public_answers.MAX_JOINED_SECONDS + 0.05)
    may_end.set()
    assert (await first)[0] is None
    assert (await joined)[0] is None
    assert answers.size == 0


async def test_a_read_that_hangs_holds_up_equal_requests_for_a_second(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of those that wait reads then, and the others wait for it."""
    monkeypatch.setattr(public_answers, "MAX_WAIT_SECONDS", 0.1)
    answers = shop.services.public_answers
    never = asyncio.Event()
    reads = 0

    async def hang() -> public_answers.Read:
        await never.wait()
        return public_answers.Read(b"")

    async def read() -> public_answers.Read:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.02)
        return public_answers.Read(b"read")

    hanging = asyncio.create_task(answers.get(b"k", hang))
    await asyncio.sleep(0)
    told = await asyncio.gather(*(answers.get(b"k", read) for _ in range(10)))
    assert reads == 1
    assert sorted(data or b"" for data, _ in told) == [b"", *[b"read"] * 9]
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert (await answers.get(b"k", reading(b"not read")))[0] == b"read"


async def test_an_administrator_sees_at_once_what_they_wrote(shop: Shop) -> None:
    service = shop.token("00000000-0000-4000-8000-000000000001", role="service_role")
    for number in range(20):
        before, _ = await ask(shop)
        product = before["products"]["nodes"][0]["id"]
        update = "mutation ($i: UpdateProductInput!) { updateProduct(input: $i) { userErrors { message } } }"
        name = f" {number}"
        body = {"query": update, "variables": {"i": {"id": product, "name": name}}}
        response = await shop.http.post("/graphql", json=body, headers={"authorization": f"Bearer {service}"})
        assert response.json()["data"]["updateProduct"]["userErrors"] == []
        shown, source = await ask(shop)
        assert source == "miss"
        assert str(number) in [node["name"] for node in shown["products"]["nodes"]]
        assert (await ask(shop, token=service))[1] is None


async def test_answers_expire(shop: Shop) -> None:
    now = [time.monotonic()]
    answers = PublicAnswers(shop.services.settings, shop.services.database.changes, clock=lambda: now[0])
    answers.start()
    assert (await answers.get(b"k", reading(b"1")))[0] is None
    assert (await answers.get(b"k", reading(b"2")))[0] == b"1"
    now[0] += shop.services.settings.public_max_age
    shop.services.database.changes.heard_until = now[0]
    assert (await answers.get(b"k", reading(b"3")))[0] is None


def reading(data: bytes | None, as_of: float = float("inf")) -> Callable[[], Awaitable[public_answers.Read]]:
    async def read() -> public_answers.Read:
        return public_answers.Read(data, as_of)

    return read


async def test_what_a_lagging_replica_said_is_not_cached(shop: Shop) -> None:
    answers = shop.services.public_answers
    answers.drop()
    await answers.get(b"k", reading(b"of before", as_of=time.monotonic() - 1))
    await answers.get(b"k", reading(b"of after", as_of=time.monotonic()))
    assert (await answers.get(b"k", reading(b"not read")))[0] == b"of after"


async def test_memory_is_bounded_and_answers_in_use_stay(shop: Shop) -> None:
    answers = shop.services.public_answers
    await answers.get(b"in use", reading(b"x"))
    for number in range(10_000):
        await answers.get(str(number).encode(), reading(b"x" * 1000))
        if number % 100 == 0:
            assert (await answers.get(b"in use", reading(b"again")))[0] == b"x"
    assert 900_000 < answers.size <= 1_000_000
    await answers.get(b"large", reading(b"x" * 100_000))
    assert (await answers.get(b"large", reading(b"y")))[0] is None


async def test_nothing_is_served_while_changes_cannot_be_heard(shop: Shop) -> None:
    await ask(shop)
    assert shop.dsns.superuser
    changes = shop.services.database.changes
    changes._dsn, dsn = "postgresql://nobody@127.0.0.1:1/nothing", changes._dsn
    await terminate(shop)
    await until(lambda: not changes.is_connected)
    assert (await ask(shop))[1] is None
    assert shop.services.public_answers.size == 0
    await shop.owner.execute("update public.products set name = 'Meanwhile'")
    changes._dsn = dsn
    await until(lambda: changes.heard_until > 0)
    data, source = await ask(shop)
    assert source == "miss"
    assert {node["name"] for node in data["products"]["nodes"]} == {"Meanwhile"}


async def terminate(shop: Shop) -> None:
    """Ends the connections that listen, as a superuser."""
    superuser: asyncpg.Connection[Any] = await asyncpg.connect(shop.dsns.superuser)
    await superuser.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'aclue changes' and datname = current_database()"
    )
    await superuser.close()


async def test_nothing_is_served_while_the_connection_says_nothing(shop: Shop) -> None:
    """A network that swallows packets ends no connection."""
    await ask(shop)
    changes = shop.services.database.changes
    changes.heartbeat_seconds = 60
    await until(lambda: time.monotonic() - changes.heard_until > public_answers.MAX_DEAF_SECONDS)
    assert changes.is_connected
    assert (await ask(shop))[1] is None


async def test_errors_are_not_cached(shop: Shop) -> None:
    document = '{ products(after: "forged") { nodes { id } } }'
    for _ in range(2):
        response = await shop.http.post("/graphql", json={"query": document}, headers=RECEIPT)
        body = response.json()
        assert body["errors"]
        assert body["extensions"]["receipt"]["cacheHits"].get("answer") != "hit"
    assert shop.services.public_answers.size == 0


async def test_conditional_requests_work_on_a_cached_answer(shop: Shop) -> None:
    parameters = {"query": "{ products(first: 2) { nodes { name } } }"}
    first = await shop.http.get("/graphql", params=parameters)
    again = await shop.http.get("/graphql", params=parameters, headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert again.headers["cache-control"] == first.headers["cache-control"] == "public, max-age=60"
    await shop.owner.execute("update public.products set name = 'Changed'")

    async def is_new() -> httpx.Response:
        return await shop.http.get("/graphql", params=parameters, headers={"if-none-match": first.headers["etag"]})

    end = time.monotonic() + 1
    while (response := await is_new()).status_code == 304:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert response.headers["etag"] != first.headers["etag"]


async def test_a_product_is_found_by_its_own_key(shop: Shop) -> None:
    rows = await shop.owner.fetch("select id, name from public.products limit 2")
    document = "query ($id: ID!) { product(id: $id) { name } }"
    for _ in range(2):
        for row in rows:
            data, _ = await ask(shop, document, id=ids.encode("Product", row["id"]))
            assert data["product"]["name"] == row["name"]
