"""Requests that nobody made on purpose: browsers that load pages ahead, and previews that say so."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HEADERS = frozenset((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"))
_PREFETCH = re.compile(rb"prefetch|prerender|preview", re.IGNORECASE)


def is_prefetch(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether one of these headers of a request, with names in lower case, says that it is loaded ahead."""
    return any(name in _HEADERS and _PREFETCH.search(value) for name, value in headers)
