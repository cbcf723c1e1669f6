"""Argon2id (RFC 9106, the library's defaults), off the event loop and at most two at a time: each takes 64 MiB.
A caller who hangs up does not make room for another hash while theirs is still being computed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import argon2
import argon2.profiles
from argon2.exceptions import InvalidHashError, VerificationError

from domain.passwords import fits, normalise, spellings

PARAMETERS = argon2.profiles.RFC_9106_LOW_MEMORY
MAX_AT_ONCE = 2


def _hasher() -> argon2.PasswordHasher:
    return argon2.PasswordHasher.from_parameters(PARAMETERS)


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the whole process."""
    return ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="passwords")


@cache
def _nobodys_hash() -> str:
    """What the password of an account that does not exist is compared with; made before it is needed."""
    return _hasher().hash("nobody")


class Passwords:
    def __init__(self) -> None:
        self._hasher = _hasher()
        self._nobodys_hash = _nobodys_hash()

    async def hash(self, password: str) -> str:
        """Of a password that fits (domain/passwords.py)."""
        return await asyncio.get_running_loop().run_in_executor(_threads(), self._hash, password)

    async def verify(self, password_hash: str | None, password: str) -> str | None:
        """The hash to keep from now on, which is another one where this one was made before passwords were normalised;
        None for a wrong password. Takes the same time for an account that does not exist (None)."""
        return await asyncio.get_running_loop().run_in_executor(_threads(), self._verify, password_hash, password)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(normalise(password))

    def _verify(self, password_hash: str | None, password: str) -> str | None:
        for spelling in spellings(password):
            if self._matches(password_hash or self._nobodys_hash, spelling) and password_hash is not None:
                is_renewed = spelling != normalise(password) and fits(password)
                return self._hash(password) if is_renewed else password_hash
        return None

    def _matches(self, password_hash: str, spelling: str) -> bool:
        try:
            return self._hasher.verify(password_hash, spelling)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
