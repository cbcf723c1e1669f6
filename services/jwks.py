"""Keys that an external issuer publishes (JWKS): fetched, cached, and rotated without a restart.

Each key is pinned to a single algorithm by its type, so that a token cannot choose how it is verified.
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

FETCH_TIMEOUT_SECONDS = 5
MAX_SET_BYTES = 256_000
MAX_KEYS = 100
RSA_BITS = range(2048, 8193)  # shorter keys are weak, longer ones slow

# The members that are read of each type of key. A private part (`d`), published by mistake, is never read.
_KINDS: Mapping[tuple[str, str | None], tuple[str, type[Any], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256", ECAlgorithm, ("kty", "crv", "x", "y")),
    ("RSA", None): ("RS256", RSAAlgorithm, ("kty", "n", "e")),
    ("OKP", "Ed25519"): ("EdDSA", OKPAlgorithm, ("kty", "crv", "x")),
}
ALGORITHMS = tuple(algorithm for algorithm, _, _ in _KINDS.values())


class Unusable(ValueError):
    """A published key that cannot be used for verification; the message says why."""


@dataclass(frozen=True)
class JwksKey:
    """A public key and its algorithm. `members` are the JWK members it was read from; equal keys have equal ones."""

    kid: str | None
    algorithm: str
    members: tuple[str, ...]
    public: Any = field(repr=False, compare=False)


def read_key(jwk: Any) -> JwksKey:
    """Parses a key of a JWKS. Raises Unusable for a key that is symmetric, not for signatures, of an unsupported type
    or strength, or malformed."""
    if not isinstance(jwk, dict):
        raise Unusable("not an object")
    kind: Any = (jwk.get("kty"), jwk.get("crv") if jwk.get("kty") != "RSA" else None)
    if not all(isinstance(part, str | None) for part in kind) or kind not in _KINDS:
        raise Unusable("not of P-256, RSA or Ed25519")
    algorithm, reader, names = _KINDS[kind]
    if jwk.get("alg", algorithm) not in (algorithm, "Ed25519" if algorithm == "EdDSA" else algorithm):
        raise Unusable(f"for an algorithm other than {algorithm}")
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
    return JwksKey(kid, algorithm, members, public)


class KeySet:
    """The usable keys of a JWKS. `unusable` lists the others by `kid`, with the reason."""

    def __init__(self, keys: Sequence[JwksKey], unusable: Sequence[tuple[str, str]] = ()) -> None:
        self.keys = tuple(keys)
        self.unusable = tuple(unusable)

    @classmethod
    def read(cls, text: bytes) -> KeySet:
        """Parses a JWKS. Raises ValueError if it is none."""
        try:
            published = msgspec.json.decode(text)["keys"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            raise ValueError("not a JWKS") from None
        if not isinstance(published, list) or len(published) > MAX_KEYS:
            raise ValueError(f"not a JWKS of at most {MAX_KEYS} keys")
        keys, unusable = [], []
        for jwk in published:
            try:
                keys.append(read_key(jwk))
            except Unusable as error:
                unusable.append((str(jwk.get("kid"))[:100] if isinstance(jwk, dict) else "", str(error)))
        return cls(keys, unusable)

    def find(self, kid: str | None, algorithm: str) -> JwksKey | None:
        """The key that a token names. A token without `kid` is accepted if exactly one key fits; of two keys with the
        same `kid`, neither is used."""
        fits = [key for key in self.keys if key.algorithm == algorithm and kid in (None, key.kid)]
        return fits[0] if len(fits) == 1 else None


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Only the configured URL is trusted."""


def fetch(url: str) -> bytes:
    """Fetches an http or https URL; blocks. Raises OSError or ValueError if it is unreachable, slow, too large, a
    redirect, or answers with any status but 200."""
    request = Request(url, headers={"accept": "application/json", "user-agent": "aclue"})  # noqa: S310
    if request.type not in ("http", "https"):
        raise ValueError("not an http or https URL")
    try:
        answer = build_opener(_NoRedirects).open(request, timeout=FETCH_TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        raise ValueError(f"status {error.code}") from None
    with answer as response:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
        text = bytearray()
        while chunk := response.read1(64 * 1024):
            text += chunk
            if len(text) > MAX_SET_BYTES:
                raise ValueError(f"more than {MAX_SET_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("too slow")
        return bytes(text)


class PublishedKeys:
    """The keys at a URL.

    They are valid for `lifetime` seconds and refreshed in the background after half of that, so a removed key is
    refused after `lifetime` at the latest. An unknown `kid` triggers a fetch at once, but at most one per `cooldown`
    seconds. While fetching fails, the old keys stay valid for another `grace` seconds. There is at most one fetch in
    flight, which all callers share.
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
        """The current keys: the same object until they change. Raises Overloaded if they are unavailable."""
        age = self._clock() - self._fetched_at
        if age >= self._lifetime / 2:
            self._fetch_again()
        if age >= self._lifetime:
            limit = self._lifetime + self._grace
            if not self._is_failing or age >= limit:
                await self._fetched()
            if self._keys is None or self._clock() - self._fetched_at >= limit:
                raise Overloaded("Access tokens cannot be verified now.", retry_after=math.ceil(self._cooldown))
        assert self._keys is not None
        return self._keys

    async def find(self, kid: str | None, algorithm: str) -> tuple[JwksKey | None, KeySet]:
        """The key that a token names, if any, and the set that was searched. Raises what `current` raises."""
        keys = await self.current()
        key = keys.find(kid, algorithm)
        if key is None and kid is not None:
            self._fetch_again()
            await self._fetched()
            keys = await self.current()
            key = keys.find(kid, algorithm)
        return key, keys

    def _fetch_again(self) -> None:
        """Starts a fetch, unless one is in flight or the last one was less than `cooldown` ago."""
        if self._fetching is None and self._clock() - self._tried_at >= self._cooldown:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._take_up())

    async def _fetched(self) -> None:
        """Waits for the fetch in flight, if any. A thread cannot be cancelled, so the wait has a timeout of its own."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=FETCH_TIMEOUT_SECONDS)

    async def _take_up(self) -> None:
        try:
            keys = KeySet.read(await asyncio.to_thread(self._fetch, self._url))
        except Exception as error:  # an external server may send anything
            self._is_failing = True
            why = f"{type(error).__name__}: {error}"[:200]
            log.warning("keys of the external issuer could not be fetched", why=why)
        else:
            self._is_failing = False
            self._fetched_at = self._tried_at
            if self._keys is None or keys.keys != self._keys.keys:
                self._keys = keys
                log.info("keys of the external issuer", kids=[key.kid for key in keys.keys], unusable=keys.unusable)
        finally:
            self._fetching = None
