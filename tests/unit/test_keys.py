"""Published keys: which of them count, and for how long."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from domain.errors import Overloaded
from services.jwks import MAX_SET_BYTES, KeySet, PublishedKeys, Unusable, fetch, read_key

EC = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
RSA_PRIVATE = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True)
RSA = {name: RSA_PRIVATE[name] for name in ("kty", "n", "e")}
ED = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
OLD, NEW = {**EC, "kid": "old"}, {**ED, "kid": "new"}


@pytest.mark.parametrize(
    ("jwk", "algorithm"), [(EC, "ES256"), (RSA, "RS256"), (ED, "EdDSA")], ids=["P-256", "RSA", "Ed25519"]
)
def test_a_key_is_for_the_algorithm_of_its_kind(jwk: dict[str, Any], algorithm: str) -> None:
    bare = {name: value for name, value in jwk.items() if name != "key_ops"}
    assert read_key(bare).algorithm == algorithm
    assert read_key({**bare, "alg": algorithm, "use": "sig", "key_ops": ["verify"]}).algorithm == algorithm


WEAK = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
UNUSABLE: dict[str, Any] = {
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
    "RSA of 1024 bits": WEAK,
    "RSA for PS256": {**RSA, "alg": "PS256"},
    "RSA for HS256": {**RSA, "alg": "HS256"},
    "to encrypt": {**EC, "use": "enc"},
    "to sign": {**EC, "key_ops": ["sign"]},
    "operations that are no list": {**EC, "key_ops": "verify"},
    "another curve": {**EC, "crv": "P-384"},
    "no curve": {"kty": "EC", "x": EC["x"], "y": EC["y"]},
    "a curve that is a list": {**EC, "crv": ["P-256"]},
    "to agree on keys": {**ED, "crv": "X25519"},
    "not on its curve": {**EC, "x": EC["y"], "y": EC["x"]},
    "no kind": {"kid": "1"},
    "a kid that is a number": {**EC, "kid": 1},
    "a member that is a number": {**RSA, "n": 5},
    "no base64": {**EC, "x": "???"},
    "a text": "key",
    "null": None,
}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=list(UNUSABLE))
def test_other_keys_are_unusable(jwk: Any) -> None:
    with pytest.raises(Unusable):
        read_key(jwk)


def test_the_private_part_of_a_key_is_not_looked_at() -> None:
    assert read_key(RSA_PRIVATE if "key_ops" not in RSA_PRIVATE else {**RSA_PRIVATE, "key_ops": ["verify"]}) == (
        read_key(RSA)
    )


def text(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_unusable_keys_leave_the_others() -> None:
    keys = KeySet.read(text(OLD, *UNUSABLE.values(), NEW))
    assert [key.kid for key in keys.keys] == ["old", "new"]
    assert len(keys.unusable) == len(UNUSABLE)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"keys": 5}', b"<html>", b"\xff", b"[" * 100_000, text(*[EC] * 101)], ids=len
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        KeySet.read(body)


def test_a_token_without_a_key_id_is_taken_where_one_key_fits() -> None:
    assert KeySet.read(text(OLD, NEW)).find(None, "ES256") is not None
    assert KeySet.read(text(OLD, {**EC, "kid": "other"})).find(None, "ES256") is None


def test_of_two_keys_of_one_name_neither_is_taken() -> None:
    keys = KeySet.read(text(OLD, {**OLD, "x": EC["x"]}, {**RSA, "kid": "old"}))
    assert keys.find("old", "ES256") is None
    assert keys.find("old", "RS256") is not None


class World:
    """An issuer, and a clock that goes when told to."""

    def __init__(self, *keys: Any) -> None:
        self.keys: tuple[Any, ...] = keys
        self.fails = False
        self.fetches = 0
        self.now = 1000.0
        self.gate = threading.Event()
        self.gate.set()
        self.published = PublishedKeys(
            "", lifetime=600, cooldown=10, grace=3600, fetch=self._fetch, clock=lambda: self.now
        )

    def _fetch(self, url: str) -> bytes:
        self.fetches += 1
        self.gate.wait(10)
        if self.fails:
            raise OSError("down")
        return text(*self.keys)

    async def finds(self, kid: str, algorithm: str = "ES256") -> bool:
        return (await self.published.find(kid, algorithm))[0] is not None

    async def settle(self) -> None:
        """Until nothing is being fetched."""
        if self.published._fetching:
            await self.published._fetching


async def test_keys_are_fetched_once_for_many_requests() -> None:
    world = World(OLD)
    assert all(await asyncio.gather(*[world.finds("old") for _ in range(50)]))
    assert world.fetches == 1


async def test_an_unknown_key_is_looked_for_once_per_cooldown() -> None:
    world = World(OLD)
    assert await world.finds("old")
    world.now += 11
    assert not any(await asyncio.gather(*[world.finds(f"kid {number}") for number in range(50)]))
    assert world.fetches == 2
    world.now += 9
    assert not await world.finds("another")
    assert world.fetches == 2
    world.now += 2
    assert not await world.finds("another")
    assert world.fetches == 3


async def test_a_new_key_is_taken_up() -> None:
    world = World(OLD)
    assert await world.finds("old")
    world.keys = (OLD, NEW)
    world.now += 11
    assert await world.finds("new", "EdDSA")
    assert await world.finds("old")


async def test_a_token_that_names_no_key_causes_no_fetch() -> None:
    world = World(OLD, {**EC, "kid": "other"})
    assert await world.finds("old")
    world.now += 11
    assert (await world.published.find(None, "ES256"))[0] is None
    assert world.fetches == 1


async def test_a_removed_key_is_refused_after_the_lifetime() -> None:
    world = World(OLD, NEW)
    assert await world.finds("old")
    world.keys = (NEW,)
    world.now += 299
    assert await world.finds("old")
    world.now += 301
    assert not await world.finds("old")


async def test_keys_are_fetched_again_in_the_background_before_they_are_too_old() -> None:
    world = World(OLD)
    assert await world.finds("old")
    world.gate.clear()
    world.now += 301
    assert await world.finds("old")  # though nothing was answered yet
    world.gate.set()
    await world.settle()
    assert world.fetches == 2
    world.now += 299
    assert await world.finds("old")
    assert world.fetches == 2


async def test_the_same_keys_are_the_same_object() -> None:
    world = World(OLD)
    before = await world.published.current()
    world.now += 601
    assert await world.published.current() is before
    world.keys = (OLD, NEW)
    world.now += 601
    assert await world.published.current() is not before


async def test_old_keys_go_on_for_a_while_when_fetching_fails() -> None:
    world = World(OLD)
    assert await world.finds("old")
    world.fails = True
    world.now += 600 + 3599
    assert await world.finds("old")
    world.now += 2
    with pytest.raises(Overloaded):
        await world.finds("old")
    world.fails = False
    world.now += 11
    assert await world.finds("old")


async def test_who_fails_is_not_asked_again_at_once() -> None:
    world = World()
    world.fails = True
    for _ in range(5):
        with pytest.raises(Overloaded) as raised:
            await world.finds("old")
    assert (world.fetches, raised.value.retry_after) == (1, 10)


async def test_an_issuer_may_take_all_keys_back() -> None:
    world = World(OLD)
    assert await world.finds("old")
    world.keys = ()
    world.now += 601
    assert not await world.finds("old")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/moved": 302, "/error": 500, "/empty": 204}.get(self.path, 200)
        body = b"x" * (MAX_SET_BYTES + 1) if self.path == "/long" else b"here"
        self.send_response(status)
        self.send_header("location", "/here")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_an_address_answers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert fetch(f"{address}/here") == b"here"


@pytest.mark.parametrize("path", ["/moved", "/error", "/empty", "/long"])
def test_other_answers_are_none(address: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ValueError, match=r"status|bytes"):
        fetch(address + path)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/keys", "data:,keys"])
def test_only_the_web_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        fetch(url)
