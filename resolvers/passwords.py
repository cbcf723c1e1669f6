"""Argon2id (RFC 9106, the library's defaults), off the event loop and at most two at a time: each takes 64 MiB."""

from __future__ import annotations

import asyncio
from functools import cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError


@cache
def _nobodys_hash() -> str:
    """What the password of an account that does not exist is compared with; made before it is needed."""
    return argon2.PasswordHasher().hash("nobody")


class Passwords:
    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher()
        self._slots = asyncio.Semaphore(2)
        self._nobodys_hash = _nobodys_hash()

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Takes the same time for an account that does not exist (None) as for a wrong password."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password_hash, password)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobodys_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None
