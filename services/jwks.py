"""Keys that an outside issuer publishes (JWKS): fetched, kept for a while, changed without a restart.

Each key is pinned to the one algorithm that its kind is for, so that no token can choose how it is checked.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from domain.errors import Overloaded

log = structlog.get_logger("aclue.keys")

FETCH_TIMEOUT = 5  # seconds
MAX_SET_BYTES = 256_000
MAX_KEYS = 100
RSA_BITS = range(2048, 8193)  # fewer are weak; more take long

# What is read of each kind of key. A private part (`d`) is published by mistake only, and never looked at.
_KINDS: Mapping[tuple[str, str | None], tuple[str, type[Any], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256", ECAlgorithm, ("kty", "crv", "x", "y")),
    ("RSA", None): ("RS256", RSAAlgorithm, ("kty", "n", "e")),
    ("OKP", "Ed25519"): ("EdDSA", OKPAlgorithm, ("kty", "crv", "x")),
}
ALGORITHMS = tuple(algorithm for algorithm, _, _ in _KINDS.values())


class Unusable(ValueError):
    """A published key that verifies nothing here. The text says why."""


@dataclass(frozen=True)
class Key:
    """A public key and the algorithm it is for. `members` are what it was read from: equal keys have equal ones."""

    kid: str | None
    algorithm: str
    members: tuple[str, ...]
    public: Any = field(repr=False, compare=False)


def read_key(jwk: Any) -> Key:
    """A key of a JWKS. Raises Unusable: symmetric, for something else than signatures, of a kind or strength that is
    not taken, or malformed."""
    if not isinstance(jwk, dict):
        raise Unusable("no object")
    kind: Any = (jwk.get("kty"), jwk.get("crv") if jwk.get("kty") != "RSA" else None)
    if not all(isinstance(part, str | None) for part in kind) or kind not in _KINDS:
        raise Unusable("not of P-256, RSA or Ed25519")
    algorithm, reader, names = _KINDS[kind]
    if jwk.get("alg", algorithm) not in (algorithm, "Ed25519" if algorithm == "EdDSA" else algorithm):
        raise Unusable(f"for another algorithm than {algorithm}")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise Unusable("not for signatures")
    kid = jwk.get("kid")
    members: tuple[Any, ...] = tuple(jwk.get(name) for name in names)
    if not isinstance(kid, str | None) or not all(isinstance(member, str) for member in members):
        raise Unusable("malformed")
    try:
        public = reader.from_jwk(dict(zip(names, members, strict=True)))
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise Unusable("malformed") from None
    if isinstance(public, RSAPublicKey) and public.key_size not in RSA_BITS:
        raise Unusable(f"RSA of {public.key_size} bits")
    return Key(kid, algorithm, members, public)


class KeySet:
    """The usable keys of a JWKS. `unusable` says why the others are not, by their `kid`."""

    def __init__(self, keys: Sequence[Key], unusable: Sequence[tuple[str, str]] = ()) -> None:
        self.keys = tuple(keys)
        self.unusable = tuple(unusable)

    @classmethod
    def read(cls, text: bytes) -> KeySet:
        """Of a JWKS as JSON. Raises ValueError where it is none."""
        try:
            published = msgspec.json.decode(text)["keys"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            raise ValueError("no JWKS") from None
        if not isinstance(published, list) or len(published) > MAX_KEYS:
            raise ValueError(f"no JWKS of {MAX_KEYS} keys or fewer")
        keys, unusable = [], []
        for jwk in published:
            try:
                keys.append(read_key(jwk))
            except Unusable as error:
                unusable.append((str(jwk.get("kid"))[:100] if isinstance(jwk, dict) else "", str(error)))
        return cls(keys, unusable)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names. One that names none is taken where only one key fits; of two keys with one name
        neither is."""
        fits = [key for key in self.keys if key.algorithm == algorithm and kid in (None, key.kid)]
        return fits[0] if len(fits) == 1 else None


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """The keys are where the settings say, or nowhere."""


def fetch(url: str) -> bytes:
    """What an http or https address answers. Raises OSError or ValueError: unreachable, slow, too long, a redirect, any
    status but 200. Blocks."""
    request = Request(url, headers={"accept": "application/json", "user-agent": "aclue"})  # noqa: S310
    if request.type not in ("http", "https"):
        raise ValueError("an address of http or https")
    try:
        answer = build_opener(_NoRedirects).open(request, timeout=FETCH_TIMEOUT)
    except HTTPError as error:
        error.close()
        raise ValueError(f"status {error.code}") from None
    with answer as response:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        deadline = time.monotonic() + FETCH_TIMEOUT
        text = bytearray()
        while chunk := response.read1(64 * 1024):
            text += chunk
            if len(text) > MAX_SET_BYTES:
                raise ValueError(f"more than {MAX_SET_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("too slow")
        return bytes(text)


class PublishedKeys:
    """The keys at an address.

    They count for `lifetime` seconds, and are fetched again in the background after half of it; so a removed key is
    refused after `lifetime` at the latest. A key that is not known leads to fetching them again at once, though not
    sooner than `cooldown` seconds after the last time. While fetching fails, the old keys go on for `grace` seconds
    more. There is never more than one fetch under way; whoever needs its outcome waits for it.
    """

    def __init__(
        self,
        url: str,
        *,
        lifetime: float,
        cooldown: float,
        grace: float,
        fetch: Callable[[str], bytes] = fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._lifetime = lifetime
        self._cooldown = cooldown
        self._grace = grace
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._is_failing = False
        self._fetching: asyncio.Task[None] | None = None

    async def current(self) -> KeySet:
        """The keys that count now: the same object until they change. Raises Overloaded where none can be had."""
        age = self._clock() - self._fetched_at
        if age >= self._lifetime / 2:
            self._fetch_again()
        if age >= self._lifetime:
            most = self._lifetime + self._grace
            if not self._is_failing or age >= most:
                await self._fetched()
            if self._keys is None or self._clock() - self._fetched_at >= most:
                raise Overloaded("Access tokens cannot be checked now.", retry_after=math.ceil(self._cooldown))
        assert self._keys is not None
        return self._keys

    async def find(self, kid: str | None, algorithm: str) -> tuple[Key | None, KeySet]:
        """The key that a token names, if there is one, and the set that was looked at. Raises as `current` does."""
        keys = await self.current()
        key = keys.find(kid, algorithm)
        if key is None and kid is not None:
            self._fetch_again()
            await self._fetched()
            keys = await self.current()
            key = keys.find(kid, algorithm)
        return key, keys

    def _fetch_again(self) -> None:
        """Starts to, unless it goes on already or was done a moment ago."""
        if self._fetching is None and self._clock() - self._tried_at >= self._cooldown:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._take_up())

    async def _fetched(self) -> None:
        """Once the fetch under way is done, if there is one. A thread cannot be ended: who waits gives up by itself."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=FETCH_TIMEOUT)

    async def _take_up(self) -> None:
        try:
            keys = KeySet.read(await asyncio.to_thread(self._fetch, self._url))
        except Exception as error:  # whatever a foreign server may send
            self._is_failing = True
            why = f"{type(error).__name__}: {error}"[:200]
            log.warning("the keys of the outside issuer could not be fetched", why=why)
        else:
            self._is_failing = False
            self._fetched_at = self._tried_at
            if self._keys is None or keys.keys != self._keys.keys:
                self._keys = keys
                log.info("keys of the outside issuer", kids=[key.kid for key in keys.keys], unusable=keys.unusable)
        finally:
            self._fetching = None
