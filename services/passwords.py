"""Argon2id (RFC 9106, the library's defaults), in threads, and at most two at a time, as each hash takes 64 MiB.
A network has one of the two, so that its visitors wait for each other and not everybody for them. A caller who
disconnects does not free a slot before their hash has been computed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import argon2
import argon2.profiles
from argon2.exceptions import InvalidHashError, VerificationError

from domain.passwords import fits, normalise, spellings
from services.turns import Turns

PARAMETERS = argon2.profiles.RFC_9106_LOW_MEMORY
MAX_HASHES_AT_ONCE = 2
T = TypeVar("T")


def _hasher() -> argon2.PasswordHasher:
    return argon2.PasswordHasher.from_parameters(PARAMETERS)


@cache
def _threads() -> ThreadPoolExecutor:
    """The thread pool of the whole process."""
    return ThreadPoolExecutor(MAX_HASHES_AT_ONCE, thread_name_prefix="passwords")


@cache
def _nobodys_hash() -> str:
    """The hash that stands in for accounts that do not exist; computed at start-up."""
    return _hasher().hash("nobody")


class Passwords:
    def __init__(self) -> None:
        self._hasher = _hasher()
        self._nobodys_hash = _nobodys_hash()
        self._turns = Turns(MAX_HASHES_AT_ONCE)

    async def hash(self, password: str, address: str) -> str:
        """Hashes an acceptable password (domain/passwords.py) for a caller at this address."""
        return await self._run(address, self._hash, password)

    async def verify(self, password_hash: str | None, password: str, address: str) -> str | None:
        """The hash to store from now on, which is a new one if the old one predates the normalisation of passwords;
        None for a wrong password. Takes as long for an account that does not exist (`password_hash` None)."""
        return await self._run(address, self._verify, password_hash, password)

    async def _run(self, address: str, function: Callable[..., T], *arguments: str | None) -> T:
        if (turn := self._turns.take(address, None)) is not None:
            await turn
        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._turns.leave, address, None)

        hashing = _threads().submit(function, *arguments)
        hashing.add_done_callback(leave)
        return await asyncio.wrap_future(hashing)

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
