"""Tokens of an outside issuer, checked against the keys it publishes on a real server."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from db.embedded import Dsns
from server import create_app
from settings import Settings
from tests.conftest import SECRET
from tests.security.forging import encoded, signed
from tests.security.issuer import ISSUER, Issuer

QUESTION = {"query": "{ categories { slug } me { id } }"}


@pytest.fixture
async def http(
    dsns: Dsns, settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The service with this issuer's keys beside its own secret."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    app = create_app(msgspec.structs.replace(settings, jwt_jwks_url=issuer.url, jwt_issuer=ISSUER), dsns.api, SECRET)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


async def status(http: httpx.AsyncClient, token: str) -> int:
    answer = await http.post("/graphql", json=QUESTION, headers={"authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    else:
        assert "errors" not in answer.json()
    return answer.status_code


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_tokens_signed_with_a_published_key_are_taken(
    http: httpx.AsyncClient, issuer: Issuer, algorithm: str
) -> None:
    assert await status(http, issuer.token(algorithm)) == 200


async def test_our_own_tokens_are_still_taken(http: httpx.AsyncClient) -> None:
    payload = {"aud": "authenticated", "sub": str(uuid4()), "role": "authenticated", "exp": time.time() + 600}
    assert await status(http, signed({"alg": "HS256"}, {**payload, "iss": "aclue"})) == 200
    assert await status(http, signed({"alg": "HS256"}, {**payload, "iss": "aclue"}, "x" * 40)) == 401


async def test_a_session_started_here_is_still_ours(http: httpx.AsyncClient) -> None:
    start = {"query": "mutation { startSession(input: {}) { accessToken } }"}
    token = (await http.post("/graphql", json=start)).json()["data"]["startSession"]["accessToken"]
    assert await status(http, token) == 200
    assert jwt.decode(token, options={"verify_signature": False})["iss"] == "aclue"


async def test_a_public_key_is_no_secret(http: httpx.AsyncClient, issuer: Issuer) -> None:
    """RS256 taken for HS256: the key that everybody knows would sign."""
    payload = jwt.decode(issuer.token(), options={"verify_signature": False})
    taken = []
    for secret in issuer.published():
        for kid in ("the RS256 key", "the ES256 key"):
            text = f"{encoded({'alg': 'HS256', 'kid': kid})}.{encoded(payload)}"
            if await status(http, f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}") != 401:
                taken.append(secret)
    assert taken == []
    assert await status(http, issuer.token("RS256")) == 200


async def test_a_key_of_one_algorithm_does_not_serve_another(http: httpx.AsyncClient, issuer: Issuer) -> None:
    assert await status(http, issuer.token("RS256", kid="the ES256 key")) == 401
    assert await status(http, issuer.token("ES256", kid="the RS256 key")) == 401
    for algorithm in ("RS384", "RS512", "PS256"):
        assert await status(http, issuer.token(algorithm, kid="the RS256 key", key=issuer.rsa_key)) == 401


async def test_keys_that_are_not_published_are_refused(http: httpx.AsyncClient, issuer: Issuer) -> None:
    thief = ec.generate_private_key(ec.SECP256R1())
    assert await status(http, issuer.token("ES256", key=thief)) == 401
    assert await status(http, issuer.token("ES256", kid="the thief's key", key=thief)) == 401
    assert await status(http, issuer.token("ES256", kid=issuer.url, key=thief)) == 401
    assert await status(http, issuer.token("ES256")) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "aclue"},
        {"iss": "https://thief.example"},
        {"aud": "another"},
        {"exp": 1},
        {"role": "postgres"},
        {"sub": "anna"},
    ],
    ids=str,
)
async def test_claims_of_an_outside_token_are_checked_alike(
    http: httpx.AsyncClient, issuer: Issuer, change: dict[str, Any]
) -> None:
    assert await status(http, issuer.token(**change)) == 401
    assert await status(http, issuer.token()) == 200
