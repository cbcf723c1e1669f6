"""Keyed hashes that tell within 30 days whether two texts are the same, and nothing else.

They stand for what must not be kept, such as network addresses. HMAC-SHA-256 with a key of the period: without the
server's secret nobody can try out which text a hash is of, and hashes of two periods cannot be compared.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

PERIOD_SECONDS = 30 * 24 * 3600
HASH_BYTES = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Hashes of one purpose; those of another cannot be compared with them."""

    secret: bytes = field(repr=False)
    purpose: str

    def of(self, text: str, at: float) -> bytes:
        """The 16 bytes that stand for this text at this Unix time."""
        period = int(at // PERIOD_SECONDS)
        key = hmac.digest(self.secret, f"aclue:pseudonym:{self.purpose}:{period}".encode(), hashlib.sha256)
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)[:HASH_BYTES]
