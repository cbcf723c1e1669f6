"""One's data, taken along: asked for with a proof, downloaded once as JSON lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

import db.exports
from db.exports import PAGE_BYTES
from domain import ids
from resolvers import exports
from tests.client import Client
from tests.conftest import Shop
from tests.exports import EXPORT, Download, Export, another_process, asked, downloaded, exported
from tests.http.test_cancelling import locked, working
from tests.http.test_privacy import key_of, with_amr
from tests.http.test_sessions import pass_grace, refreshed
from tests.integration import waiting
from tests.streams import app_of, listening, until
from transports.exports import FIRST_SECONDS, MAX_WAIT_SECONDS, MIN_BYTES_PER_SECOND, TURN_SECONDS, Exports

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
RENAME = 'mutation { updateProfile(input: {displayName: "Anna"}) { userErrors { code } } }'
DOCUMENT = """
mutation ($input: ExportMyDataInput) { exportMyData(input: $input) { document url userErrors { code } } }
"""
SIGN_OUT = "mutation { signOut { userErrors { code } } }"
ERASE = "mutation { deleteMyAccount(input: {confirm: true}) { deleted userErrors { code } } }"
EVENTS = """
insert into public.analytics_events (user_id, id, event_name, properties)
select $1, private.uuid_v7(), 'canary', jsonb_build_object('text', repeat(md5(n::text), $3::int / 32))
from generate_series(1, $2::int) n
"""
NOTHING_IS_READ = (
    "not exists (select from pg_stat_activity"
    " where datname = current_database() and usename = 'aclue_api' and state = 'active')"
)
BY_NOW = "update public.privacy_requests set created_at = now() - make_interval(mins => $1)"


def set_settings(shop: Shop, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    streams = app_of(shop).exports._streams
    monkeypatch.setattr(streams, "settings", msgspec.structs.replace(streams.settings, **changes))


async def with_events(shop: Shop, many: int, size: int) -> Client:
    """An anonymous session with so many events of about so many bytes."""
    client = await shop.anonymous()
    await shop.owner.execute(EVENTS, await key_of(client), many, size)
    return client


# --- what it holds


@pytest.mark.usefixtures("own_accounts")
async def test_an_export_has_all_rows_of_the_person_and_a_header_that_describes_them(shop: Shop) -> None:
    anna, ben = await shop.account("anna@people.example"), await shop.account("ben@people.example")
    for client in (anna, ben):
        await client.do(RENAME)
        product = (await client.products(first=1))[0]["id"]
        await client.swipe(product, "UP")
        await client.do(CLICK, id=product)
        await client.take_quiz({"adv"})
    export = await exported(anna)
    header, data = export.header, export.data
    assert (header["format"], header["formatVersion"]) == ("aclue-export", "2")
    assert header["profileId"] == str(await key_of(anna))
    for name, table in header["tables"].items():
        for row in data[name]:
            assert set(row) == set(table["columns"]), name
            assert not set(row) & set(table["leftOut"]), name
    assert data["public.profiles"][0]["display_name"] == "Anna"
    assert data["auth.users"][0]["email"] == "anna@people.example"
    assert [len(data[f"public.{t}"]) for t in ("swipes", "affiliate_clicks", "personality_profiles")] == [1, 1, 1]
    assert data["public.privacy_requests"][0]["kind"] == "export"
    assert {row["table_name"] for row in data["public.audit_log"]} >= {"public.profiles", "auth.users"}
    assert "refresh_token_hash" in header["tables"]["public.user_sessions"]["leftOut"]
    assert "ben@people.example" not in export.text
    assert str(await key_of(ben)) not in export.text
    assert "argon2" not in export.text


async def test_rows_that_fill_many_pages_come_whole_and_once(shop: Shop) -> None:
    client = await shop.anonymous()
    for many, size in ((900, 32), (120, 6400), (900, 32)):  # pages follow the size of the rows
        await shop.owner.execute(EVENTS, await key_of(client), many, size)
    text = await downloaded(client)
    found = [row["id"] for row in Export(text).data["public.analytics_events"]]
    kept = await shop.owner.fetch("select id::text from public.analytics_events order by id")
    assert found == [row["id"] for row in kept]


async def test_a_row_that_is_larger_than_a_page_comes_too(shop: Shop) -> None:
    client = await shop.anonymous()
    user = await key_of(client)
    long = "select $1, 'update', 'public.profiles', '{}', jsonb_build_object('name', repeat('x', $2))"
    insert = "insert into public.audit_log (person_id, operation, table_name, row_key, changes)"
    for size in (10, PAGE_BYTES + 1, 10):
        await shop.owner.execute(f"{insert} {long}", user, size)
    rows = (await exported(client)).data["public.audit_log"]
    assert [len(row["changes"]["name"]) for row in rows if "name" in row["changes"]] == [10, PAGE_BYTES + 1, 10]


async def test_text_that_breaks_lines_breaks_no_line_of_the_file(shop: Shop) -> None:
    client = await shop.anonymous()
    text = 'line\nfeed\r\n"quotes"\u2028\x85\t{'
    await shop.owner.execute("update public.profiles set display_name = $1", text)
    assert (await exported(client)).data["public.profiles"][0]["display_name"] == text


async def test_the_file_is_a_download_that_is_not_cached(shop: Shop) -> None:
    response = await shop.http.get((await asked(await shop.anonymous()))["url"])
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-request-id"]


# --- the proof


@pytest.mark.usefixtures("own_accounts")
async def test_a_token_alone_exports_no_account(shop: Shop) -> None:
    await shop.account("ben@people.example", "another horse")
    user = await key_of(await shop.account())
    old = shop.client(shop.token(user))
    for given in ({}, {"password": "wrong"}, {"password": "another horse"}, {"refreshToken": "x"}):
        error = await old.refusal(EXPORT, input=given)
        assert (error["code"], error["field"]) == ("INVALID_CREDENTIALS", ["password"])
    assert (await old.refusal(EXPORT))["message"].startswith("Give your password")
    assert await shop.owner.fetchval("select count(*) from public.privacy_requests") == 0
    assert (await old.do(EXPORT, input={"password": "correct horse"}))["url"]


@pytest.mark.usefixtures("own_accounts")
async def test_a_recent_sign_in_suffices_with_external_accounts(shop: Shop) -> None:
    user = uuid4()
    await shop.owner.execute("insert into public.profiles (id, email) values ($1, 'anna@elsewhere.example')", user)
    await shop.owner.execute("comment on schema auth is null")
    error = await shop.client(shop.token(user)).refusal(EXPORT, input={"password": "of elsewhere"})
    assert error["code"] == "UNAVAILABLE"
    signed_in = with_amr(shop, user, {"method": "otp", "timestamp": int(time.time())})
    assert (await exported(signed_in)).data["public.profiles"][0]["email"] == "anna@elsewhere.example"


async def test_an_anonymous_session_proves_itself_by_its_refresh_token(shop: Shop) -> None:
    visitor, other = await shop.anonymous(), await shop.anonymous()
    for given in ({}, {"password": "x"}, {"refreshToken": "x"}, {"refreshToken": other.refresh_token}):
        error = await visitor.refusal(EXPORT, input=given)
        assert (error["code"], error["field"]) == ("INVALID_CREDENTIALS", ["refreshToken"])
    assert "refreshToken" in (await visitor.refusal(EXPORT))["message"]
    data = (await exported(visitor)).data
    assert (len(data["public.profiles"]), len(data["public.session_analytics"]), data["auth.users"]) == (1, 1, [])


async def test_a_refresh_token_that_was_exchanged_or_revoked_is_no_proof(shop: Shop) -> None:
    async def is_refused(visitor: Client, refresh_token: str | None) -> bool:
        without_session = shop.client(shop.token(await key_of(visitor), role="anon", is_anonymous=True))
        error = await without_session.refusal(EXPORT, input={"refreshToken": refresh_token})
        return bool(error["code"] == "INVALID_CREDENTIALS")

    visitor = await shop.anonymous()
    stolen = visitor.refresh_token
    visitor.refresh_token = (await refreshed(shop, stolen))["refreshToken"]
    assert (await exported(visitor)).data["public.profiles"]
    assert await is_refused(visitor, stolen)  # though it can still be exchanged
    await pass_grace(shop)
    assert await is_refused(visitor, stolen)
    assert await is_refused(visitor, visitor.refresh_token)  # as the exchanged one was shown again
    other = await shop.anonymous()
    await other.do(SIGN_OUT)
    assert await is_refused(other, other.refresh_token)


async def test_without_a_token_there_is_nothing_to_export(shop: Shop) -> None:
    assert await shop.client().code(EXPORT) == "UNAUTHENTICATED"


async def test_attempts_without_a_proof_do_not_use_up_the_persons_exports(shop: Shop) -> None:
    strict = msgspec.structs.replace(shop.services.settings, sign_in_attempts=1)
    object.__setattr__(shop.services, "settings", strict)
    visitor = await shop.anonymous()
    for _ in range(3):
        await visitor.refusal(EXPORT)
    await asked(visitor)
    assert await visitor.code(EXPORT, input={"refreshToken": visitor.refresh_token}) == "RATE_LIMITED"


# --- the address


async def test_an_address_works_once_and_the_audit_log_says_when(shop: Shop) -> None:
    anna = await shop.account()
    url = (await asked(anna))["url"]
    assert url.startswith(shop.services.settings.base_url)
    assert (await shop.http.get(url)).status_code == 200
    again = await shop.http.get(url)
    assert (again.status_code, again.headers["cache-control"]) == (410, "no-store")
    entries = await shop.owner.fetch(
        "select operation, actor, request_id, changes ? 'fetched_at' as is_fetched from public.audit_log"
        " where table_name = 'public.privacy_requests' order by id"
    )
    assert [(entry["operation"], entry["actor"]) for entry in entries] == [
        ("insert", await key_of(anna)),
        ("update", await key_of(anna)),
    ]
    assert entries[1]["is_fetched"] and entries[1]["request_id"]


async def test_of_many_who_open_an_address_at_once_one_gets_the_data(shop: Shop) -> None:
    url = (await asked(await shop.anonymous()))["url"]

    async def status(download: Download) -> int:
        answered = await download.status()
        await download.rest()
        return answered

    statuses = await asyncio.gather(*(status(Download(shop, url, another_process(shop))) for _ in range(5)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 410, 503}
    assert (await shop.http.get(url)).status_code == 410


@pytest.mark.parametrize(("minutes", "status"), [(9, 200), (11, 410)])
async def test_an_address_works_for_ten_minutes(shop: Shop, minutes: int, status: int) -> None:
    payload = await asked(await shop.anonymous())
    asked_at = await shop.owner.fetchval("select created_at from public.privacy_requests")
    assert payload["expiresAt"] == (asked_at + timedelta(minutes=10)).isoformat().replace("+00:00", "Z")
    await shop.owner.execute(BY_NOW, minutes)
    assert (await shop.http.get(payload["url"])).status_code == status


async def test_what_looks_ahead_does_not_use_an_address_up(shop: Shop) -> None:
    url = (await asked(await shop.anonymous()))["url"]
    for method in ("HEAD", "OPTIONS", "POST"):
        response = await shop.http.request(method, url)
        assert (response.status_code, response.headers["allow"]) == (405, "GET")
    for name, value in (("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")):
        assert (await shop.http.get(url, headers={name: value})).status_code == 503
    assert (await shop.http.get(url)).status_code == 200


async def test_a_forged_address_is_none(shop: Shop) -> None:
    url = (await asked(await shop.anonymous()))["url"]
    head, token = url.rsplit("/", 1)
    signed = shop.services.cursors.sign(ids.decode_bytes(token)[:-16])  # type: ignore[index]
    for forged in (
        "",
        "x",
        token[:-1],
        token[:30] + ("A" if token[30] != "A" else "B") + token[31:],
        signed,
        "A" * 20_000,
    ):
        response = await shop.http.get(f"{head}/{forged}")
        assert response.status_code == 404, forged


@pytest.mark.usefixtures("own_accounts")
async def test_an_address_gives_nothing_once_its_session_has_ended(shop: Shop) -> None:
    anna = await shop.account()
    url = (await asked(anna))["url"]
    await anna.do(SIGN_OUT)
    assert (await shop.http.get(url)).status_code == 410
    assert await shop.owner.fetchval("select fetched_at from public.privacy_requests") is None


async def test_an_address_gives_nothing_once_its_person_was_erased(shop: Shop) -> None:
    anna = await shop.account()
    url = (await asked(anna))["url"]
    await anna.do(ERASE)
    assert (await shop.http.get(url)).status_code == 410


# --- one at a time, and no faster than it is taken


async def test_no_page_is_longer_than_a_page_however_much_there_is(shop: Shop) -> None:
    client = await with_events(shop, 5_000, 6_000)  # 30 MB
    download = Download(shop, (await asked(client))["url"])
    assert await download.status() == 200
    export = Export((await download.rest()).decode())
    assert export.end["tables"]["public.analytics_events"] == 5_000
    assert sum(download.sizes) > 30_000_000
    assert max(download.sizes) <= PAGE_BYTES
    assert len(download.sizes) < 2 * sum(download.sizes) / PAGE_BYTES, "pages are well filled"


@pytest.fixture
def pages_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all pages that have come from Postgres."""
    sizes: list[int] = []
    read = db.exports.pages

    async def counted(*arguments: Any) -> AsyncGenerator[bytes, None]:
        async for page in read(*arguments):
            sizes.append(len(page))
            yield page

    monkeypatch.setattr(db.exports, "pages", counted)
    return sizes


@pytest.mark.drill
async def test_no_more_than_a_page_waits_for_a_client_that_takes_nothing(
    shop: Shop, superuser: asyncpg.Connection[Any], pages_read: list[int]
) -> None:
    client = await with_events(shop, 1_000, 6_000)
    download = Download(shop, (await asked(client))["url"])
    await until(lambda: len(pages_read) == 1)
    await download.status()
    await until(lambda: len(pages_read) == 2)  # one is the client's to take, one stands behind it
    await waiting.until(superuser, NOTHING_IS_READ)
    assert len(pages_read) == 2
    assert Export((await download.rest()).decode()).end["complete"]


async def test_a_client_that_goes_away_ends_the_statement_and_gives_the_connection_back(shop: Shop) -> None:
    client = await with_events(shop, 10, 32)
    pool = shop.services.database.pool
    async with locked(shop, "swipes"):
        download = Download(shop, (await asked(client))["url"])
        assert await download.status() == 200
        while await download.part() and not pool.idle < pool.size:
            pass
        await working(shop, 1)
        await download.go_away()
        await working(shop, 0)
    assert pool.idle == pool.size
    assert (await exported(client)).end["complete"], "and the next export finds the place free"


@pytest.mark.parametrize("setting", ["stream_send_timeout", "export_timeout"])
async def test_a_download_that_takes_too_long_is_cut_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    client = await with_events(shop, 1_000, 6_000)
    address = await asked(client)
    with monkeypatch.context() as patch:
        set_settings(shop, patch, **{setting: 0.3})
        download = Download(shop, address["url"])
        assert await download.status() == 200
        await download.ended()
    assert download.is_cut_off
    pool = shop.services.database.pool
    await until(lambda: pool.idle == pool.size)
    assert (await exported(client)).end["complete"], "and the next export finds the place free"


async def test_one_download_at_a_time_and_the_refused_address_still_works(shop: Shop) -> None:
    first, second = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    download = Download(shop, (await asked(first))["url"])
    assert await download.status() == 200
    url = (await asked(second))["url"]
    refused = await shop.http.get(url)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, str(exports.RETRY_SECONDS))
    await download.rest()
    assert (await shop.http.get(url)).status_code == 200


class Time:
    """A clock for a process's Exports."""

    def __init__(self, shop: Shop) -> None:
        self.seconds = 0.0
        self.process = Exports(app_of(shop).exports._streams, lambda: self.seconds)


SLOW, FAST = "192.0.2.1", "198.51.100.1"


async def test_a_slow_download_gives_way_to_another_network_that_waits(shop: Shop) -> None:
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    slow = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await slow.status() == 200
    url = (await asked(other))["url"]
    refused = Download(shop, url, time.process, FAST)
    assert await refused.status() == 503
    await refused.rest()
    time.seconds = FIRST_SECONDS + 1
    await slow.part()
    await slow.ended()
    assert slow.is_cut_off
    again = Download(shop, url, time.process, FAST)
    assert await again.status() == 200
    assert Export((await again.rest()).decode()).end["complete"]


async def test_a_download_may_be_slow_while_nobody_else_waits(shop: Shop) -> None:
    time = Time(shop)
    client = await with_events(shop, 1_000, 6_000)
    url, second = (await asked(client))["url"], (await asked(client))["url"]
    slow = Download(shop, url, time.process, SLOW)
    assert await slow.status() == 200
    refused = Download(shop, second, time.process, SLOW)  # the network's own wait does not count
    assert await refused.status() == 503
    await refused.rest()
    time.seconds = FIRST_SECONDS + 1
    assert Export((await slow.rest()).decode()).end["complete"]


async def test_a_fast_download_is_finished_though_others_wait(shop: Shop) -> None:
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    fast = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await fast.status() == 200
    refused = Download(shop, (await asked(other))["url"], time.process, FAST)
    assert await refused.status() == 503
    await refused.rest()
    parts = []
    while (part := await fast.part()) is not None:
        parts.append(part)
        time.seconds = sum(map(len, parts)) / MIN_BYTES_PER_SECOND
    assert time.seconds > FIRST_SECONDS
    await fast.ended()
    assert Export(b"".join(parts).decode()).end["complete"]


async def test_the_more_wait_the_faster_a_download_must_be(shop: Shop) -> None:
    """Else twenty networks, each as slow as one may be, would keep everybody out for hours."""
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    steady = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await steady.status() == 200
    url = (await asked(other))["url"]
    for number in range(2):
        refused = Download(shop, url, time.process, f"198.51.100.{number}")
        assert await refused.status() == 503
        await refused.rest()
    sent = 0
    while time.seconds <= FIRST_SECONDS:
        sent += len(await steady.part() or b"")
        time.seconds = sent / (1.5 * MIN_BYTES_PER_SECOND)
    await steady.ended()
    assert steady.is_cut_off


@pytest.mark.parametrize(("minutes", "seconds", "status"), [
    (11, 0, 200), (11, TURN_SECONDS + 1, 410), (MAX_WAIT_SECONDS // 60 + 11, 0, 410)
])  # fmt: skip
async def test_an_address_does_not_expire_while_its_client_waits(
    shop: Shop, minutes: int, seconds: int, status: int
) -> None:
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    first = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await first.status() == 200
    url = (await asked(other))["url"]
    refused = Download(shop, url, time.process, FAST)
    assert await refused.status() == 503
    await refused.rest()
    await first.rest()
    await shop.owner.execute(BY_NOW, minutes)
    time.seconds = seconds
    late = Download(shop, url, time.process, FAST)
    assert await late.status() == status
    await late.rest()


async def test_the_network_that_had_the_place_comes_after_those_that_were_refused(shop: Shop) -> None:
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    first = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await first.status() == 200
    url = (await asked(other))["url"]
    refused = Download(shop, url, time.process, FAST)
    assert await refused.status() == 503
    await refused.rest()
    await first.rest()
    more = (await asked(client))["url"]
    greedy = Download(shop, more, time.process, SLOW)
    assert await greedy.status() == 503
    await greedy.rest()
    waited = Download(shop, url, time.process, FAST)
    assert await waited.status() == 200
    await waited.rest()
    greedy = Download(shop, more, time.process, SLOW)
    assert await greedy.status() == 200
    await greedy.rest()


async def test_turns_are_taken_in_the_order_of_the_first_refusal(shop: Shop) -> None:
    time = Time(shop)
    client = await with_events(shop, 1_000, 6_000)
    patient, greedy = await shop.anonymous(), await shop.anonymous()
    urls = [(await asked(each))["url"] for each in (client, patient, greedy, greedy)]
    first = Download(shop, urls[0], time.process, SLOW)
    assert await first.status() == 200
    for url, address in ((urls[1], "198.51.100.77"), (urls[2], FAST), (urls[2], FAST)):
        refused = Download(shop, url, time.process, address)
        assert await refused.status() == 503
        await refused.rest()
    await first.rest()
    before = Download(shop, urls[3], time.process, FAST)
    assert await before.status() == 503
    await before.rest()
    turn = Download(shop, urls[1], time.process, "198.51.100.77")
    assert await turn.status() == 200
    await turn.rest()
    after = Download(shop, urls[2], time.process, FAST)
    assert await after.status() == 200
    await after.rest()


async def test_a_turn_that_nobody_comes_for_is_given_up(shop: Shop) -> None:
    time = Time(shop)
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    first = Download(shop, (await asked(client))["url"], time.process, SLOW)
    assert await first.status() == 200
    refused = Download(shop, (await asked(other))["url"], time.process, FAST)
    assert await refused.status() == 503
    await refused.rest()
    await first.rest()
    time.seconds = TURN_SECONDS + 1
    assert await Download(shop, (await asked(client))["url"], time.process, SLOW).status() == 200


async def test_one_download_of_a_person_at_a_time_over_all_processes(shop: Shop) -> None:
    client, other = await with_events(shop, 1_000, 6_000), await shop.anonymous()
    first, second = (await asked(client))["url"], (await asked(client))["url"]
    download = Download(shop, first)
    assert await download.status() == 200
    refused = Download(shop, second, another_process(shop))
    assert await refused.status() == 503
    await refused.rest()
    somebody_else = Download(shop, (await asked(other))["url"], another_process(shop))
    assert await somebody_else.status() == 200
    await somebody_else.rest()
    await download.rest()
    assert (await shop.http.get(second)).status_code == 200


async def test_a_download_is_cut_off_when_its_session_ends(shop: Shop) -> None:
    await listening(shop)
    client = await with_events(shop, 1_000, 6_000)
    download = Download(shop, (await asked(client))["url"])
    assert await download.status() == 200
    await client.do(SIGN_OUT)
    await download.ended()
    assert download.is_cut_off


@pytest.mark.drill
async def test_a_server_that_stops_cuts_downloads_off(shop: Shop) -> None:
    client = await with_events(shop, 1_000, 6_000)
    download = Download(shop, (await asked(client))["url"])
    assert await download.status() == 200
    app_of(shop).exports._streams.stop()
    await download.ended()
    assert download.is_cut_off


async def test_all_of_it_is_of_one_moment(shop: Shop) -> None:
    client = await with_events(shop, 1_000, 6_000)
    download = Download(shop, (await asked(client))["url"])
    assert await download.status() == 200
    await shop.owner.execute(EVENTS, await key_of(client), 10, 32)
    export = Export((await download.rest()).decode())
    assert len(export.data["public.analytics_events"]) == 1_000


@pytest.mark.drill
async def test_what_fails_half_way_is_cut_off_and_tells_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*arguments: Any) -> AsyncGenerator[bytes, None]:
        yield b"{}\n"
        raise asyncpg.DataError("of tables and columns")

    monkeypatch.setattr(db.exports, "pages", broken)
    download = Download(shop, (await asked(await shop.anonymous()))["url"])
    assert await download.status() == 200
    assert await download.part() == b"{}\n"
    with capture_logs() as logs:
        await download.ended()
    assert download.is_cut_off
    assert [entry["event"] for entry in logs] == ["internal error"]


# --- what is deprecated


async def test_the_document_is_answered_while_it_is_small(shop: Shop) -> None:
    anna = await shop.account("anna@people.example")
    document = (await anna.do(DOCUMENT))["document"]
    manifest, data = document["manifest"], document["data"]
    assert (manifest["formatVersion"], manifest["profileId"]) == ("1", str(await key_of(anna)))
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        name: len(rows) for name, rows in data.items()
    }
    assert data["auth.users"][0]["email"] == "anna@people.example"
    assert data["public.privacy_requests"][0]["kind"] == "export"


async def test_a_large_document_is_left_out_and_the_answer_says_where_it_is(shop: Shop, pages_read: list[int]) -> None:
    client = await with_events(shop, 1_000, 6_000)
    response = await client.post(DOCUMENT, input={"refreshToken": client.refresh_token})
    body = response.json()
    payload = body["data"]["exportMyData"]
    assert payload["document"] is None
    (error,) = body["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("LIMIT_REACHED", ["exportMyData", "document"])
    assert "`url`" in error["message"]
    assert sum(pages_read) < 2 * (exports.MAX_DOCUMENT_BYTES + 2 * PAGE_BYTES), "by a plan and without"
    assert Export((await shop.http.get(payload["url"])).text).end["complete"]


async def test_one_answer_holds_few_documents(shop: Shop) -> None:
    fields = " ".join(f"d{n}: document" for n in range(20))
    visitor = await shop.anonymous()
    assert await visitor.code(f"mutation {{ exportMyData {{ {fields} }} }}") == "COST_LIMIT_EXCEEDED"
