"""Encryption of what is stored and has to be read again: secrets of second factors, tokens in mails that wait.

AES-SIV (RFC 5297) needs no nonce, so that sealing is a pure function; what it gives away is that the same text was
sealed twice about the same thing, and these texts are random. Each purpose has a key of its own, as with Signer.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV


@dataclass(frozen=True)
class Sealer:
    """Seals and opens texts of one purpose. `about` is whom or what a text belongs to: it opens for nothing else."""

    secret: bytes = field(repr=False)
    purpose: str
    _cipher: AESSIV = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = hmac.digest(self.secret, b"aclue:seal:" + self.purpose.encode(), hashlib.sha512)
        object.__setattr__(self, "_cipher", AESSIV(key))

    def seal(self, text: str, about: str) -> bytes:
        return self._cipher.encrypt(text.encode(), [about.encode()])

    def open(self, sealed: bytes, about: str) -> str | None:
        """The text; None when it was sealed with another key or about something else, or was changed."""
        try:
            return self._cipher.decrypt(sealed, [about.encode()]).decode()
        except InvalidTag:
            return None
