"""GraphQL over HTTP: methods, media types, bodies, tokens."""

from __future__ import annotations

import codecs
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.conftest import Shop

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
QUERY = "{ me { id } }"


async def post(shop: Shop, body: bytes | Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await shop.http.post("/graphql", content=content, headers={"content-type": JSON, **headers})


def code_of(answer: httpx.Response) -> str:
    body = answer.json()
    assert "data" not in body
    code: str = body["errors"][0]["extensions"]["code"]
    return code


async def test_a_byte_order_mark_before_a_body_is_skipped(shop: Shop) -> None:
    answer = await post(shop, codecs.BOM_UTF8 + b'{"query": "{ __typename }"}')
    assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})


async def test_a_query_by_post(shop: Shop) -> None:
    answer = await post(shop, {"query": QUERY, "variables": None, "operationName": None, "extensions": {"x": 1}})
    assert answer.status_code == 200
    assert answer.json() == {"data": {"me": None}}
    assert answer.headers["content-type"].startswith(JSON)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


async def test_a_query_by_get(shop: Shop) -> None:
    query = "query A($first: Int) { products(first: $first) { nodes { name } } } query B { __typename }"
    parameters = {"query": query, "variables": '{"first": 1}', "operationName": "A", "extensions": ""}
    answer = await shop.http.get("/graphql", params=parameters, headers={"accept": JSON})
    assert answer.status_code == 200
    assert len(answer.json()["data"]["products"]["nodes"]) == 1
    other = await shop.http.get("/graphql", params={"query": query, "operationName": "B"})
    assert other.json() == {"data": {"__typename": "Query"}}


async def test_gets_that_cannot_be(shop: Shop) -> None:
    for parameters in (
        {},
        {"variables": "{}"},
        {"query": QUERY, "variables": "{"},
        {"query": QUERY, "variables": "[1]"},
        {"query": QUERY, "variables": "[" * 10_000},
        {"query": QUERY, "extensions": "1"},
    ):
        answer = await shop.http.get("/graphql", params=parameters, headers={"accept": JSON})
        assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST"), parameters


async def test_a_mutation_by_get_is_refused(shop: Shop) -> None:
    mutation = 'mutation { startSession(input: {landingPage: "/"}) { sessionId } }'
    for accept in (JSON, GRAPHQL_JSON):
        answer = await shop.http.get("/graphql", params={"query": mutation}, headers={"accept": accept})
        assert code_of(answer) == "BAD_REQUEST"
        assert answer.status_code == 405  # as GraphQL over HTTP asks
        assert answer.headers["allow"] == "POST"
    assert await shop.owner.fetchval("select count(*) from public.profiles") == 0


async def test_a_query_beside_a_mutation_may_be_got(shop: Shop) -> None:
    both = "query A { __typename } mutation B { signOut { signedOut } }"
    answer = await shop.http.get("/graphql", params={"query": both, "operationName": "A"})
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_other_methods(shop: Shop) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"):
        answer = await shop.http.request(method, "/graphql")
        assert answer.status_code == 405, method
        assert {"GET", "POST"} <= {name.strip() for name in answer.headers["allow"].split(",")}
    assert (await shop.http.post("/r/x")).status_code == 405
    assert (await shop.http.get("/nothing")).status_code == 404


async def test_only_json_is_read(shop: Shop) -> None:
    body = msgspec.json.encode({"query": QUERY})
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "",
    ):
        answer = await shop.http.post("/graphql", content=body, headers={"content-type": content_type})
        assert answer.status_code == 415, content_type
    assert (await shop.http.post("/graphql", content=body)).status_code == 415
    for content_type in (JSON, "application/json; charset=utf-8", "Application/JSON ;x=y"):
        answer = await shop.http.post("/graphql", content=body, headers={"content-type": content_type})
        assert answer.status_code == 200, content_type


async def test_a_body_has_a_limit(shop: Shop) -> None:
    most = shop.services.settings.max_body_bytes
    start, end = b'{"query":"{ me { id } }","extensions":{"x":"', b'"}}'
    answer = await post(shop, start + b"x" * (most - len(start) - len(end)) + end)
    assert answer.status_code == 200
    answer = await post(shop, start + b"x" * (most - len(start) - len(end) + 1) + end)
    assert (answer.status_code, code_of(answer)) == (413, "BAD_REQUEST")


async def test_bodies_that_are_not_json(shop: Shop) -> None:
    for body in (
        b"",
        b"{",
        b"query",
        b"{'query': '{ me { id } }'}",
        b'{"query": "{ me { id } }"} {}',
        b'{"query": "{ me { id } }", "variables": {"x": NaN}}',
        b'{"query": "{ me { id } }", "variables": {"x": Infinity}}',
        b'{"query": "{ me { id } }\xff"}',
        b'{"query": "{ me { id } }", "variables": {"x": "\\ud800"}}',
        b'{"query": "{ products(search: \\"\\udc00\\") { totalCount } }"}',
        b'{"query": "{ me { id } }", "variables": ' + b'{"x":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        '{"query": "{ me { id } }"}'.encode("utf-16"),
    ):
        answer = await post(shop, body)
        assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST"), body[:60]


async def test_bodies_that_are_no_request(shop: Shop) -> None:
    for body in (
        [],
        [{"query": QUERY}],
        7,
        None,
        "query",
        True,
        {},
        {"query": None},
        {"query": 7},
        {"query": {"a": 1}},
        {"query": QUERY, "variables": []},
        {"query": QUERY, "variables": "x"},
        {"query": QUERY, "variables": 0},
        {"query": QUERY, "operationName": 7},
        {"query": QUERY, "operationName": ["A"]},
        {"query": QUERY, "extensions": []},
        {"query": QUERY, "extensions": "x"},
    ):
        answer = await post(shop, body)
        assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST"), body


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"query": "{ __typename }", "variables": {"prefs": {"a": "\\ud83c"}}}', ("`prefs`", "\\ud83c")),
        (b'{"query": "{ __typename }", "variables": {"a": 1, "b": ["\\udf81\\ud83c"]}}', ("`b`", "\\udf81")),
        (b'{"query": "{ __typename }", "variables": {"a": {"\\uDC00": 1}}}', ("`a`", "\\udc00")),
        (b'{"query": "{ __typename }", "variables": {"prefs": "\xed\xa0\xbc"}}', ("`prefs`", "\\ud83c")),
        (b'{"query": "{ __typename \\ud83c }"}', ("`query`", "\\ud83c")),
        (b'{"query": "{ __typename }", "extensions": {"a": "\\ud83c"}}', ("`extensions`", "\\ud83c")),
    ],
)
async def test_a_lone_surrogate_is_named(shop: Shop, body: bytes, named: tuple[str, str]) -> None:
    answer = await post(shop, body)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")
    message = answer.json()["errors"][0]["message"]
    assert "surrogate" in message and all(each in message for each in named)


async def test_a_lone_surrogate_in_a_query_string_is_named(shop: Shop) -> None:
    parameters = {"query": "{ __typename }", "variables": '{"prefs": "\\ud83c"}'}
    answer = await shop.http.get("/graphql", params=parameters)
    assert answer.status_code == 400
    message = answer.json()["errors"][0]["message"]
    assert "`prefs`" in message and "\\ud83c" in message


@pytest.mark.parametrize("body", [b'{"a": "\\ud83c"', b'"\\ud83c', b'{"query": "\xff"}', "{}".encode("utf-16")])
async def test_invalid_json_is_reported(shop: Shop, body: bytes) -> None:
    assert (await post(shop, body)).json()["errors"][0]["message"] == "The body is not JSON."


async def test_a_hash_of_no_known_document_asks_for_the_document(shop: Shop) -> None:
    answer = await post(shop, {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}})
    assert (answer.status_code, code_of(answer)) == (200, "PERSISTED_QUERY_NOT_FOUND")


async def test_the_media_type_decides_the_status_of_a_document_that_never_ran(shop: Shop) -> None:
    for accept, media_type, refused in (
        (JSON, JSON, 200),
        ("*/*", JSON, 200),
        (GRAPHQL_JSON, GRAPHQL_JSON, 400),
        (f"{GRAPHQL_JSON}, {JSON};q=0.9", GRAPHQL_JSON, 400),
    ):
        for query in ("{", "{ nothing }", "query A { __typename } query B { __typename }"):
            answer = await post(shop, {"query": query}, accept=accept)
            assert answer.status_code == refused, (accept, query)
            assert answer.headers["content-type"].partition(";")[0] == media_type
            assert code_of(answer)
        partial = await post(shop, {"query": "{ me { id } products(first: -1) { totalCount } }"}, accept=accept)
        assert partial.status_code == 200
        assert partial.headers["content-type"].partition(";")[0] == media_type
        assert partial.json()["data"] is None
        assert partial.json()["errors"][0]["path"] == ["products"]


async def test_a_variable_that_does_not_fit(shop: Shop) -> None:
    query = "query ($first: Int!) { products(first: $first) { totalCount } }"
    for variables in ({}, {"first": None}, {"first": "3"}, {"first": 1.5}, {"first": 2**31}, {"first": [1, 2]}):
        answer = await post(shop, {"query": query, "variables": variables}, accept=GRAPHQL_JSON)
        assert (answer.status_code, code_of(answer)) == (400, "BAD_USER_INPUT"), variables
        assert "first" in answer.json()["errors"][0]["message"] or "Int" in answer.json()["errors"][0]["message"]


async def test_an_unknown_field_of_an_input_in_variables(shop: Shop) -> None:
    query = "query ($filter: ProductFilter) { products(filter: $filter) { totalCount } }"
    answer = await post(shop, {"query": query, "variables": {"filter": {"colour": "red"}}}, accept=GRAPHQL_JSON)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_USER_INPUT")
    assert "colour" in answer.json()["errors"][0]["message"]


async def test_which_operation_to_run(shop: Shop) -> None:
    two = "query A { __typename } query B { me { id } }"
    assert (await post(shop, {"query": two, "operationName": "B"})).json() == {"data": {"me": None}}
    for name in (None, "", "C"):
        answer = await post(shop, {"query": two, "operationName": name}, accept=GRAPHQL_JSON)
        assert (answer.status_code, code_of(answer)) == (400, "BAD_USER_INPUT"), name
    one = await post(shop, {"query": "query A { __typename }", "operationName": "B"}, accept=GRAPHQL_JSON)
    assert (one.status_code, code_of(one)) == (400, "BAD_USER_INPUT")


async def test_a_bad_token_is_refused_and_never_anonymous(shop: Shop) -> None:
    good = shop.token(uuid4())
    for header in (
        "Bearer x",
        "Bearer null",
        "Bearer x.y.z",
        "Basic",
        f"Basic {good}",
        good,
        f"Bearer {good}x",
        f"Bearer {good} {good}",
        "Bearer " + "x" * 20_000,
        f"Bearer {shop.token(uuid4(), lifetime=-1)}",
    ):
        answer = await post(shop, {"query": "{ __typename }"}, authorization=header)
        assert (answer.status_code, code_of(answer)) == (401, "UNAUTHENTICATED"), header[:60]
        assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = await post(shop, {"query": "{ __typename }"}, authorization=f"bearer {good}")
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("header", ["", " ", "Bearer", "Bearer ", "bearer  "])
async def test_an_empty_authorization_header_is_anonymous(shop: Shop, header: str) -> None:
    answer = await post(shop, {"query": "{ me { id } }"}, authorization=header)
    assert (answer.status_code, answer.json()) == (200, {"data": {"me": None}})
    start = "mutation { startSession(input: {}) { accessToken } }"
    assert (await post(shop, {"query": start}, authorization=header)).json()["data"]["startSession"]["accessToken"]


async def test_every_answer_has_a_request_id_of_its_own(shop: Shop) -> None:
    answers = [
        await post(shop, {"query": QUERY}),
        await post(shop, {"query": QUERY}),
        await post(shop, b"{"),
        await shop.http.get("/nothing"),
        await shop.http.get("/livez"),
    ]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5
