"""Encryption of stored secrets that have to be read again: those of second factors, and tokens in queued mails.

AES-SIV (RFC 5297) needs no nonce, so sealing is a pure function. It reveals only whether the same text was sealed twice
with the same `about`, and these texts are random. Each purpose has its own key, as with Signer.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV


@dataclass(frozen=True)
class Sealer:
    """Seals and opens texts for one purpose. `about` is what a text belongs to (associated data): it opens only with
    it."""

    secret: bytes = field(repr=False)
    purpose: str
    _cipher: AESSIV = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = hmac.digest(self.secret, b"aclue:seal:" + self.purpose.encode(), hashlib.sha512)
        object.__setattr__(self, "_cipher", AESSIV(key))

    def seal(self, text: str, about: str) -> bytes:
        return self._cipher.encrypt(text.encode(), [about.encode()])

    def open(self, sealed: bytes, about: str) -> str | None:
        """The text; None if it was sealed with another key or `about`, or was modified."""
        try:
            return self._cipher.decrypt(sealed, [about.encode()]).decode()
        except InvalidTag:
            return None
