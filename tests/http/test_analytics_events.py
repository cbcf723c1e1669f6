"""What happened on the pages of a front end, through GraphQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop

RECORD = """
mutation ($events: [EventInput!]!, $sentAt: DateTime) {
  recordEvents(input: {events: $events, sentAt: $sentAt}) { recorded userErrors { code message field } }
}
"""
COUNTS = (
    "query ($since: DateTime!, $until: DateTime) { eventCounts(since: $since, until: $until) { name events people } }"
)
HOUR = 3600
DAY = 24 * HOUR


def event(name: str = "quiz_opened", age_seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {"id": uuid7(age_seconds), "name": name, **more}


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def staff(shop: Shop, role: str) -> Client:
    return shop.client(shop.token(uuid.uuid4(), app_metadata={"role": role}))


async def counts(client: Client, since: str, until: str | None = None) -> list[tuple[str, int, int]]:
    found = (await client.ask(COUNTS, since=since, until=until))["eventCounts"]
    return [(row["name"], row["events"], row["people"]) for row in found]


async def test_events_are_stored_once_however_often_they_are_sent(shop: Shop) -> None:
    anna = await shop.anonymous()
    events = [event(page="/quiz", properties={"step": 1, "of": ["a", None]}), event("feed_seen", 3 * DAY)]

    assert (await anna.do(RECORD, events=events))["recorded"] == 2
    assert (await anna.do(RECORD, events=events))["recorded"] == 0

    stored = await shop.owner.fetch(
        "select tableoid::regclass::text as part, * from public.analytics_events order by id"
    )
    assert [(row["event_name"], row["page"], json.loads(row["properties"])) for row in stored] == [
        ("feed_seen", None, {}),
        ("quiz_opened", "/quiz", {"step": 1, "of": ["a", None]}),
    ]
    assert all(row["session_id"] for row in stored)
    assert all(row["part"].startswith("analytics_events_20") for row in stored), "not in the default partition"


async def test_the_same_id_of_two_people_is_two_events(shop: Shop) -> None:
    events = [event()]
    for _ in range(2):
        assert (await (await shop.anonymous()).do(RECORD, events=events))["recorded"] == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": "nonsense"}, "id"),
        ({"id": str(uuid.uuid4())}, "id"),
        ({"id": uuid7(-DAY)}, "id"),
        ({"id": uuid7(31 * DAY)}, "id"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"page": "x" * 201}, "page"),
        ({"page": "\0"}, "page"),
        ({"properties": [1]}, "properties"),
        ({"properties": "text"}, "properties"),
        ({"properties": {"a": "x" * 4096}}, "properties"),
        ({"properties": {"a": "\0"}}, "properties"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_stored_is_refused_with_its_place_and_the_others_are_stored(
    shop: Shop, wrong: dict[str, Any], field: str
) -> None:
    anna = await shop.anonymous()
    payload = (await anna.ask(RECORD, events=[event(), event() | wrong, event()]))["recordEvents"]
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("INVALID", ["events", "1", field])]
    assert payload["recorded"] == 2
    assert await shop.owner.fetchval("select count(*) from public.analytics_events") == 2


@pytest.mark.parametrize("slow", [-HOUR, 21 * DAY], ids=["an hour ahead", "three weeks slow"])
async def test_what_a_wrong_clock_recorded_is_stored_at_the_servers_time(shop: Shop, slow: float) -> None:
    anna = await shop.anonymous()
    events = [event("opened", slow + 60), event("closed", slow)]
    assert (await anna.do(RECORD, events=events, sentAt=ago(seconds=slow)))["recorded"] == 2
    assert await counts(staff(shop, "admin"), ago(minutes=2), ago(seconds=30)) == [("opened", 1, 1)]
    assert (await anna.do(RECORD, events=events, sentAt=ago(seconds=slow - 7)))["recorded"] == 0, "a later sending"


async def test_a_clock_that_was_put_right_between_two_sendings_makes_no_new_events(shop: Shop) -> None:
    anna, events = await shop.anonymous(), [event(age_seconds=21 * DAY)]
    assert (await anna.do(RECORD, events=events, sentAt=ago(days=21)))["recorded"] == 1
    assert (await anna.do(RECORD, events=events, sentAt=ago(seconds=0)))["recorded"] == 0


@pytest.mark.parametrize("slow", [HOUR, 21 * DAY], ids=["an hour slow", "three weeks slow"])
async def test_what_is_sent_again_without_the_clock_makes_no_new_events(shop: Shop, slow: float) -> None:
    anna, events = await shop.anonymous(), [event(age_seconds=slow)]
    assert (await anna.do(RECORD, events=events, sentAt=ago(seconds=slow)))["recorded"] == 1
    assert (await anna.do(RECORD, events=events))["recorded"] == 0


@pytest.mark.parametrize("slow", [-HOUR, 40 * DAY], ids=["an hour ahead", "forty days slow"])
async def test_what_is_stored_is_a_repeat_though_its_own_time_cannot_be(shop: Shop, slow: float) -> None:
    """The clock was put right, and a new event is among the old ones."""
    anna, events = await shop.anonymous(), [event(age_seconds=slow)]
    assert (await anna.do(RECORD, events=events, sentAt=ago(seconds=slow)))["recorded"] == 1
    assert (await anna.do(RECORD, events=[*events, event()], sentAt=ago()))["recorded"] == 1
    assert (await anna.do(RECORD, events=events))["recorded"] == 0
    refused = await (await shop.anonymous()).refusal(RECORD, events=events)
    assert refused["field"] == ["events", "0", "id"], "somebody else's"


async def test_a_batch_sent_twice_at_once_with_a_wrong_clock_is_stored_once(shop: Shop) -> None:
    anna, events = await shop.anonymous(), [event(age_seconds=21 * DAY) for _ in range(5)]
    sent = [anna.do(RECORD, events=events, sentAt=ago(days=21, seconds=number)) for number in range(4)]
    assert sorted([payload["recorded"] for payload in await asyncio.gather(*sent)]) == [0, 0, 0, 5]


async def test_numbers_that_grow_when_written_out_are_refused_too(shop: Shop) -> None:
    """1e300 is five characters here and 301 digits in the table."""
    anna = await shop.anonymous()
    assert await anna.code(RECORD, events=[event(properties={"a": [1e300] * 60})]) == "BAD_USER_INPUT"


async def test_events_need_somebody_and_are_limited(shop: Shop) -> None:
    assert await shop.client().code(RECORD, events=[event()]) == "UNAUTHENTICATED"
    refused = await (await shop.anonymous()).refusal(RECORD, events=[event() for _ in range(101)])
    assert refused["code"] == "LIMIT_REACHED"


async def test_administrators_count_the_events_of_a_time(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.account()
    await anna.do(RECORD, events=[event(), event(), event("feed_seen"), event("long_ago", 20 * DAY)])
    await ben.do(RECORD, events=[event()])
    admin = staff(shop, "admin")
    assert await counts(admin, ago(days=1)) == [("quiz_opened", 3, 2), ("feed_seen", 1, 1)]
    assert await counts(admin, ago(days=30), ago(days=10)) == [("long_ago", 1, 1)]
    assert await counts(admin, ago(days=9), ago(days=8)) == []


async def test_nobody_else_counts_events(shop: Shop) -> None:
    for client in (await shop.anonymous(), await shop.account(), staff(shop, "editor"), staff(shop, "Analyst")):
        assert await client.code(COUNTS, since=ago(days=1)) == "FORBIDDEN"
    bold = shop.client(shop.token(uuid.uuid4(), role="anon", is_anonymous=True, app_metadata={"role": "analyst"}))
    assert await bold.code(COUNTS, since=ago(days=1)) == "FORBIDDEN"
    assert await shop.client().code(COUNTS, since=ago(days=1)) == "UNAUTHENTICATED"


async def test_a_time_ends_after_it_begins_and_within_a_year(shop: Shop) -> None:
    analyst = staff(shop, "analyst")
    for since, until in ((ago(days=-1), None), (ago(days=1), ago(days=2)), (ago(days=367), None)):
        assert await analyst.code(COUNTS, since=since, until=until) == "BAD_USER_INPUT"


async def test_an_analyst_reads_nobodys_rows(shop: Shop) -> None:
    """Counts and nothing else: the function checks who asks for itself."""
    for _ in range(5):
        await (await shop.anonymous()).do(RECORD, events=[event("opened", 2 * DAY)])
    login = await asyncpg.connect(shop.dsns.api)
    try:
        async with login.transaction():
            await login.execute(
                "select set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)",
                json.dumps({"role": "authenticated", "sub": str(uuid.uuid4()), "app_metadata": {"role": "analyst"}}),
            )
            assert await login.fetch("table public.analytics_events") == []
            assert (
                len(
                    await login.fetch(
                        "select * from private.count_events(now() - interval '4 days', now() + interval '1 day')"
                    )
                )
                == 1
            )
        async with login.transaction():
            await login.execute(
                "select set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)",
                json.dumps({"role": "authenticated", "sub": str(uuid.uuid4())}),
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.fetch("select * from private.count_events('-infinity', now())")
    finally:
        await login.close()


async def test_analysts_count_days_that_are_over_and_five_people_or_more(shop: Shop) -> None:
    people = [await shop.anonymous() for _ in range(7)]
    for place, person in enumerate(people):
        sent = [event("often", 2 * DAY), *([event("rarely", 2 * DAY)] if place < 4 else []), event("often")]
        assert (await person.do(RECORD, events=sent))["recorded"] == len(sent)
    analyst, admin = staff(shop, "analyst"), staff(shop, "admin")
    assert await counts(admin, ago(days=4)) == [("often", 14, 7), ("rarely", 4, 4)]
    assert await counts(analyst, ago(days=4)) == [("often", 5, 5)]
    assert await counts(analyst, ago(days=2, seconds=60), ago(days=2, seconds=-60)) == [], "no part of a day"
