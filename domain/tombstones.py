"""Tombstones of erased people: keyed hashes, by which erasures are repeated on a restored backup."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True)
class Tombstones:
    """Hashes of people under a key derived from the server's secret."""

    secret: bytes = field(repr=False)
    _key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", hmac.digest(self.secret, b"aclue:tombstone", hashlib.sha256))

    def of(self, person: UUID) -> bytes:
        return hmac.digest(self._key, person.bytes, hashlib.sha256)
