"""What anybody stores in a day is bounded: by person, by anonymous session and by network, whatever it is that they
store."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from db.claims import SERVICE, Claims
from domain import ids
from domain.errors import LimitReached
from domain.pseudonyms import Pseudonyms
from server import create_app
from services.storage_use import StorageUse
from tests.client import SWIPE, Client
from tests.conftest import SECRET, Shop
from tests.http.test_gift_links import form_of, make, product_of
from tests.streams import socket

EVENTS = (
    "mutation ($events: [EventInput!]!) { recordEvents(input: {events: $events}) { recorded userErrors { code } } }"
)
ERASE = """
mutation ($proof: String) { deleteMyAccount(input: {confirm: true, refreshToken: $proof}) { userErrors { code } } }
"""
NOTED = "select count(*) from public.analytics_events"
Serve = Callable[..., Awaitable[httpx.AsyncClient]]


def event_id() -> str:
    moment, chance = int(time.time() * 1000), random.getrandbits(74)
    return str(uuid.UUID(int=moment << 80 | 7 << 76 | (chance >> 62) << 64 | 2 << 62 | chance & (1 << 62) - 1))


def some_events(number: int = 1, **properties: Any) -> list[dict[str, Any]]:
    return [{"id": event_id(), "name": "quiz_opened", "properties": properties} for _ in range(number)]


@pytest.fixture
async def serve(shop: Shop) -> AsyncIterator[Serve]:
    """A process with other limits, on the shop's database. `address` is where its requests come from."""
    async with AsyncExitStack() as stack:

        async def start(address: str = "192.0.2.1", **limits: int) -> httpx.AsyncClient:
            named = {f"storage_limit_{name}": limit for name, limit in limits.items()}
            app = create_app(
                msgspec.structs.replace(shop.services.settings, **named), shop.dsns.api, SECRET, background=()
            )
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app=app, client=(address, 1))
            return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop"))

        yield start


async def fill(client: Client, **properties: Any) -> int:
    """Records events until one is refused; how many were stored."""
    stored = 0
    while True:
        (payload,) = (await client.ask(EVENTS, events=some_events(1, **properties))).values()
        if payload["userErrors"]:
            assert payload == {"recorded": 0, "userErrors": [{"code": "LIMIT_REACHED"}]}
            return stored
        stored += payload["recorded"]


async def test_a_session_stores_so_much_and_no_more(serve: Serve, shop: Shop) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    stored = await fill(anna, text="x" * 700)
    assert 15 <= stored <= 21
    assert await shop.owner.fetchval(NOTED) == stored


async def test_another_person_stores_on(serve: Serve) -> None:
    http = await serve(anonymous=20_000)
    await fill(await Client(http).start_session())
    ben = await Client(http).start_session()
    assert (await ben.do(EVENTS, events=some_events()))["recorded"] == 1


async def test_an_account_has_a_limit_of_its_own(serve: Serve, shop: Shop) -> None:
    http = await serve(anonymous=5_000, account=20_000)
    anna, ben = await Client(http).start_session(), Client(http, (await shop.account()).token)
    assert 3 * await fill(anna, text="x" * 700) < await fill(ben, text="x" * 700)


async def test_new_sessions_share_the_limit_of_their_network(serve: Serve, shop: Shop) -> None:
    http = await serve(anonymous=20_000, network=50_000)
    most = await fill(await Client(http).start_session(), text="x" * 700)
    stored = most
    for _ in range(5):
        stored += await fill(await Client(http).start_session(), text="x" * 700)
    assert 2 * most < stored < 2.5 * most
    assert await shop.owner.fetchval(NOTED) == stored


async def test_a_household_is_one_network_and_a_site_of_many_has_its_own_limit(serve: Serve) -> None:
    household = [f"2001:db8:1:1::{n}" for n in range(1, 4)]
    stored = []
    for address in household:
        http = await serve(address, network=30_000)
        stored.append(await fill(await Client(http).start_session(), text="x" * 700))
    assert stored[0] > 10 and stored[1:] == [0, 0]
    site = [f"2001:db8:1:{n}::1" for n in range(2, 12)]
    for address in site:
        http = await serve(address, network=30_000)
        stored.append(await fill(await Client(http).start_session(), text="x" * 700))
    assert stored[3] > 10 and stored[-1] == 0
    assert 7 * stored[0] < sum(stored) <= 8 * stored[0] + 8


async def test_a_batch_is_stored_whole_or_not_at_all(serve: Serve, shop: Shop) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    assert (await anna.do(EVENTS, events=some_events(10, text="x" * 1000)))["recorded"] == 10
    assert (await anna.refusal(EVENTS, events=some_events(10, text="x" * 1000)))["code"] == "LIMIT_REACHED"
    assert await shop.owner.fetchval(NOTED) == 10
    assert (await anna.do(EVENTS, events=some_events(1)))["recorded"] == 1


async def test_tiny_rows_count_what_they_take(serve: Serve, shop: Shop) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    for _ in range(20):
        await anna.ask(EVENTS, events=[{"id": event_id(), "name": "x"} for _ in range(5)])
    assert await shop.owner.fetchval(NOTED) < 100


async def test_what_is_sent_again_counts_once(serve: Serve) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    events = some_events(5, text="x" * 1000)
    recorded = [(await anna.do(EVENTS, events=events))["recorded"] for _ in range(10)]
    assert recorded == [5] + [0] * 9
    link = {"productId": (await anna.products(first=1))[0]["id"], "message": "x" * 500, "idempotencyKey": "once"}
    create = "mutation ($link: GiftLinkInput!) { createGiftLink(input: $link) { userErrors { code } } }"
    for _ in range(30):
        await anna.do(create, link=link)


async def test_what_is_refused_counts_nothing(serve: Serve) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    for _ in range(30):
        refused = await anna.refusal(EVENTS, events=[{"id": "x", "name": "x" * 5000}])
        assert refused["code"] == "INVALID"
    assert (await anna.do(EVENTS, events=some_events()))["recorded"] == 1


async def full_of(serve: Serve, shop: Shop) -> tuple[Client, str]:
    """An account that has stored all that it may, and a product's id."""
    anna = Client(await serve(account=60_000), (await shop.account()).token)
    await fill(anna, text="x" * 2000)
    await fill(anna)
    return anna, (await anna.products(first=1))[0]["id"]


def stores(product: str) -> Mapping[str, tuple[str, Any]]:
    """Mutations that keep something of the caller's, and inputs that they take."""
    swipe = {"productId": product, "direction": "UP", "clientSwipeId": "x", "context": {"x": "y" * 500}}
    return {
        "recordEvents": ("RecordEventsInput", {"events": some_events()}),
        "recordProductViews": ("RecordProductViewsInput", {"views": [{"id": event_id(), "productId": product}] * 3}),
        "recordSwipe": ("SwipeInput", swipe),
        "recordSwipes": ("RecordSwipesInput", {"swipes": [swipe]}),
        "updateProfile": ("UpdateProfileInput", {"statedPreferences": {"likes": "tea"}}),
        "dismissReason": ("DismissReasonInput", {"source": {"kind": "TRAIT", "key": "social"}}),
        "createGiftLink": ("GiftLinkInput", {"productId": product, "message": "For you"}),
        "createAffiliateClick": ("AffiliateClickInput", {"productId": product}),
    }


NAMES = list(stores(""))


@pytest.mark.parametrize("name", NAMES)
async def test_whatever_is_stored_counts(serve: Serve, shop: Shop, name: str) -> None:
    anna, product = await full_of(serve, shop)
    kind, given = stores(product)[name]
    mutation = f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
    assert (await anna.refusal(mutation, input=given))["code"] == "LIMIT_REACHED"


async def test_quizzes_and_feedback_count_too(serve: Serve, shop: Shop) -> None:
    anna, _ = await full_of(serve, shop)
    quiz = (await anna.ask("{ quiz { version questions { id } } }"))["quiz"]
    answers = [{"questionId": question["id"], "value": 3} for question in quiz["questions"]]
    submit = "mutation ($quiz: SubmitQuizInput!) { submitQuiz(input: $quiz) { userErrors { code } } }"
    given = {"version": quiz["version"], "answers": answers}
    assert (await anna.refusal(submit, quiz=given))["code"] == "LIMIT_REACHED"
    shown = (await anna.feed(first=1))["nodes"][0]["id"]
    say = (
        "mutation ($id: ID!) { sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL})"
        " { userErrors { code } } }"
    )
    assert (await anna.refusal(say, id=shown))["code"] == "LIMIT_REACHED"


async def test_a_person_at_the_limit_can_still_withdraw_leave_and_be_erased(serve: Serve, shop: Shop) -> None:
    anna, _ = await full_of(serve, shop)
    await anna.do(
        'mutation { updateConsents(input: {policyVersion: "1", consents: [{purpose: ANALYTICS, granted: false}]})'
        " { userErrors { code } } }"
    )
    await anna.do("mutation { exportMyData { userErrors { code } } }")
    await anna.do("mutation { revokeOtherSessions { userErrors { code } } }")
    await anna.do("mutation { deleteMyAccount(input: {confirm: true}) { userErrors { code } } }")


START = """
mutation ($page: String) { startSession(input: {landingPage: $page}) { accessToken userErrors { code } } }
"""
RESET = "mutation ($email: String!) { requestPasswordReset(input: {email: $email}) { userErrors { code } } }"


@pytest.mark.usefixtures("own_accounts")
async def test_long_texts_without_a_token_do_not_use_up_the_reserve_of_a_network(serve: Serve) -> None:
    """Nearly nothing of them is stored."""
    http = await serve(network=300_000)
    stranger = Client(http)
    for _ in range(5):
        await stranger.do(START, page="x" * 200_000)
        await stranger.do(RESET, email="x" * 200_000)
    anna = await Client(http).start_session()
    assert await fill(anna, text="x" * 2000) > 50


async def test_deciding_over_and_over_has_an_end_too(serve: Serve, shop: Shop) -> None:
    anna, _ = await full_of(serve, shop)
    decide = (
        'mutation { updateConsents(input: {policyVersion: "1", consents: [{purpose: MARKETING, granted: true}]})'
        " { userErrors { code } } }"
    )
    codes = [(await anna.ask(decide))["updateConsents"]["userErrors"] for _ in range(10)]
    assert codes[0] == [] and codes[-1] == [{"code": "LIMIT_REACHED"}]


async def test_a_new_account_after_an_erasure_is_in_the_same_network(serve: Serve) -> None:
    http = await serve(anonymous=100_000, network=30_000)
    for _ in range(3):
        anna = await Client(http).start_session()
        last = await fill(anna, text="x" * 2000)
        await anna.do(ERASE, proof=anna.refresh_token)
    assert last == 0


async def test_processes_count_together(serve: Serve, shop: Shop) -> None:
    """Each learns at the latest after a fiftieth of the limit what the others have counted."""
    processes = [await serve(anonymous=50_000) for _ in range(3)]
    anna = await Client(processes[0]).start_session()
    callers = [anna, *(Client(http, anna.token) for http in processes[1:])]
    stored = await asyncio.gather(*(fill(caller, text="x" * 700) for caller in callers))
    assert await shop.owner.fetchval(NOTED) == sum(stored)
    counted = sum(stored) * (50_000 / await one_session(serve))
    assert counted <= 50_000 * (1 + 3 / 50)


async def one_session(serve: Serve) -> int:
    """How many of these events one process alone takes."""
    return await fill(await Client(await serve("192.0.2.9", anonymous=50_000)).start_session(), text="x" * 700)


@pytest.mark.drill
async def test_a_restarted_process_knows_what_was_counted(serve: Serve, shop: Shop) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    await fill(anna, text="x" * 700)
    assert await fill(Client(await serve(anonymous=20_000), anna.token), text="x" * 700) == 0


async def test_what_a_session_stored_is_its_accounts_after_a_merge(serve: Serve, shop: Shop) -> None:
    http = await serve(anonymous=15_000, account=20_000)
    anna = Client(http, (await shop.account()).token)
    merge = "mutation ($token: String!) { mergeSession(input: {refreshToken: $token}) { userErrors { code } } }"
    visitors = [await Client(http).start_session() for _ in range(2)]
    for visitor in visitors:
        await fill(visitor, text="x" * 700)
    await anna.do(merge, token=visitors[0].refresh_token)
    await anna.do(merge, token=visitors[0].refresh_token)  # again: counted once
    assert (await anna.refusal(merge, token=visitors[1].refresh_token))["code"] == "LIMIT_REACHED"
    assert 0 < await fill(anna, text="x" * 700) < 6


async def test_a_merge_that_fails_moves_nothing(serve: Serve, shop: Shop) -> None:
    """The account is gone, its access token is still good for a while."""
    http = await serve(anonymous=15_000)
    anna, visitor = Client(http, (await shop.account()).token), await Client(http).start_session()
    await fill(visitor, text="x" * 700)
    await shop.owner.execute("delete from auth.users where id = $1", ids.decode_as("Profile", await anna.my_id()))
    merge = "mutation ($token: String!) { mergeSession(input: {refreshToken: $token}) { userErrors { code } } }"
    body = (await anna.post(merge, token=visitor.refresh_token)).json()
    assert body.get("errors") or body["data"]["mergeSession"]["userErrors"]
    assert await fill(visitor, text="x" * 700) == 0


async def test_what_comes_over_a_websocket_counts_alike(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.services.storage_use, "_anonymous", 10_000)
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        codes = []
        for _ in range(12):
            answer = await client.ask(EVENTS, events=some_events(1, text="x" * 1000))
            codes += [error["code"] for error in answer["data"]["recordEvents"]["userErrors"]]
    assert codes and set(codes) == {"LIMIT_REACHED"}
    refused = await anna.refusal(EVENTS, events=some_events(1, text="x" * 1000))
    assert refused["code"] == "LIMIT_REACHED"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_a_day_begins_at_midnight_utc(shop: Shop) -> None:
    clock = Clock()
    settings = msgspec.structs.replace(shop.services.settings, storage_limit_anonymous=1000)
    use = StorageUse(settings, shop.services.database, Pseudonyms(b"key", "storage"), clock)
    anna = Claims(subject=uuid.uuid4(), is_anonymous=True)
    await use.take(anna, "192.0.2.1", 900)
    with pytest.raises(LimitReached):
        await use.take(anna, "192.0.2.1", 200)
    clock.now += timedelta(minutes=2)
    await use.take(anna, "192.0.2.1", 900)
    with pytest.raises(LimitReached):
        await use.take(anna, "192.0.2.1", 200)


async def test_counting_costs_no_statement_of_its_own(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]
    headers = {"authorization": f"Bearer {anna.token}", "x-aclue-receipt": "1"}
    statements = []
    for number in range(3):
        given = {"productId": product, "direction": "UP", "clientSwipeId": str(number)}
        body = {"query": SWIPE.replace("preferences {", "p: preferences {"), "variables": {"input": given}}
        answer = await shop.http.post("/graphql", json=body, headers=headers)
        statements.append(answer.json()["extensions"]["receipt"]["statements"])
    bare = "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { userErrors { code } } }"
    answer = await shop.http.post("/graphql", json={"query": bare, "variables": {"input": given}}, headers=headers)
    assert answer.json()["extensions"]["receipt"]["statements"] <= 2, statements


async def test_the_service_itself_is_not_limited(shop: Shop) -> None:
    settings = msgspec.structs.replace(shop.services.settings, storage_limit_network=1000)
    use = StorageUse(settings, shop.services.database, Pseudonyms(b"key", "storage"))
    for _ in range(3):
        await use.take(SERVICE, "192.0.2.1", 900)


async def test_nobody_is_named_where_it_is_counted(serve: Serve, shop: Shop) -> None:
    anna = await Client(await serve(anonymous=20_000)).start_session()
    await fill(anna)
    rows = await shop.owner.fetch("select * from private.storage_use")
    assert len(rows) >= 2
    assert all(len(row["subject"]) == 16 for row in rows)


SIZE = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where relkind in ('r', 'm') and relnamespace in ('public'::regnamespace, 'private'::regnamespace)
"""


@pytest.mark.parametrize("size", [1, 50, 1500], ids=["tiny", "usual", "large"])
async def test_what_is_counted_is_about_what_is_stored(serve: Serve, shop: Shop, size: int) -> None:
    """Within a factor of two, tables and indexes together."""
    limit = 2_000_000
    anna = await Client(await serve(anonymous=limit)).start_session()
    before = await shop.owner.fetchval(SIZE)
    payload: dict[str, Any] = {"userErrors": []}
    while not payload["userErrors"]:
        events = some_events(50, text=random.randbytes(size).hex())
        (payload,) = (await anna.ask(EVENTS, events=events)).values()
    grown = await shop.owner.fetchval(SIZE) - before
    assert limit / 2 < grown < limit * 2


CLICK = """
mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { redirectUrl } userErrors { code } } }
"""
HITS = "select count(*) from public.affiliate_redirects"
CLICKS = "select count(*) from public.affiliate_clicks"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0"


async def tracked_paths(shop: Shop, number: int) -> list[str]:
    anna = await shop.anonymous()
    product = await product_of(shop)
    return [urlsplit((await anna.do(CLICK, id=product))["click"]["redirectUrl"]).path for _ in range(number)]


async def press(http: httpx.AsyncClient, path: str, **headers: str) -> int:
    """Sees the page of a gift link and presses its button: the status."""
    page = await http.get(path, headers=headers)
    return (await http.post(path, data=form_of(page), headers=headers)).status_code


async def test_hits_of_links_count_for_the_network_that_they_come_from(serve: Serve, shop: Shop) -> None:
    paths = await tracked_paths(shop, 10)
    http = await serve(network=2_000)
    assert [(await http.get(path)).status_code for path in paths] == [302] * 10
    assert await shop.owner.fetchval(HITS) == 5
    assert (await (await serve("192.0.2.9", network=2_000)).get(paths[-1])).status_code == 302
    assert await shop.owner.fetchval(HITS) == 6


async def test_hits_that_are_not_stored_do_not_count(serve: Serve, shop: Shop) -> None:
    first, second = await tracked_paths(shop, 2)
    http = await serve(network=1_000)
    for _ in range(20):
        assert (await http.get(first)).status_code == 302
        assert (await http.get("/r/" + "A" * 26)).status_code == 404
    await http.get(second)
    assert await shop.owner.fetchval(HITS) == 2


async def test_a_visitor_who_calls_himself_another_each_time_is_one(serve: Serve, shop: Shop) -> None:
    (path,) = await tracked_paths(shop, 1)
    for number in range(20):
        http = await serve(f"2001:db8:1:{number:x}::1")
        assert (await http.get(path, headers={"user-agent": AGENT.format(number, number)})).status_code == 302
    assert await shop.owner.fetchval(HITS) == 1


async def test_visits_of_gift_links_count_for_the_network_that_they_come_from(serve: Serve, shop: Shop) -> None:
    path = urlsplit((await make(await shop.anonymous(), await product_of(shop)))["url"]).path
    http = await serve(network=6_000)
    assert [await press(http, path) for _ in range(6)] == [303] * 4 + [429] * 2
    assert await press(await serve("192.0.2.9", network=6_000), path) == 303
    assert await shop.owner.fetchval(CLICKS) == 5


async def test_a_visit_that_is_repeated_or_refused_does_not_count(serve: Serve, shop: Shop) -> None:
    anna, product = await shop.anonymous(), await product_of(shop)
    used = urlsplit((await make(anna, product, maxUses=1))["url"]).path
    http = await serve(network=2_500)
    form, late = [form_of(await http.get(used)) for _ in range(2)]
    assert [(await http.post(used, data=form)).status_code for _ in range(5)] == [303] * 5
    assert [(await http.post(used, data=late)).status_code for _ in range(5)] == [404] * 5
    assert await press(http, urlsplit((await make(anna, product))["url"]).path) == 303


async def test_a_gift_link_is_used_so_often_in_an_hour_from_a_network(serve: Serve, shop: Shop) -> None:
    anna, product = await shop.anonymous(), await product_of(shop)
    path = urlsplit((await make(anna, product))["url"]).path
    http = await serve()
    found = [await press(http, path, **{"user-agent": AGENT.format(number, number)}) for number in range(22)]
    assert found == [303] * 20 + [429] * 2
    assert await press(http, urlsplit((await make(anna, product))["url"]).path) == 303
    assert await press(await serve("192.0.2.9"), path) == 303
    await shop.owner.execute(
        "update private.auth_attempts set window_start = window_start - interval '1 hour' where attempts = 20"
    )
    assert await press(http, path) == 303
    assert await shop.owner.fetchval(CLICKS) == 23
