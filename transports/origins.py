"""Which origins may read responses (CORS) and open WebSockets."""

from __future__ import annotations

import functools
import re
from typing import TypeAlias
from urllib.parse import urlsplit

from settings import Settings

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

PREFLIGHT_SECONDS = 7200  # the longest that Chromium caches a preflight response
_REQUEST_HEADERS = (
    *("authorization", "content-type", "x-aclue-cost", "x-aclue-receipt"),
    # Unused here, but Apollo Client, OpenTelemetry and Sentry send them; preflights would fail without them.
    *("apollographql-client-name", "apollographql-client-version", "apollo-require-preflight"),
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
)
_ANSWER_HEADERS = b"etag, retry-after, server-timing, x-request-id"


class Origins:
    """The allow-list CORS_ORIGINS. It is no access control: that is up to the token, and no cookie is ever read."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = [_pattern(origin) for origin in settings.allowed_origins]
        self._request_headers = ", ".join((*_REQUEST_HEADERS, *settings.allowed_headers)).encode()
        own = urlsplit(settings.base_url)
        self._own = f"{own.scheme}://{own.netloc}".lower().encode()
        self._trusts_host = not settings.is_production
        self._known = functools.lru_cache(maxsize=256)(self._allows)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may read responses."""
        return self._known(origin)

    def may_connect(self, origin: bytes | None, reached: bytes) -> bool:
        """Whether pages of this origin may open a WebSocket, for which browsers do not enforce CORS. Allowed: the
        origin of PUBLIC_URL, those in CORS_ORIGINS, and clients without an origin, which are no browsers. In
        development also the origin `reached`, from the Host header; in production an attacker's domain could resolve
        to this server (DNS rebinding)."""
        if origin is None or self.allows(origin):
            return True
        given = origin.lower()
        return given == self._own or (self._trusts_host and given == reached.lower())

    def _allows(self, origin: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        return any(pattern.fullmatch(text) for pattern in self._allowed)

    def headers(self, origin: bytes) -> Headers:
        """CORS headers of every response to this origin; empty if it is not allowed."""
        if not self.allows(origin):
            return []
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _ANSWER_HEADERS)]

    def preflight(self, origin: bytes) -> Headers:
        """Additional headers of a preflight response. Those of `headers` are on every response already, and must not be
        repeated."""
        if not self.allows(origin):
            return []
        return [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", self._request_headers),
            (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        ]


def _pattern(origin: str) -> re.Pattern[str]:
    """Compiles an entry of CORS_ORIGINS: `*.` matches subdomains of any depth, `:*` any port or none."""
    text = re.escape(origin)
    text = text.replace(r"://\*\.", r"://(?:[a-z0-9_-]+\.)+").replace(r":\*", "(?::[0-9]{1,5})?")
    return re.compile(text)
