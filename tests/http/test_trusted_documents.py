"""Ids and hashes in place of documents, over HTTP, in every mode."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from graphql import get_introspection_query

from server import create_app
from settings import DocumentsMode
from tests.conftest import SECRET, Shop
from tests.streams import socket

CATEGORIES = "query Categories($first: Int) { products(first: $first) { nodes { id } } categories { slug } }"
OTHER = "{ categories { name } }"
HASH = hashlib.sha256(OTHER.encode()).hexdigest()
APQ = {"persistedQuery": {"version": 1, "sha256Hash": HASH}}


@contextlib.asynccontextmanager
async def serving(shop: Shop, folder: Path, mode: DocumentsMode) -> AsyncIterator[httpx.AsyncClient]:
    """The shop's database behind a service with a manifest."""
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"abc": CATEGORIES}))
    settings = msgspec.structs.replace(
        shop.services.settings, trusted_documents=str(manifest), trusted_documents_mode=mode
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield http


async def outcome(http: httpx.AsyncClient, **request: Any) -> str | None:
    """The code of the answer's error; None where there is none."""
    accept = {"accept": "application/graphql-response+json"}
    answer = await http.post("/graphql", json=request, headers=accept)
    if "errors" not in answer.json():
        assert answer.status_code == 200
        return None
    assert answer.status_code == 400
    code: str = answer.json()["errors"][0]["extensions"]["code"]
    return code


@pytest.mark.parametrize("mode", DocumentsMode)
async def test_an_id_runs_its_document(shop: Shop, tmp_path: Path, mode: DocumentsMode) -> None:
    expected = await shop.client().ask(CATEGORIES, first=2)
    async with serving(shop, tmp_path, mode) as http:
        for name in ("documentId", "doc_id", "id"):
            answer = await http.post("/graphql", json={name: "abc", "variables": {"first": 2}})
            assert answer.json() == {"data": expected}
        by_get = {"documentId": "abc", "variables": '{"first": 2}'}
        assert (await http.get("/graphql", params=by_get)).json() == {"data": expected}


async def test_only_the_manifest_runs_where_that_is_the_mode(shop: Shop, tmp_path: Path) -> None:
    async with serving(shop, tmp_path, DocumentsMode.ONLY) as http:
        assert await outcome(http, query=CATEGORIES) is None
        for request in (
            {"query": OTHER},
            {"query": get_introspection_query()},
            {"query": "{ __typename }"},
            {"query": OTHER, "documentId": "abc"},
            {"query": OTHER, "extensions": APQ},
            {"query": CATEGORIES + "#"},
            {"documentId": HASH},
            {"extensions": APQ},
        ):
            assert await outcome(http, **request) == "DOCUMENT_NOT_TRUSTED", request
        page = await http.get("/graphql", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (406, "application/json; charset=utf-8")


async def test_other_documents_run_where_the_manifest_is_preferred(shop: Shop, tmp_path: Path) -> None:
    async with serving(shop, tmp_path, DocumentsMode.PREFER) as http:
        assert await outcome(http, query=OTHER) is None
        assert await outcome(http, extensions=APQ) == "PERSISTED_QUERY_NOT_SUPPORTED"
        assert await outcome(http, query=OTHER, extensions=APQ) is None
        assert await outcome(http, extensions=APQ) == "PERSISTED_QUERY_NOT_SUPPORTED"


async def test_a_document_is_registered_by_its_hash(shop: Shop) -> None:
    """What Apollo Client and urql do: the hash, then hash and text, then the hash alone."""
    http = shop.http
    asked = {"extensions": json.dumps(APQ)}
    unknown = await http.get("/graphql", params=asked)
    assert unknown.status_code == 200  # to those who accept application/json
    assert unknown.json()["errors"] == [
        {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    ]
    assert await outcome(http, query=OTHER, extensions=APQ) is None
    assert (await http.get("/graphql", params=asked)).json() == {"data": await shop.client().ask(OTHER)}


async def test_a_wrong_hash_registers_nothing(shop: Shop) -> None:
    assert await outcome(shop.http, query="{ me { id } }", extensions=APQ) == "BAD_USER_INPUT"
    assert await outcome(shop.http, extensions=APQ) == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_mutation_by_its_hash_needs_post(shop: Shop) -> None:
    mutation = "mutation { startSession(input: {}) { sessionId } }"
    named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(mutation.encode()).hexdigest()}}
    assert await outcome(shop.http, query=mutation, extensions=named) is None
    assert (await shop.http.get("/graphql", params={"extensions": json.dumps(named)})).status_code == 405


async def test_a_hash_hides_no_limits(shop: Shop) -> None:
    deep = "{ categories " + "{ parent " * 30 + "{ id }" + "}" * 30 + "}"
    named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(deep.encode()).hexdigest()}}
    assert await outcome(shop.http, query=deep, extensions=named) == "GRAPHQL_VALIDATION_FAILED"
    assert await outcome(shop.http, extensions=named) == "PERSISTED_QUERY_NOT_FOUND"


async def test_only_documents_of_the_manifest_run_over_sockets(shop: Shop, tmp_path: Path) -> None:
    async with serving(shop, tmp_path, DocumentsMode.ONLY) as http:
        app: Any = http._transport.app  # type: ignore[attr-defined]
        async with socket(dataclasses.replace(shop, http=http, services=app.state.services)) as client:
            refused = await client.ask(OTHER)
            assert refused["payload"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"
            client.say("subscribe", id="known", payload={"documentId": "abc"})
            assert (await client.hear())["type"] == "next"
