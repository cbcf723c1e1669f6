"""Content negotiation: the Accept and Content-Type headers."""

from __future__ import annotations

import functools
from dataclasses import dataclass

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
EVENTS = b"text/event-stream"
MAX_ACCEPT_LENGTH = 2_000
CACHE_HEADERS = 256


@dataclass(frozen=True, slots=True)
class MediaType:
    """The media type of a response. `refused`: the status for a document that never ran. Clients that know only plain
    JSON would take a 4xx for a failure of the network."""

    content_type: tuple[bytes, bytes]
    refused: int


LEGACY = MediaType((b"content-type", b"application/json; charset=utf-8"), 200)
CURRENT = MediaType((b"content-type", b"application/graphql-response+json; charset=utf-8"), 400)

# In order of preference, for clients without one.
_OFFERED = ((JSON, LEGACY), (GRAPHQL_JSON, CURRENT))


@functools.lru_cache(maxsize=CACHE_HEADERS)
def accepted(accept: bytes | None) -> MediaType | None:
    """The best type for an Accept header; None if no type is acceptable. Without the header: JSON."""
    if accept is None or not accept.strip():
        return LEGACY
    ranges = _ranges(accept[:MAX_ACCEPT_LENGTH].decode("latin-1"))
    best, best_quality = None, 0.0
    for name, media_type in _OFFERED:
        quality = _quality(name, ranges)
        # At equal quality, the media type made for GraphQL wins if it is named.
        if quality > best_quality or (quality == best_quality > 0 and GRAPHQL_JSON in ranges):
            best, best_quality = media_type, quality
    return best


@functools.lru_cache(maxsize=CACHE_HEADERS)
def prefers_events(accept: bytes | None) -> bool:
    """Whether to answer with server-sent events: only if they come first. Some clients list them last on every request,
    for the sake of subscriptions."""
    return accept is not None and accept[:MAX_ACCEPT_LENGTH].lower().lstrip().startswith(EVENTS)


@functools.lru_cache(maxsize=CACHE_HEADERS)
def prefers_html(accept: bytes | None) -> bool:
    """Whether HTML is preferred over JSON, as by a browser that opens a URL. `text/html, */*` counts as well."""
    if not accepts_html(accept) or accept is None:
        return False
    ranges = _ranges(accept[:MAX_ACCEPT_LENGTH].decode("latin-1"))
    html, json = ranges.get("text/html", 0.0), max(_quality(name, ranges) for name, _ in _OFFERED)
    return html > json or (html == json > 0 and not ranges.keys() & {JSON, GRAPHQL_JSON})


def accepts_html(accept: bytes | None) -> bool:
    """Whether the client is a browser that opens a page."""
    return accept is not None and b"text/html" in accept[:MAX_ACCEPT_LENGTH]


@functools.lru_cache(maxsize=CACHE_HEADERS)
def is_json(content_type: bytes) -> bool:
    """Whether a body of this type is JSON in UTF-8."""
    name, *parameters = content_type[:MAX_ACCEPT_LENGTH].decode("latin-1").lower().split(";")
    if name.strip() != JSON:
        return False
    charsets = [
        value.strip(' "') for key, _, value in (p.partition("=") for p in parameters) if key.strip() == "charset"
    ]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def _ranges(accept: str) -> dict[str, float]:
    """Media ranges with their quality; 0 for a malformed one."""
    found: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = part.split(";")
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
                quality = 0.0
            elif key.strip() == "q":
                quality = min(quality, _number(value))
        found[name.strip()] = max(quality, found.get(name.strip(), 0.0))
    return found


def _number(text: str) -> float:
    digits = text.strip()
    if not digits.replace(".", "", 1).isdecimal() or len(digits) > 5:
        return 0.0
    return min(float(digits), 1.0)


def _quality(name: str, ranges: dict[str, float]) -> float:
    """The quality of the most specific range that matches."""
    for candidate in (name, f"{name.partition('/')[0]}/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate]
    return 0.0
