"""Detects prefetches by browsers and link previews that identify themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HEADERS = frozenset((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"))
_PREFETCH = re.compile(rb"prefetch|prerender|preview", re.IGNORECASE)


def is_prefetch(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers, with names in lower case, mark the request as a prefetch."""
    return any(name in _HEADERS and _PREFETCH.search(value) for name, value in headers)
