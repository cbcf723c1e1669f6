"""Ids as clients make them."""

from __future__ import annotations

import time
import uuid


def uuid7(age_seconds: float = 0) -> str:
    """A UUIDv7 of that long ago."""
    milliseconds = int((time.time() - age_seconds) * 1000)
    random = uuid.uuid4().int & ((1 << 76) - 1)
    return str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (random & ~(0x3 << 62)) | (0x2 << 62)))
