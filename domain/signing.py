"""Short signed texts for cursors, recommendation ids and links: base64url(payload + 16 bytes of HMAC-SHA-256).

Each purpose has its own key, derived from the server's secret, so that a text signed for one purpose is refused for any
other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from domain import ids

MAC_BYTES = 16


@dataclass(frozen=True)
class Signer:
    """Signs and opens texts of one purpose."""

    secret: bytes = field(repr=False)
    purpose: str
    _key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", hmac.digest(self.secret, b"aclue:" + self.purpose.encode(), hashlib.sha256))

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)[:MAC_BYTES]

    def sign(self, payload: bytes) -> str:
        return base64.urlsafe_b64encode(payload + self._mac(payload)).rstrip(b"=").decode()

    def open(self, text: str) -> bytes | None:
        """The payload; None if the text was not signed with this key."""
        raw = ids.decode_bytes(text)
        if raw is None or len(raw) < MAC_BYTES:
            return None
        payload, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        return payload if hmac.compare_digest(mac, self._mac(payload)) else None
