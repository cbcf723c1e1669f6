"""Access tokens (JWT): ours are signed with JWT_SECRET, those of an external issuer with keys that it publishes.

The algorithm is pinned per key: HS256 with our secret only, the asymmetric ones with published keys only, so a public
key can never be used as an HMAC secret. References to keys in a token (jku, x5u, jwk, x5c) are ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from typing import Any
from uuid import UUID

import jwt

from db.claims import ROLES, Claims
from domain.errors import Unauthenticated
from domain.texts import has_escaped_nul
from services.jwks import ALGORITHMS, KeySet, PublishedKeys
from settings import Settings

OWN_ISSUER = "aclue"
MAX_TOKEN_LENGTH = 8192
MAX_KID_LENGTH = 256
CACHE_CHARACTERS = 10_000_000  # characters of all cached tokens together; their claims take about three times that
LEEWAY_SECONDS = 30  # by which an issuer's clock may be ahead of ours
LATEST = 253_402_300_799  # the end of the year 9999, as for datetime

_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_JWS = jwt.PyJWS(algorithms=["HS256", *ALGORITHMS])
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
# Header members that change how a token is to be read. None is supported, so they are refused, not ignored.
_UNSUPPORTED = frozenset({"crit", "b64", "zip", "enc", "cty"})


class Tokens:
    """Issues and verifies tokens. Verified ones are cached by their hash, with the key set of that time: `exp` is
    checked on every use, and they are verified again after the keys have changed."""

    def __init__(self, settings: Settings, secret: str) -> None:
        self._settings = settings
        self._secret = secret
        self.hits = 0  # of the cache of verified tokens
        self.misses = 0
        self._known: OrderedDict[bytes, tuple[Claims, KeySet | None, int]] = OrderedDict()
        self._known_length = 0
        self._published = (
            PublishedKeys(
                settings.jwt_jwks_url,
                lifetime=settings.jwks_lifetime,
                cooldown=settings.jwks_cooldown,
                grace=settings.jwks_grace,
            )
            if settings.jwt_jwks_url
            else None
        )

    @property
    def cached(self) -> int:
        """The number of cached tokens."""
        return len(self._known)

    @property
    def own_issuer(self) -> str:
        return OWN_ISSUER if self._published else self._settings.jwt_issuer

    def issue(
        self,
        subject: UUID,
        *,
        role: str = "authenticated",
        session_id: UUID | None = None,
        is_anonymous: bool = False,
        email: str | None = None,
        email_verified: bool = False,
        app_metadata: dict[str, Any] | None = None,
        lifetime: int | None = None,
        aal: str = "aal1",
        amr: list[dict[str, Any]] | None = None,
        pair: str | None = None,
    ) -> tuple[str, Claims]:
        """A signed access token and its claims. `lifetime` is in seconds (default: 15 minutes); `pair` is
        the `pair_id` of the refresh token that goes with it."""
        now = int(time.time())
        payload: dict[str, Any] = {
            "iss": self.own_issuer,
            "aud": self._settings.jwt_audience,
            "sub": str(subject),
            "role": role,
            "iat": now,
            "exp": now + (lifetime or self._settings.access_token_lifetime),
            "is_anonymous": is_anonymous,
            "email_verified": email_verified,
            "aal": aal,
            "app_metadata": app_metadata or {},
        }
        if session_id:
            payload["session_id"] = str(session_id)
        if email:
            payload["email"] = email
        if amr:
            payload["amr"] = amr
        if pair:
            payload["jti"] = pair
        return jwt.encode(payload, self._secret, algorithm="HS256"), Claims.from_payload(payload)

    async def verify(self, token: str) -> Claims:
        """The claims of a valid token. Raises Unauthenticated for any other text, which reveals only whether it has
        expired; Overloaded if the keys of the external issuer are unavailable."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise _invalid()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None:
            claims, keys, _ = known
            if keys is not None and self._published is not None and keys is not await self._published.current():
                self._forget(digest)
                known = None
        if known is None:
            self.misses += 1
            claims, keys = await self._verified(token)
            self._remember(digest, claims, keys, len(token))
        else:
            self.hits += 1
        if claims.expires_at is None or claims.expires_at <= time.time():
            self._forget(digest)
            raise Unauthenticated("The access token has expired.")
        return claims

    def _remember(self, digest: bytes, claims: Claims, keys: KeySet | None, length: int) -> None:
        self._forget(digest)  # a concurrent request may have added it
        self._known[digest] = (claims, keys, length)
        self._known_length += length
        while self._known_length > CACHE_CHARACTERS:
            self._forget(next(iter(self._known)))

    def _forget(self, digest: bytes) -> None:
        forgotten = self._known.pop(digest, None)
        if forgotten is not None:
            self._known_length -= forgotten[2]

    async def _verified(self, token: str) -> tuple[Claims, KeySet | None]:
        """The claims, and the set of published keys that was searched, if any."""
        try:
            header, payload = _read(token)
            algorithm, kid = header["alg"], header.get("kid")
            keys = None
            if algorithm == "HS256":
                _require(payload["iss"] in (self.own_issuer, self._settings.jwt_issuer))
                key: Any = self._secret
            else:
                # The issuer first: a token of an unknown issuer must not trigger a fetch of keys.
                _require(payload["iss"] == self._settings.jwt_issuer)
                _require(algorithm in ALGORITHMS and self._published is not None)
                assert self._published is not None
                found, keys = await self._published.find(kid, algorithm)
                _require(found is not None)
                assert found is not None
                key = found.public
            _JWS.decode(token, key, algorithms=[algorithm])
            self._check(payload)
            return Claims.from_payload(payload), keys
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise _invalid() from None

    def _check(self, payload: dict[str, Any]) -> None:
        """Checks the claims of a token whose signature is valid. Raises Unauthenticated, ValueError, TypeError or
        KeyError."""
        audience = payload["aud"]
        audiences = audience if isinstance(audience, list) else [audience]
        _require(all(isinstance(each, str) for each in audiences) and self._settings.jwt_audience in audiences)
        _require(payload["role"] in ROLES)
        session = payload.get("session_id")
        _require(not session or str(UUID(session)) == session.lower())
        now = time.time()
        _require(all(_date(payload[name]) <= now + LEEWAY_SECONDS for name in ("nbf", "iat") if name in payload))
        if _date(payload["exp"]) <= now:
            raise Unauthenticated("The access token has expired.")


def _invalid() -> Unauthenticated:
    return Unauthenticated("The access token is not valid.")


def _require(is_so: bool) -> None:
    if not is_so:
        raise _invalid()


def _date(value: Any) -> float:
    """A NumericDate: seconds since 1970, with or without a fraction."""
    if type(value) not in (int, float) or not 0 <= value <= LATEST:  # NaN fails every comparison
        raise ValueError("not a date")
    return float(value)


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a token in its canonical encoding, not verified. Raises ValueError or TypeError."""
    header_text, payload_text, signature = token.split(".")
    _bytes(signature)
    header, payload = _json(_bytes(header_text)), _json(_bytes(payload_text))
    if _UNSUPPORTED & header.keys():
        raise ValueError("unsupported header member")
    kid = header.get("kid")
    if not isinstance(header.get("alg"), str) or ("kid" in header and not isinstance(kid, str)):
        raise TypeError("alg and kid must be strings")
    if kid is not None and len(kid) > MAX_KID_LENGTH:
        raise ValueError("kid is too long")
    if header.get("typ", "JWT").lower() not in _TYPES:
        raise ValueError("unsupported typ")
    return header, payload


def _bytes(part: str) -> bytes:
    """Decodes base64url without padding, white space or spare bits: any other encoding of the same bytes is refused."""
    if not _PART.fullmatch(part):
        raise ValueError("not base64url")
    decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise ValueError("not canonical base64url")
    return decoded


def _json(text: bytes) -> dict[str, Any]:
    """A JSON object without duplicate names, of which Python and Postgres might pick different ones."""
    value = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    if not isinstance(value, dict) or has_escaped_nul(text):  # Postgres cannot store NUL
        raise ValueError("not an object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate name")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
