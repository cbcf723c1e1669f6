"""Keyed hashes that reveal whether two texts are the same within a period of 30 days, or a day, and nothing else.

They replace what must not be stored, such as network addresses. HMAC-SHA-256 with a key per period: without the
server's secret hashes cannot be brute-forced, and those of two periods cannot be compared.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

DAY_SECONDS = 24 * 3600
PERIOD_SECONDS = 30 * DAY_SECONDS
HASH_BYTES = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Hashes for one purpose, which cannot be compared with those for another."""

    secret: bytes = field(repr=False)
    purpose: str
    period_seconds: int = PERIOD_SECONDS

    def of(self, text: str, at: float) -> bytes:
        """The 16-byte pseudonym of a text at this Unix time."""
        period = int(at // self.period_seconds)
        key = hmac.digest(self.secret, f"aclue:pseudonym:{self.purpose}:{period}".encode(), hashlib.sha256)
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)[:HASH_BYTES]
