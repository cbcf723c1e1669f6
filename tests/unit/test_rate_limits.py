"""Buckets that fill with time: what they give, what they refuse, and when to come again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from graphql import GraphQLObjectType, get_named_type
from hypothesis import given
from hypothesis import strategies as st

from db.claims import ANONYMOUS, SERVICE, Claims
from db.usage import Meter
from domain.errors import RateLimited
from engine.engine import Engine
from engine.prices import LONG_LEAVES, SURCHARGES, SURCHARGES_PER_ITEM
from engine.requests import Request
from services import rate_limits, redis_pools
from services.rate_limits import CLOSED_VALUES, CUT_OFF_VALUES, MAX_DEBT_SECONDS, Buckets, RateLimits, seconds_until
from settings import SettingsError, load
from tests.redis_server import redis_server


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, **more: str) -> RateLimits:
    return RateLimits(load({"RATE_LIMIT_COST": "600", "RATE_LIMIT_ADDRESS_COST": "1200", **more}), clock)


def person() -> Claims:
    return Claims("authenticated", uuid4())


async def test_a_bucket_holds_a_minute_and_fills_again() -> None:
    clock, anna = Clock(), person()
    limited = limits(clock)
    for _ in range(6):
        await limited.take(anna, "192.0.2.1", 100)
    with pytest.raises(RateLimited) as raised:
        await limited.take(anna, "192.0.2.1", 100)
    assert raised.value.retry_after == 10
    clock.now += 10
    await limited.take(anna, "192.0.2.1", 100)


async def test_people_at_one_address_have_buckets_of_their_own_within_that_of_the_address() -> None:
    limited = limits(Clock())
    await limited.take(person(), "192.0.2.1", 600)
    await limited.take(person(), "192.0.2.1", 600)
    with pytest.raises(RateLimited):
        await limited.take(person(), "192.0.2.1", 1)
    await limited.take(person(), "192.0.2.2", 1)


async def test_a_person_has_one_bucket_at_every_address() -> None:
    limited, anna = limits(Clock()), person()
    await limited.take(anna, "192.0.2.1", 600)
    with pytest.raises(RateLimited):
        await limited.take(anna, "192.0.2.2", 1)


async def test_who_has_no_token_is_known_by_the_address() -> None:
    limited = limits(Clock())
    await limited.take(ANONYMOUS, "2001:db8::1", 600)
    with pytest.raises(RateLimited):
        await limited.take(ANONYMOUS, "2001:db8::ffff", 1)
    await limited.take(ANONYMOUS, "2001:db8:0:1::1", 600)


async def test_a_site_has_eight_times_what_a_household_has() -> None:
    limited = limits(Clock())
    for household in range(8):
        await limited.take(ANONYMOUS, f"2001:db8:0:{household:x}::1", 600)
    with pytest.raises(RateLimited):
        await limited.take(ANONYMOUS, "2001:db8:0:ffff::1", 1)
    for household in range(8, 16):  # with a token the bucket of all at the site is what is left
        await limited.take(person(), f"2001:db8:0:{household:x}::1", 600)
    with pytest.raises(RateLimited):
        await limited.take(person(), "2001:db8:0:ffff::1", 1)
    await limited.take(ANONYMOUS, "2001:db8:1::1", 600)


async def test_what_a_household_is_refused_its_site_does_not_pay_for() -> None:
    limited = limits(Clock())
    await limited.take(ANONYMOUS, "2001:db8::1", 600)
    for _ in range(100):
        with pytest.raises(RateLimited):
            await limited.take(ANONYMOUS, "2001:db8::1", 600)
    await limited.take(ANONYMOUS, "2001:db8:0:1::1", 600)


async def test_an_address_of_ipv4_is_one_however_it_is_written() -> None:
    limited = limits(Clock())
    await limited.take(ANONYMOUS, "192.0.2.1", 600)
    for same in ("::ffff:192.0.2.1", "::ffff:c000:201"):
        with pytest.raises(RateLimited):
            await limited.take(ANONYMOUS, same, 1)


async def test_what_is_refused_takes_nothing() -> None:
    limited, anna = limits(Clock()), person()
    await limited.take(anna, "192.0.2.1", 599)
    for _ in range(10):
        with pytest.raises(RateLimited):
            await limited.take(anna, "192.0.2.1", 2)
    await limited.take(anna, "192.0.2.1", 1)


async def test_what_costs_more_than_a_bucket_holds_needs_a_full_one() -> None:
    clock, anna = Clock(), person()
    limited = limits(clock)
    await limited.take(anna, "192.0.2.1", 10**9)
    with pytest.raises(RateLimited) as raised:
        await limited.take(anna, "192.0.2.1", 10**9)
    clock.now += raised.value.retry_after
    await limited.take(anna, "192.0.2.1", 10**9)


async def test_the_service_itself_is_not_limited() -> None:
    limited = limits(Clock())
    for _ in range(5):
        await limited.take(SERVICE, "192.0.2.1", 600)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 700))))
def test_never_more_than_a_bucket_and_what_flows_in(requests: list[tuple[float, int]]) -> None:
    clock = Clock()
    buckets = Buckets(clock)
    taken = 0
    for pause, cost in requests:
        clock.now += pause
        if buckets.take(cost, [("anna", 600)]) == 0:
            taken += min(cost, 600)
        assert taken <= 600 + (clock.now - 1000) * 10 + 1


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 10)
    buckets = Buckets(Clock())
    for number in range(100):
        buckets.take(1, [(str(number), 600)])
    assert list(buckets._full_at) == [str(number) for number in range(90, 100)]


async def test_a_debt_is_paid_before_the_next_request() -> None:
    clock = Clock()
    caller = Claims("anon", uuid4())
    strict = limits(clock, RATE_LIMIT_COST="6000", RATE_LIMIT_ADDRESS_COST="60000")
    await strict.settle(caller, "192.0.2.1", 10_000, Meter(0.2))
    await strict.take(caller, "192.0.2.1", 6000)
    clock.now += 60
    await strict.settle(caller, "192.0.2.1", 500, Meter(0.15))  # 7,500 less 500 of 6,000
    with pytest.raises(RateLimited) as refused:
        await strict.take(caller, "192.0.2.1", 100)
    assert refused.value.retry_after == 11
    await strict.take(Claims("anon", uuid4()), "192.0.2.1", 6000)
    clock.now += 11
    await strict.take(caller, "192.0.2.1", 100)
    await strict.settle(caller, "192.0.2.1", 1, Meter(3600))
    with pytest.raises(RateLimited) as refused:
        await strict.take(caller, "192.0.2.1", 1)
    assert MAX_DEBT_SECONDS <= refused.value.retry_after <= MAX_DEBT_SECONDS + 1
    await strict.settle(SERVICE, "192.0.2.9", 1, Meter(3600))
    await strict.take(Claims("anon", uuid4()), "192.0.2.9", 1)


async def test_what_was_cut_off_has_a_price_of_its_own() -> None:
    """However little time it took, and whatever was paid for the request."""
    clock = Clock()
    caller = Claims("anon", uuid4())
    strict = limits(clock, RATE_LIMIT_COST="60000", RATE_LIMIT_ADDRESS_COST="600000")
    for meter, price in ((Meter(0.001, cut_off=2), 2 * CUT_OFF_VALUES), (Meter(closed=1), CLOSED_VALUES)):
        await strict.settle(caller, "192.0.2.1", 500, meter)
        with pytest.raises(RateLimited):
            await strict.take(caller, "192.0.2.1", 60_001 - price)
        await strict.take(caller, "192.0.2.1", 60_000 - price)
        clock.now += 60


async def test_what_short_requests_take_is_forgiven_up_to_an_allowance() -> None:
    """A statement of 40 ms whose price is that of 1 ms would otherwise be forty times as cheap as work is."""
    clock = Clock()
    strict = limits(clock, RATE_LIMIT_COST="6000", RATE_LIMIT_ADDRESS_COST="60000")

    async def left_after(caller: Claims, requests: int) -> float:
        for _ in range(requests):
            await strict.settle(caller, "192.0.2.1", 50, Meter(0.005))  # 250 less 50: the allowance is 1,200
        for tried in range(6000, 0, -100):
            with suppress(RateLimited):
                await strict.take(caller, "192.0.2.1", tried)
                return tried
        return 0

    assert await left_after(Claims("anon", uuid4()), 6) == 6000
    assert await left_after(Claims("anon", uuid4()), 16) == 6000 - 10 * 200
    clock.now += 60
    strangers = [Claims("anon", uuid4()) for _ in range(20)]
    for caller in strangers:  # the allowance of the network is that of ten
        for _ in range(6):
            await strict.settle(caller, "192.0.2.1", 50, Meter(0.005))
    assert await left_after(strangers[0], 0) == 6000
    assert await left_after(strangers[-1], 0) == 6000 - 6 * 200


def test_a_statement_that_waits_long_counts_as_two_seconds() -> None:
    meter = Meter()
    for seconds in (10.0, 1.5, -0.1):
        meter.add(seconds)
    assert meter.seconds == 3.5


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load({}))


@pytest.mark.parametrize(
    ("query", "price"),
    [
        ("{ __typename }", 2),
        ("{ products(first: 10) { nodes { id } } }", 22),
        ("mutation { startSession(input: {}) { sessionId } }", 503),
        (
            "mutation { a: startSession(input: {}) { sessionId } ...F } fragment F on Mutation"
            " { b: startSession(input: {}) { sessionId } }",
            1005,
        ),
        ('{ products(first: 10, search: "chocolate") { nodes { id } } }', 222),
        ("query Q($text: String) { brands(first: 10, search: $text) { nodes { id } } }", 222),
        ("{ products(first: 10) { nodes { similar(first: 1) { id } } } }", 2032),
        ('query ($ids: [ID!]! = ["a", "b"]) { nodes(ids: $ids) { id } node(id: "a") { id } }', 37),
        ("{ products(first: 0) { nodes { id } } }", 4),
        ("{ recommendations(first: 10) { nodes { id } } }", 522),
        ("{ products(first: 0) { totalCount } }", 103),
        ("{ me { preferences { totalSwipes } } }", 4),
        ("{ me { preferences { brands { slug } } } }", 128),
        ("{ nothing }", 1),
        ("{", 1),
    ],
)
def test_the_price_of_a_request(engine: Engine, query: str, price: int) -> None:
    assert engine.prepare(Request(query)).charge == price


def test_surcharges_are_for_fields_there_are(engine: Engine) -> None:
    types = engine.schema._schema.type_map
    for type_, field in [*SURCHARGES, *SURCHARGES_PER_ITEM]:
        assert field in types[type_].fields  # type: ignore[attr-defined]


def test_long_values_are_of_fields_there_are(engine: Engine) -> None:
    types = engine.schema._schema.type_map
    for type_, field in LONG_LEAVES:
        assert field in types[type_].fields  # type: ignore[attr-defined]


def test_counting_is_charged_unless_the_sizes_are_known(engine: Engine) -> None:
    fields = " ".join(f"s{number}: similar(first: $first) {{ id }}" for number in range(10))
    text = f"query ($first: Int) {{ products(first: $first) {{ nodes {{ {fields} }} }} }}"
    for size in (3, 4):
        prepared = engine.prepare(Request(text, {"first": size}))
        assert prepared.charge_for_counting() == 1 + 22 // 10
        assert prepared.cost.objects == 1 + size + 10 * size * size
        assert engine.prepare(Request(text, {"first": size})).charge_for_counting() == 0


def test_what_is_written_is_not_counted_to_the_end_once_it_is_too_much(engine: Engine) -> None:
    fields = " ".join(f"a{number}: recordEvents(input: {{events: $events}}) {{ recorded }}" for number in range(20))
    request = Request(f"mutation ($events: [EventInput!]!) {{ {fields} }}", {"events": [{}] * 9000})
    assert 100_000 < engine.prepare(request).cost.values < 300_000


def test_documents_of_json_cost_by_their_length(engine: Engine) -> None:
    found = {
        (name, field)
        for name, type_ in engine.core.type_map.items()
        if isinstance(type_, GraphQLObjectType)
        for field, declared in type_.fields.items()
        if get_named_type(declared.type).name == "JSON"
    }
    assert found - set(LONG_LEAVES) == {("AuditEntry", "rowKey")}, "the id of a row"


def test_a_text_is_charged_before_it_is_read_unless_it_is_known(engine: Engine) -> None:
    for text in ("{ categories { parent { name } } }", "{ nothingMuch }", "{ { {"):
        assert engine.charge_for_reading(text) == 1 + len(text) // 2
        engine.prepare(Request(text))
        assert engine.charge_for_reading(text) == 0


@pytest.mark.parametrize("url", ["localhost:6379", "http://redis.example", "memory://"])
def test_redis_is_named_by_an_address_of_redis(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: "):
        load({"REDIS_URL": url})


def test_redis_without_its_packages_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .*requirements-redis\.txt"):
        load({"REDIS_URL": "redis://127.0.0.1:1/0"})


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with redis_server(tmp_path) as running:
        yield running


@given(
    limit=st.integers(0, 1000),
    previous=st.integers(0, 1000),
    previous_left=st.floats(0, 60),
    current=st.integers(0, 1000),
    left=st.floats(0, 60),
)
def test_windows_that_slide_say_when_to_come_again(
    limit: int, previous: int, previous_left: float, current: int, left: float
) -> None:
    def counted(seconds: float) -> float:
        if seconds < left:
            return previous * max(previous_left - seconds, 0) / 60 + current
        return current * max(left + 60 - seconds, 0) / 60

    previous_left = min(previous_left, left)  # it ends with the current one at the latest
    wait = seconds_until(limit, previous, previous_left, current, left + 60)
    if wait > 0:
        assert counted(wait - 0.001) > limit - 0.02
        assert counted(wait + 0.001) <= limit


async def test_processes_share_their_limits_through_redis(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    anna = person()
    one, other = limits(Clock(), REDIS_URL=redis[0]), limits(Clock(), REDIS_URL=redis[0])
    await one.take(anna, "192.0.2.1", 400)
    await other.take(anna, "192.0.2.1", 200)
    for limited in (one, other):
        with pytest.raises(RateLimited) as raised:
            await limited.take(anna, "192.0.2.1", 100)
        assert 60 < raised.value.retry_after <= 70  # the window's end, and what is too much of it fades
        await limited.close()


async def test_a_burst_is_no_failure_of_redis(
    redis: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than a request waits for Redis. Neither is a debt, which takes what the shared bucket holds."""
    monkeypatch.setattr(redis_pools, "TIMEOUT_SECONDS", 1.0)  # a busy machine takes long for anything
    limited = limits(Clock(), REDIS_URL=redis[0], RATE_LIMIT_COST="6000", RATE_LIMIT_ADDRESS_COST="60000")
    with structlog.testing.capture_logs() as logged:
        await asyncio.gather(*(limited.take(Claims("anon", uuid4()), f"192.0.2.{n % 250}", 1) for n in range(300)))
        caller = Claims("anon", uuid4())
        await limited.settle(caller, "198.51.100.1", 1, Meter(10))
        with pytest.raises(RateLimited):
            await limited.take(caller, "198.51.100.1", 10)
    await limited.close()
    assert logged == []


@pytest.mark.drill
async def test_without_redis_each_process_goes_on_with_its_own(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    anna = person()
    limited = limits(Clock(), REDIS_URL=redis[0])
    await limited.take(anna, "192.0.2.1", 600)
    redis[1].terminate()
    redis[1].wait()
    await limited.take(anna, "192.0.2.1", 600)  # its own bucket was full
    with pytest.raises(RateLimited):
        await limited.take(anna, "192.0.2.1", 100)
    await limited.close()
