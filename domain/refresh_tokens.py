"""Refresh tokens: base64url of session id (16 bytes), whether a second factor was shown (1), nonce (15), MAC (16).

The database has the hashes of valid tokens. The MAC distinguishes a spent token, which ends its session, from a guess,
so that no list of spent tokens is needed.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from domain import ids
from domain.signing import Signer

NONCE_BYTES = 15
_LENGTH = 48


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A well-formed refresh token. `is_ours`: whether its MAC is valid."""

    text: str = field(repr=False)
    session_id: UUID
    is_ours: bool
    is_aal2: bool

    @property
    def hash(self) -> bytes:
        """SHA-256, which is stored."""
        return hashlib.sha256(self.text.encode()).digest()


def pair_id(token_hash: bytes) -> str:
    """`jti` of the access token that was issued together with the refresh token of this hash."""
    return base64.urlsafe_b64encode(token_hash[:12]).decode()


class RefreshTokens:
    """Creates and parses refresh tokens, with a key derived from the server's secret."""

    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(secret, "refresh token")

    def make(self, session_id: UUID, *, is_aal2: bool, nonce: bytes) -> RefreshToken:
        """A new token; `nonce` is 15 random bytes."""
        text = self._signer.sign(session_id.bytes + bytes([is_aal2]) + nonce)
        return RefreshToken(text, session_id, is_ours=True, is_aal2=is_aal2)

    def read(self, text: str) -> RefreshToken | None:
        """None if it is malformed. Without a valid MAC (JWT_SECRET was changed) no second factor counts."""
        raw = ids.decode_bytes(text) if len(text) <= 200 else None
        if raw is None or len(raw) != _LENGTH:
            return None
        payload = self._signer.open(text)
        is_aal2 = payload is not None and payload[16] == 1
        return RefreshToken(text, UUID(bytes=raw[:16]), is_ours=payload is not None, is_aal2=is_aal2)
