"""Tokens of an external issuer, checked against the keys it publishes on a real server."""

from __future__ import annotations

import asyncio
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
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from db.embedded import Dsns
from server import create_app
from settings import Settings
from tests.conftest import SECRET
from tests.security.forging import encoded, signed
from tests.security.issuer import ISSUER, Issuer

LIFETIME = 2
QUESTION = {"query": "{ categories { slug } me { id } }"}


@pytest.fixture
async def http(
    dsns: Dsns, settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The service with this issuer's keys beside its own secret."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    configured = msgspec.structs.replace(
        settings, jwt_jwks_url=issuer.url, jwt_issuer=ISSUER, jwks_lifetime=LIFETIME, jwks_cooldown=1
    )
    app = create_app(configured, dsns.api, SECRET, background=())
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
async def test_claims_of_an_external_token_are_checked_alike(
    http: httpx.AsyncClient, issuer: Issuer, change: dict[str, Any]
) -> None:
    assert await status(http, issuer.token(**change)) == 401
    assert await status(http, issuer.token()) == 200


async def test_attacks_on_the_choice_of_the_key(http: httpx.AsyncClient, issuer: Issuer) -> None:
    thief = ec.generate_private_key(ec.SECP256R1())
    own = ECAlgorithm.to_jwk(thief.public_key(), as_dict=True)
    payload = jwt.decode(issuer.token(), options={"verify_signature": False})
    headers: list[dict[str, Any]] = [
        *({"kid": kid} for kid in ("../../dev/null", "' or 1=1 --", "\0", "", "*", "the ES256 key ", "k" * 256)),
        *({"kid": "the ES256 key", name: issuer.url} for name in ("jku", "x5u")),
        {"kid": "the ES256 key", "jwk": own},
        {"jwk": own},
        {},
    ]
    tokens = [jwt.encode(payload, thief, "ES256", headers=header) for header in headers]
    assert [await status(http, token) for token in tokens] == [401] * len(tokens)
    assert len(issuer.fetches) <= 2  # unknown names cause one fetch per cooldown


async def test_a_token_without_a_key_id_is_refused_where_several_keys_fit(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    payload = jwt.decode(issuer.token(), options={"verify_signature": False})
    nameless = jwt.encode(payload, issuer.ec_key, "ES256")
    assert await status(http, nameless) == 200
    other = ec.generate_private_key(ec.SECP256R1())
    issuer.jwks["keys"].append({**ECAlgorithm.to_jwk(other.public_key(), as_dict=True), "kid": "another"})
    await asyncio.sleep(LIFETIME)
    assert await status(http, nameless) == 401
    assert await status(http, issuer.token()) == 200


async def test_a_new_key_is_taken_up_while_the_service_runs(http: httpx.AsyncClient, issuer: Issuer) -> None:
    assert await status(http, issuer.token()) == 200
    key = ed25519.Ed25519PrivateKey.generate()
    issuer.jwks["keys"].append({**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "new", "use": "sig"})
    await asyncio.sleep(1)  # the cooldown
    assert await status(http, issuer.token("EdDSA", kid="new", key=key)) == 200


async def test_a_removed_key_is_refused_even_for_a_token_that_was_seen_before(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    seen, other = issuer.token("ES256"), issuer.token("RS256")
    assert [await status(http, token) for token in (seen, other)] == [200, 200]
    del issuer.jwks["keys"][0]
    await asyncio.sleep(LIFETIME)
    assert [await status(http, token) for token in (seen, other)] == [401, 200]


@pytest.mark.drill
async def test_old_keys_go_on_while_the_issuer_fails(http: httpx.AsyncClient, issuer: Issuer) -> None:
    seen = issuer.token()
    assert await status(http, seen) == 200
    issuer.failing.set()
    await asyncio.sleep(LIFETIME)
    assert await status(http, seen) == 200
    assert await status(http, issuer.token()) == 200
    assert 503 in issuer.fetches


async def test_without_any_keys_an_external_token_has_to_wait_and_others_do_not(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.failing.set()
    answer = await http.post("/graphql", json=QUESTION, headers={"authorization": f"Bearer {issuer.token()}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 1}
    assert (await http.post("/graphql", json=QUESTION)).status_code == 200
