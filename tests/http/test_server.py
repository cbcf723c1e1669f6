"""What is served beside GraphQL: the page to explore with, health, and the way to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest
import structlog

import server
from domain import affiliate
from server import create_app
from tests.conftest import SECRET, Shop
from tests.streams import socket

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like web/ in which nothing is built."""
    folder = tmp_path / "web"
    folder.mkdir()
    for page in ("graphiql.html", "graphiql-missing.html"):
        (folder / page).write_text((server.WEB / page).read_text())
    monkeypatch.setattr(server, "WEB", folder)
    return folder


def directives(policy: str) -> dict[str, list[str]]:
    parts = [part.split() for part in policy.split(";") if part.strip()]
    return {name: sources for name, *sources in parts}


async def test_a_browser_gets_graphiql_where_it_is_built(shop: Shop, web: Path) -> None:
    (web / "dist").mkdir()
    (web / "dist" / "graphiql.js").write_text("")
    answer = await shop.http.get("/graphql", headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text == (web / "graphiql.html").read_text()
    assert "/graphiql/graphiql.js" in answer.text


async def test_a_browser_gets_an_explanation_where_it_is_not(shop: Shop, web: Path) -> None:
    answer = await shop.http.get("/graphql", headers=HTML)
    assert answer.status_code == 200
    assert answer.text == (web / "graphiql-missing.html").read_text()
    assert "make web" in answer.text
    assert "<script" not in answer.text


async def test_the_page_loads_nothing_from_elsewhere(shop: Shop, web: Path) -> None:
    for is_built in (False, True):
        if is_built:
            (web / "dist").mkdir()
            (web / "dist" / "graphiql.js").write_text("")
        answer = await shop.http.get("/graphql", headers=HTML)
        policy = directives(answer.headers["content-security-policy"])
        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == ["'self'"]
        assert policy["connect-src"] == ["'self'"]
        assert policy["frame-ancestors"] == ["'none'"]
        assert not any("http" in source for sources in policy.values() for source in sources)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'src="http' not in answer.text
        assert 'src="//' not in answer.text


@pytest.fixture
async def closed(shop: Shop, web: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The service as in production, where the schema does not describe itself; GraphiQL is built."""
    (web / "dist").mkdir()
    (web / "dist" / "graphiql.js").write_text("")
    settings = msgspec.structs.replace(shop.services.settings, introspection=False)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


@pytest.mark.parametrize(("accept", "status"), [(HTML["accept"], 400), ("text/html", 406)])
async def test_without_introspection_there_is_no_page(closed: httpx.AsyncClient, accept: str, status: int) -> None:
    answer = await closed.get("/graphql", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json; charset=utf-8")
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


@pytest.mark.parametrize("accept", [HTML["accept"], "text/html"])
async def test_without_it_a_query_in_the_address_is_answered_all_the_same(
    closed: httpx.AsyncClient, accept: str
) -> None:
    answer = await closed.get("/graphql", params={"query": "{ __typename }"}, headers={"accept": accept})
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("path", ["/", "/graphiql", "/graphiql/", "/graphiql/graphiql.js"])
async def test_without_it_nothing_of_the_page_is_served(closed: httpx.AsyncClient, path: str) -> None:
    assert (await closed.get(path, headers=HTML)).status_code == 404


LINKED = {"query": "query ($n: Int) { products(first: $n) { nodes { id } } }", "variables": '{"n":1}'}


@pytest.mark.parametrize("params", [{"utm_source": "mail"}, LINKED, {"query": "{"}], ids=["campaign", "query", "half"])
@pytest.mark.parametrize("accept", [HTML["accept"], "text/html", "text/html,*/*;q=0.8", "text/html, */*"])
async def test_a_browser_gets_the_page_whatever_the_address_asks(
    shop: Shop, params: dict[str, str], accept: str
) -> None:
    answer = await shop.http.get("/graphql", params=params, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["vary"] == "accept"  # caches keep the answer in JSON apart


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/html;q=0.9", "*/*, text/html;q=0"]
)
async def test_others_get_the_answer(shop: Shop, accept: str) -> None:
    answer = await shop.http.get("/graphql", params=LINKED, headers={"accept": accept})
    assert len(answer.json()["data"]["products"]["nodes"]) == 1


async def test_a_slash_at_the_end_changes_nothing(shop: Shop) -> None:
    asked = {"query": "{ __typename }"}
    answers = [await shop.http.post("/graphql/", json=asked), await shop.http.get("/graphql/", params=asked)]
    assert [answer.json() for answer in answers] == [{"data": {"__typename": "Query"}}] * 2
    assert (await shop.http.get("/graphql/", headers=HTML)).headers["content-type"].startswith("text/html")
    assert (await shop.http.get("/graphql//", headers=HTML)).status_code == 404
    async with socket(shop, path="/graphql/") as client:
        assert client.is_open


@pytest.fixture
async def prefixed(shop: Shop, web: Path) -> AsyncIterator[Shop]:
    """The service under a path of a host that it shares; GraphiQL is built."""
    (web / "dist").mkdir()
    (web / "dist" / "graphiql.js").write_text("")
    settings = msgspec.structs.replace(shop.services.settings, public_url="https://api.example/gifts/")
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield replace(shop, http=client, services=app.state.services)


@pytest.mark.parametrize("passed", ["", "/gifts"], ids=["the proxy strips it", "the proxy passes it on"])
async def test_everything_works_under_the_path_of_public_url(prefixed: Shop, passed: str) -> None:
    http = prefixed.http
    page = await http.get(f"{passed}/graphql", headers=HTML)
    assert 'src="/gifts/graphiql/graphiql.js"' in page.text
    assert 'href="/gifts/graphiql/graphiql.css"' in page.text
    assert '"/graphiql/' not in page.text
    assert (await http.get(f"{passed}/graphiql/graphiql.js")).status_code == 200
    assert (await http.get(f"{passed}/")).headers["location"] == "/gifts/graphql"
    assert (await http.get(f"{passed}/readyz")).text == "ready"
    assert (await http.post(f"{passed}/graphql", json={"query": "{ __typename }"})).status_code == 200
    async with socket(prefixed, path=f"{passed}/graphql/") as client:
        assert client.is_open


async def test_links_under_it_are_followed(prefixed: Shop) -> None:
    anna = await prefixed.anonymous()
    (product, *_) = await anna.products()
    asked = "createAffiliateClick(input: {productId: $id}) { click { redirectUrl } userErrors { code } }"
    url = (await anna.do(f"mutation ($id: ID!) {{ {asked} }}", id=product["id"]))["click"]["redirectUrl"]
    assert url.startswith("https://api.example/gifts/r/")
    assert (await prefixed.http.get(url.removeprefix("https://api.example"))).status_code == 302


async def test_only_the_whole_path_is_one(prefixed: Shop) -> None:
    assert (await prefixed.http.get("/gifts")).headers["location"] == "/gifts/graphql"
    for path in ("/giftsgraphql", "/gift/graphql", "/gifts/gifts/graphql"):
        assert (await prefixed.http.post(path, json={"query": "{ __typename }"})).status_code == 404, path


async def test_the_files_of_the_page_stay_within_their_folder(shop: Shop) -> None:
    for path in (
        "/graphiql/../server.py",
        "/graphiql/%2e%2e/server.py",
        "/graphiql/..%2f..%2fsettings.py",
        "/graphiql/x",
    ):
        assert (await shop.http.get(path)).status_code == 404, path


async def test_the_front_door_leads_to_the_page(shop: Shop) -> None:
    answer = await shop.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/graphql")


async def test_alive_and_ready(shop: Shop) -> None:
    for path in ("/livez", "/readyz"):
        answer = await shop.http.get(path)
        assert answer.status_code == 200, path


@pytest.mark.drill
async def test_not_ready_while_the_database_is_gone_and_ready_again_after(shop: Shop) -> None:
    assert shop.dsns.superuser
    name = await shop.owner.fetchval("select current_database()")
    superuser = await asyncpg.connect(shop.dsns.superuser.replace(f"/{name}?", "/postgres?"))
    try:
        await superuser.execute(f"alter database {name} allow_connections false")
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = 'aclue_api'", name
        )
        with structlog.testing.capture_logs():
            async with asyncio.timeout(30):
                assert (await shop.http.get("/readyz")).status_code == 503
            assert (await shop.http.get("/livez")).status_code == 200
            answer = await shop.client().post("{ retailers { id } }")
        assert answer.json()["errors"][0]["extensions"]["code"] in {"OVERLOADED", "INTERNAL_SERVER_ERROR"}
        assert name not in answer.text
        await superuser.execute(f"alter database {name} allow_connections true")
        for _ in range(50):  # PgBouncer itself tries again once a second
            if (await shop.http.get("/readyz")).status_code == 200:
                break
            await asyncio.sleep(0.1)
        assert len((await shop.client().ask("{ retailers { id } }"))["retailers"]) == 3
    finally:
        await superuser.close()


async def test_asking_often_whether_it_is_ready_costs_one_look_a_second(shop: Shop) -> None:
    looks = "select xact_commit from pg_stat_database where datname = current_database()"
    await shop.owner.execute("select pg_stat_force_next_flush()")
    before = await shop.owner.fetchval(looks)
    answers = await asyncio.gather(*(shop.http.get("/readyz") for _ in range(200)))
    assert {answer.text for answer in answers} == {"ready"}
    await shop.owner.execute("select pg_stat_clear_snapshot()")
    assert await shop.owner.fetchval(looks) - before < 50


async def test_not_ready_before_the_tables_are_there(shop: Shop) -> None:
    await shop.owner.execute("alter table public.categories rename to categories_gone")
    with structlog.testing.capture_logs():
        answer = await shop.http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready")


@pytest.mark.drill
async def test_a_link_followed_while_the_database_is_gone_is_answered_in_form(shop: Shop) -> None:
    link = f"/r/{affiliate.encode_token(uuid4())}"
    assert (await shop.http.get(link)).status_code == 404
    await shop.services.database.close()
    answer = await shop.http.get(link)
    assert (answer.status_code, answer.text) == (503, "Try again shortly.")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_fault_of_ours_outside_of_graphql_has_a_request_id_and_tells_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.affiliate_clicks._follow", None)
    with structlog.testing.capture_logs() as logs:
        answer = await shop.http.get(f"/r/{affiliate.encode_token(uuid4())}")
    assert (answer.status_code, answer.text) == (500, "Something went wrong on our side.")
    assert answer.headers["x-request-id"] == logs[0]["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_tracked_link_is_got_and_nothing_else(shop: Shop, method: str) -> None:
    answer = await shop.http.request(method, "/r/x")
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
