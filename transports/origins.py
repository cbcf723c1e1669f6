"""Which web pages of other origins may read answers (CORS) and open WebSockets."""

from __future__ import annotations

import functools
from typing import TypeAlias
from urllib.parse import urlsplit

from settings import Settings

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

PREFLIGHT_SECONDS = 7200  # browsers keep no answer for longer
_REQUEST_HEADERS = b", ".join(
    (
        b"authorization, content-type, x-aclue-cost, x-aclue-receipt",
        # Read by nobody here; Apollo Client sends them, and browsers would refuse the whole request.
        b"apollographql-client-name, apollographql-client-version, apollo-require-preflight",
    )
)
_ANSWER_HEADERS = b"etag, retry-after, server-timing, x-request-id"


class Origins:
    """The allow-list CORS_ORIGINS. Nothing here is about who may ask: that is the token's to say, and no cookie is
    ever read."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.allowed_origins)
        own = urlsplit(settings.base_url)
        self._own = f"{own.scheme}://{own.netloc}".lower().encode()
        self._known = functools.lru_cache(maxsize=256)(self._allows)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may read answers."""
        return self._known(origin)

    def may_connect(self, origin: bytes | None) -> bool:
        """Whether pages of this origin may open a WebSocket, where browsers enforce nothing themselves. Ours may, and
        whatever is no browser."""
        return origin is None or origin.lower() == self._own or self.allows(origin)

    def _allows(self, origin: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        scheme_and_host, colon, port = text.rpartition(":")
        if text in self._allowed:
            return True
        # http://localhost:* is any port, and none.
        return f"{text}:*" in self._allowed or (
            colon == ":" and port.isdecimal() and f"{scheme_and_host}:*" in self._allowed
        )

    def headers(self, origin: bytes) -> Headers:
        """What an answer to a page of this origin says; nothing where it is not allowed."""
        if not self.allows(origin):
            return []
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _ANSWER_HEADERS)]

    def preflight(self, origin: bytes) -> Headers:
        """What a browser that asks beforehand is told besides: `headers` stand on every answer, and none may twice."""
        if not self.allows(origin):
            return []
        return [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        ]
