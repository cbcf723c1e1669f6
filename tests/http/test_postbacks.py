"""Postbacks: taken at once, read afterwards, believed for nothing but that something was sold."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import logging
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from structlog.testing import capture_logs

from db.claims import SERVICE
from domain.errors import RateLimited
from domain.ledger import generic
from services import housekeeping, ledger_decisions, postbacks
from services.postbacks import Sender
from tests.conftest import Shop
from tests.ledger import awin, awin_push, impact_parameters, report
from tests.streams import until

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"
STATES = "select reference, status, pending_minor, approved_minor from public.conversions order by reference"
FORMATS = """
format = "json"
states = {new = "pending"}
[fields]
reference = "id"
state = "=new"
amount = "amount"
currency = "=GBP"
advertiser_id = "=north"
ordered_at = "at"
"""


async def sender(shop: Shop, network: str = "awin", *, signed: bool = False, **values: Any) -> Sender:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        return await postbacks.add_sender(
            session, shop.services.postback_sealer, network, name=f"{network} pushes", is_signed=signed, **values
        )


async def push(shop: Shop, secret: str, reference: str = "A1", **values: Any) -> httpx.Response:
    form = {"AwinTransactionPush": json.dumps(awin_push(reference, **values))}
    return await shop.http.post(f"/postbacks/awin/{secret}", data=form)


async def states(shop: Shop) -> list[tuple[Any, ...]]:
    await postbacks.process_due(shop.services)
    return [tuple(row) for row in await shop.owner.fetch(STATES)]


async def stored(shop: Shop) -> int:
    found: int = await shop.owner.fetchval("select count(*) from public.postbacks")
    return found


def signed(key: str, body: str, *, at: float | None = None) -> dict[str, str]:
    timestamp = str(int(time.time() if at is None else at))
    signature = hmac.new(key.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return {"x-timestamp": timestamp, "x-signature": signature, "content-type": "application/json"}


async def test_a_sale_is_pending_until_an_import_says_how_it_stands(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.do(CLICK, id=(await anna.product("Books 1"))["id"])
    click: UUID = await shop.owner.fetchval("select id from public.affiliate_clicks")
    secret = (await sender(shop)).secret

    answer = await push(shop, secret, click=click)
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert await shop.owner.fetchval("select count(*) from public.conversions") == 0  # read afterwards
    assert await states(shop) == [("A1", "pending", 120, 0)]
    sale = await shop.owner.fetchrow("""
      select c.click_id, r.source, r.origin from public.conversions c
      join public.conversion_reports r using (affiliate_network, reference)
    """)
    assert sale and tuple(sale) == (click, "postback", "awin pushes")
    received = await shop.owner.fetchrow("select status, reports, body, query from public.postbacks")
    assert received and tuple(received) == ("done", 1, None, None)

    assert (await push(shop, secret, click=click)).status_code == 200
    assert await states(shop) == [("A1", "pending", 120, 0)]
    assert (await stored(shop), await shop.owner.fetchval("select count(*) from public.conversion_reports")) == (1, 1)

    await report(shop.services, awin("A1", "approved"))
    await push(shop, secret, click=click, commission="99.00")
    assert await states(shop) == [("A1", "approved", 0, 120)]
    assert await shop.owner.fetchval("select click_id from public.conversions") == click


async def test_the_word_approved_of_a_postback_approves_nothing(shop: Shop) -> None:
    secret = (await sender(shop, "impact")).secret
    for status in ("PENDING", "APPROVED"):
        await shop.http.get(f"/postbacks/impact/{secret}", params=impact_parameters("9000.1", status))
    assert await states(shop) == [("9000.1", "pending", 120, 0)]
    await shop.http.post(f"/postbacks/impact/{secret}", json=impact_parameters("9000.1", "REVERSED"))
    assert await states(shop) == [("9000.1", "declined", 0, 0)]


async def test_imports_and_postbacks_in_any_order_give_the_same(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    balances = []
    for number, order in enumerate(itertools.permutations(("high", "low", "pending", "approved"))):
        reference = f"A{number}"
        for step in order:
            if step in ("high", "low"):
                await push(shop, secret, reference, commission={"high": "7.00", "low": "0.50"}[step])
                await postbacks.process_due(shop.services)
            else:
                await report(shop.services, awin(reference, step))
        balances.append(
            await shop.owner.fetch(
                "select account, sum(amount_minor) from public.ledger_entries e join public.conversions c"
                " on c.id = e.conversion_id where reference = $1 group by 1 having sum(amount_minor) <> 0 order by 1",
                reference,
            )
        )
    assert balances == [balances[0]] * 24
    assert {status for _, status, *_ in await states(shop)} == {"approved"}


@pytest.mark.parametrize("is_import_first", [True, False])
async def test_a_click_that_the_network_names_counts_more_than_that_of_a_postback(
    shop: Shop, is_import_first: bool
) -> None:
    anna, mallory = await shop.anonymous(), await shop.anonymous()
    for person in (anna, mallory):
        await person.do(CLICK, id=(await person.product("Books 1"))["id"])
    clicks = "select id from public.affiliate_clicks order by click_timestamp"
    of_anna, of_mallory = (row["id"] for row in await shop.owner.fetch(clicks))
    secret = (await sender(shop)).secret
    for is_import in (is_import_first, not is_import_first):
        if is_import:
            await report(shop.services, awin("A1", "approved", click=of_anna))
        else:
            await push(shop, secret, click=of_mallory)
            await postbacks.process_due(shop.services)
    assert await shop.owner.fetchval("select click_id from public.conversions") == of_anna


async def test_an_adjustment_of_another_currency_than_that_of_the_import_is_an_exception(shop: Shop) -> None:
    await push(shop, (await sender(shop)).secret)
    await postbacks.process_due(shop.services)
    sale = await shop.owner.fetchval("select id from public.conversions")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger_decisions.adjust(session, sale, Decimal("9.00"), "agreed")
    await report(shop.services, awin("A1", commission="1.40", currency="EUR"))
    assert await states(shop) == [("A1", "pending", 140, 0)]
    open_ones = await shop.owner.fetch("select detail from public.exceptions where closed_at is null")
    assert any("adjusted in GBP, and reported in EUR" in row["detail"] for row in open_ones)


async def test_the_secret_may_be_in_a_header(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    for number, headers in enumerate(({"x-postback-secret": secret}, {"authorization": f"Bearer {secret}"})):
        answer = await shop.http.post("/postbacks/awin", json=awin_push(f"H{number}"), headers=headers)
        assert answer.status_code == 200
    assert [row[0] for row in await states(shop)] == ["H0", "H1"]


async def test_nobody_else_is_let_in_and_nobody_learns_why(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    revoked, elsewhere = await sender(shop), await sender(shop, addresses=["192.0.2.0/24", "2001:db8::/32"])
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("postbacks.revoke_sender", id=revoked.id)
    sent = {"json": awin_push("A1")}
    answers = [
        await shop.http.post("/postbacks/awin/wrong", **sent),
        await shop.http.post("/postbacks/awin", **sent),
        await shop.http.post(f"/postbacks/impact/{secret}", **sent),
        await shop.http.post(f"/postbacks/nobody/{secret}", **sent),
        await shop.http.post(f"/postbacks/awin/{secret}/more", **sent),
        await shop.http.post(f"/postbacks/awin/{revoked.secret}", **sent),
        await shop.http.post(f"/postbacks/awin/{elsewhere.secret}", **sent),
        await shop.http.post("/postbacks/../awin", **sent),
    ]
    assert {(answer.status_code, answer.content) for answer in answers[:-1]} == {(404, b"")}
    assert answers[-1].status_code == 404
    assert await stored(shop) == 0
    near = await sender(shop, addresses=["127.0.0.0/8"])
    assert (await push(shop, near.secret)).status_code == 200


async def test_guesses_at_secrets_use_up_what_their_network_may(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[int] = []

    async def take(claims: Any, address: str, cost: int) -> None:
        charged.append(cost)
        if sum(charged) > 3 * postbacks.UNKNOWN_COST:
            raise RateLimited("Too much.", retry_after=7)

    monkeypatch.setattr(shop.services.rate_limits, "take", take)
    answers = [await shop.http.post("/postbacks/awin/wrong", json={}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[-1].headers["retry-after"] == "7"


async def test_what_is_no_postback_is_refused_before_anything_is_stored(shop: Shop) -> None:
    path = f"/postbacks/awin/{(await sender(shop)).secret}"
    refused = [
        (await shop.http.head(path), 405),
        (await shop.http.put(path), 405),
        (await shop.http.post(path, content=b"x" * 65_537), 413),
        (await shop.http.get(path, params={"a": "x" * 16_384}), 414),
        (await shop.http.post(path, content=b"x", headers={"content-encoding": "gzip"}), 415),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
    assert await stored(shop) == 0


async def test_no_log_says_a_secret_or_what_was_sent(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Not even the access log of another server than `aclue serve`, which writes none."""
    caplog.set_level(logging.DEBUG)
    known = (await sender(shop, addresses=["192.0.2.1"])).secret
    guessed = "a-guess-that-may-be-nearly-right"
    app = shop.http._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    with capture_logs() as logged:
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for path, secret in itertools.product(("/postbacks/awin", "//postbacks//awin/"), (known, guessed)):
                await http.get(f"http://127.0.0.1:{port}{path}/{secret}", params={"clickRef": "somebody"})
        server.should_exit = True
        await serving
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    said = "\n".join([repr(logged), *ours])
    assert 'GET /postbacks/awin/... HTTP/1.1" 404' in said
    assert not [text for text in (known, guessed, "somebody") if text in said]


async def test_a_signed_sender_is_believed_by_its_signature_alone(shop: Shop) -> None:
    own = await sender(shop, signed=True, mapping=generic.parse_mapping(FORMATS))
    assert own.key
    kept = await shop.owner.fetchrow("select secret_hash, sealed_key from public.postback_senders")
    assert kept and own.key.encode() not in bytes(kept["sealed_key"]) and own.secret.encode() not in kept["secret_hash"]
    path, body = f"/postbacks/awin/{own.secret}", json.dumps({"id": "S1", "amount": "1.20", "at": "2026-07-01"})

    async def send(headers: dict[str, str], body: str = body, query: str = "") -> int:
        return (await shop.http.post(path + query, content=body, headers=headers)).status_code

    good = signed(own.key, body)
    assert await send({}) == 401
    assert await send(good, body.replace("1.20", "9.99")) == 401
    assert await send(good, query="?amount=9.99") == 401
    assert await send(signed("another key", body)) == 401
    assert await send({**good, "x-timestamp": "now"}) == 401
    assert await send(signed(own.key, body, at=time.time() - 301)) == 401
    assert await stored(shop) == 0
    assert await send(good) == 200
    assert await send(good) == 409
    assert await send({**good, "x-signature": good["x-signature"].upper()}) == 409
    assert await states(shop) == [("S1", "pending", 120, 0)]
    assert await send(good) == 409
    assert await stored(shop) == 1


async def test_what_cannot_be_read_is_kept_with_the_reason_and_read_again(shop: Shop) -> None:
    own = await sender(shop, "partnerize", mapping=generic.parse_mapping(FORMATS))
    sent = [{"id": "S1", "amount": "1.20", "at": "2026-07-01"}, {"id": "S2", "amount": "2.00", "sold": "2026-07-01"}]
    await shop.http.post(f"/postbacks/partnerize/{own.secret}", json=sent)
    assert await states(shop) == [("S1", "pending", 120, 0)]
    failed = await shop.owner.fetchrow("select status, error, body from public.postbacks")
    assert failed and tuple(failed)[:2] == ("failed", "conversion 2: ordered_at is missing")
    assert json.loads(failed["body"]) == sent

    async with shop.services.database.session(SERVICE, read_only=False) as session:
        mapping = generic.parse_mapping(FORMATS.replace('"at"', '"sold"'))
        await session.fetch("postbacks.map_sender", id=own.id, mapping=postbacks.encoded(mapping))
        assert len(await session.fetch("postbacks.retry", id=None)) == 1
    await states(shop)
    assert await shop.owner.fetchval("select error from public.postbacks") == "conversion 1: ordered_at is missing"
    assert [row[0] for row in await states(shop)] == ["S1", "S2"]


async def test_one_that_cannot_be_stored_keeps_no_other_from_it_and_is_given_up_in_the_end(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    await shop.owner.execute("""
      create function public.refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
      create trigger refused before insert on public.conversion_reports for each row when (new.reference = 'BAD')
      execute function public.refuse()
    """)
    for reference in ("A1", "BAD", "A2"):
        await push(shop, secret, reference)
    assert [row[0] for row in await states(shop)] == ["A1", "A2"]
    for attempts in range(1, postbacks.MAX_ATTEMPTS + 1):
        waiting = await shop.owner.fetchrow("select * from public.postbacks where status <> 'done'")
        assert waiting and waiting["attempts"] == attempts and "not this one" in waiting["error"]
        await shop.owner.execute("update public.postbacks set next_attempt_at = now() where status = 'waiting'")
        await postbacks.process_due(shop.services)
    assert waiting["status"] == "failed"
    assert waiting["body"]


async def test_one_that_takes_too_long_is_put_off_and_not_tried_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (await sender(shop)).secret
    await shop.owner.execute("""
      create function public.dawdle() returns trigger language plpgsql
      as $$ begin perform pg_sleep(60); return new; end $$;
      create trigger slow before insert on public.conversion_reports for each row when (new.reference = 'SLOW')
      execute function public.dawdle()
    """)
    monkeypatch.setattr(postbacks, "TIMEOUT_MS", 500)
    for reference in ("A1", "SLOW", "A2"):
        await push(shop, secret, reference)
    assert [row[0] for row in await states(shop)] == ["A1"]  # the database may be busy: the others are asked later
    assert [row[0] for row in await states(shop)] == ["A1", "A2"]
    for attempts in range(1, postbacks.MAX_ATTEMPTS + 1):
        waiting = await shop.owner.fetchrow("select * from public.postbacks where status <> 'done'")
        assert waiting and waiting["attempts"] == attempts and waiting["error"].startswith("Timeout")
        await shop.owner.execute("update public.postbacks set next_attempt_at = now() where status = 'waiting'")
        await postbacks.process_due(shop.services)
    assert waiting["status"] == "failed"


async def test_a_ledger_that_is_busy_for_long_costs_no_message_its_attempts(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (await sender(shop)).secret
    monkeypatch.setattr(postbacks, "TIMEOUT_MS", 200)
    for reference in ("A1", "A2"):
        await push(shop, secret, reference)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("ledger.lock")
        for _ in range(postbacks.MAX_ATTEMPTS + 2):
            assert await postbacks.process_due(shop.services) == 0
            await shop.services.system_log.flush()
        assert [row[0] for row in await shop.owner.fetch("select attempts from public.postbacks")] == [0, 0]
        said = "select count(*) from public.system_logs where message = $1"
        assert await shop.owner.fetchval(said, postbacks.DELAYED) == 0, "not for long yet"
        await shop.owner.execute("update public.postbacks set received_at = now() - interval '20 minutes'")
        for _ in range(2):
            await postbacks.process_due(shop.services)
            await shop.services.system_log.flush()
        assert await shop.owner.fetchval(said, postbacks.DELAYED) == 1, "once an hour"
    assert [row[0] for row in await states(shop)] == ["A1", "A2"]


async def test_the_ledger_is_free_between_batches_of_reports(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = (await sender(shop)).secret
    monkeypatch.setattr(postbacks, "MAX_REPORTS", 4)
    for message in range(5):
        sent = [awin_push(f"A{message}{number}") for number in range(3)]
        assert (await shop.http.post(f"/postbacks/awin/{secret}", json=sent)).status_code == 200
    assert await postbacks.process_due(shop.services) == 5
    transactions = "select count(*) from public.conversion_reports group by xmin::text order by min(recorded_at)"
    assert [row["count"] for row in await shop.owner.fetch(transactions)] == [6, 6, 3]


async def test_two_workers_read_a_message_once(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    for number in range(12):
        await push(shop, secret, f"A{number:02}")
    done = await asyncio.gather(*(postbacks.process_due(shop.services) for _ in range(3)))
    assert sum(done) == 12
    assert await shop.owner.fetchval("select count(*) from public.conversion_reports") == 12


async def test_a_sender_stores_so_much_a_day_and_it_is_not_kept_for_ever(shop: Shop) -> None:
    secret = (await sender(shop)).secret
    used = "select received_bytes from public.postback_senders"
    for conversions in (1, 3):
        before: int = await shop.owner.fetchval(used)
        sent = json.dumps([awin_push(f"A{number}") for number in range(1, 1 + conversions)])
        headers = {"content-type": "application/json"}
        assert (await shop.http.post(f"/postbacks/awin/{secret}", content=sent, headers=headers)).status_code == 200
        received: int = await shop.owner.fetchval(used) - before
        assert received == 1000 + len(sent) + 2000 * conversions, "what the ledger will store for ever counts at once"
    before = await shop.owner.fetchval(used)
    await postbacks.process_due(shop.services)
    assert await shop.owner.fetchval(used) == before
    await shop.owner.execute("delete from public.postbacks")
    assert (await push(shop, secret, "A1")).status_code == 200
    limit = shop.services.settings.max_postback_bytes_per_day
    await shop.owner.execute("update public.postback_senders set received_bytes = $1", limit - 1000)
    full = await push(shop, secret, "A2")
    assert (full.status_code, full.headers["retry-after"]) == (429, "3600")
    assert (await push(shop, secret, "A1")).status_code == 200, "a repeat takes no room"
    assert await stored(shop) == 1
    await shop.owner.execute("update public.postback_senders set received_on = received_on - 1")
    assert (await push(shop, secret, "A2")).status_code == 200
    await shop.owner.execute("update public.postbacks set received_at = now() - interval '31 days'")
    assert await housekeeping.purge_postbacks(shop.services) == 2
    assert await stored(shop) == 0
