"""Access tokens (JWT): ours are signed with JWT_SECRET, those of an outside issuer are checked against its JWKS.

The algorithm is pinned per key: HS256 with our secret only, the asymmetric ones with JWKS keys only, so a public key
can never be taken for a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import Any
from uuid import UUID

import jwt

from db.claims import ROLES, Claims
from domain.errors import Unauthenticated
from settings import Settings

OWN_ISSUER = "aclue"
JWKS_ALGORITHMS = ("ES256", "RS256", "EdDSA")
MAX_TOKEN_LENGTH = 8192
CACHED_TOKENS = 10_000


class Tokens:
    """Issues and verifies. Verified tokens are remembered by their hash; their `exp` is looked at on every use."""

    def __init__(self, settings: Settings, secret: str) -> None:
        self._settings = settings
        self._secret = secret
        self._known: OrderedDict[bytes, Claims] = OrderedDict()
        self.hits = 0  # of the cache of verified tokens
        self.misses = 0
        self._jwks = (
            jwt.PyJWKClient(settings.jwt_jwks_url, cache_jwk_set=True, lifespan=600, timeout=5)
            if settings.jwt_jwks_url
            else None
        )

    @property
    def cached(self) -> int:
        """How many verified tokens are remembered now; CACHED_TOKENS at most."""
        return len(self._known)

    @property
    def own_issuer(self) -> str:
        return OWN_ISSUER if self._jwks else self._settings.jwt_issuer

    def issue(
        self,
        subject: UUID,
        *,
        role: str = "authenticated",
        session_id: UUID | None = None,
        is_anonymous: bool = False,
        email: str | None = None,
        app_metadata: dict[str, Any] | None = None,
        lifetime: int | None = None,
        aal: str = "aal1",
        amr: list[dict[str, Any]] | None = None,
    ) -> tuple[str, Claims]:
        """A signed access token and what it will be read as. `lifetime` is in seconds (default: 15 minutes)."""
        now = int(time.time())
        payload: dict[str, Any] = {
            "iss": self.own_issuer,
            "aud": self._settings.jwt_audience,
            "sub": str(subject),
            "role": role,
            "iat": now,
            "exp": now + (lifetime or self._settings.access_token_lifetime),
            "is_anonymous": is_anonymous,
            "aal": aal,
            "app_metadata": app_metadata or {},
        }
        if session_id:
            payload["session_id"] = str(session_id)
        if email:
            payload["email"] = email
        if amr:
            payload["amr"] = amr
        return jwt.encode(payload, self._secret, algorithm="HS256"), Claims.from_payload(payload)

    async def verify(self, token: str) -> Claims:
        """The claims of a valid token. Raises Unauthenticated for every other text, saying no more than whether it has
        expired."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The access token is not valid.")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claims = self._known.get(digest)
        if claims is not None:
            self.hits += 1
        else:
            self.misses += 1
            claims = await self._decode(token)
            self._known[digest] = claims
            if len(self._known) > CACHED_TOKENS:
                self._known.popitem(last=False)
        if claims.expires_at is None or claims.expires_at <= time.time():
            self._known.pop(digest, None)
            raise Unauthenticated("The access token has expired.")
        return claims

    async def _decode(self, token: str) -> Claims:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if algorithm == "HS256":
                key: Any = self._secret
                issuers = [self.own_issuer, self._settings.jwt_issuer]
            elif algorithm in JWKS_ALGORITHMS and self._jwks is not None:
                key = (await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)).key
                issuers = [self._settings.jwt_issuer]
            else:
                raise Unauthenticated("The access token is not valid.")
            payload = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.jwt_audience,
                issuer=issuers,
                options={"require": ["exp", "sub", "role", "aud", "iss"]},
            )
            if payload["role"] not in ROLES:
                raise Unauthenticated("The access token is not valid.")
            return Claims.from_payload(payload)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired.") from None
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            raise Unauthenticated("The access token is not valid.") from None
