"""Passwords: one for all its encodings, and how long it may be."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import unicodedata

import argon2
import pytest

from domain.passwords import MAX_LENGTH, fits, normalise, spellings
from services.passwords import MAX_HASHES_AT_ONCE, Passwords

HOME = "192.0.2.1"
PASSWORD = "Schl\u00fcssel-\u00e7\u00e9dille-\u00c5"


@pytest.mark.parametrize("typed", [unicodedata.normalize("NFD", PASSWORD), PASSWORD.replace("\u00c5", "\u212b")])
def test_encodings_of_one_password(typed: str) -> None:
    assert typed != PASSWORD
    assert normalise(typed) == PASSWORD


@pytest.mark.parametrize(
    ("password", "is_right"),
    [
        ("12345678", True),
        ("1234567", False),
        ("e\u0301" * 7, False),  # seven letters of two characters each
        ("e\u0301" * 8, True),
        ("\u1f82" * MAX_LENGTH, True),
        (unicodedata.normalize("NFD", "\u1f82") * MAX_LENGTH, True),
        ("x" * (MAX_LENGTH + 1), False),
        ("\ufdfa" * 60, False),  # eighteen characters each
        ("\u0301\u0316" * 10_000_000, False),
        ("password\ud83c", False),
        ("", False),
    ],
)
def test_the_length_is_that_of_the_normalised_password(password: str, is_right: bool) -> None:
    assert fits(password) is is_right


def test_what_is_too_long_is_normalised_in_part_only() -> None:
    assert len(normalise("e\u0301" * 1_000_000)) < 3 * MAX_LENGTH
    assert all(len(spelling) <= MAX_LENGTH + 1 for spelling in spellings("\ufdfa" * 1_000_000))


async def test_a_hash_of_before_is_renewed_when_the_password_is_right() -> None:
    passwords = Passwords()
    typed = unicodedata.normalize("NFD", PASSWORD)
    former = argon2.PasswordHasher().hash(typed)
    assert await passwords.verify(former, PASSWORD, HOME) is None
    renewed = await passwords.verify(former, typed, HOME)
    assert renewed is not None
    assert renewed != former
    for spelling in (PASSWORD, typed):
        assert await passwords.verify(renewed, spelling, HOME) == renewed


async def test_a_hash_of_before_that_could_not_be_renewed_stays() -> None:
    """The password would be too long."""
    typed = "\ufdfa" * 100
    former = argon2.PasswordHasher().hash(typed)
    assert await Passwords().verify(former, typed, HOME) == former


async def test_as_much_is_compared_for_an_account_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    verify = argon2.PasswordHasher.verify

    def spy(hasher: argon2.PasswordHasher, password_hash: str, password: str) -> bool:
        compared.append(password)
        return verify(hasher, password_hash, password)

    passwords = Passwords()
    known = await passwords.hash(PASSWORD, HOME)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    for password in ("a guess", unicodedata.normalize("NFD", "Schl\u00fcssel")):
        compared.clear()
        assert await passwords.verify(known, password, HOME) is None
        for_known = list(compared)
        compared.clear()
        assert await passwords.verify(None, password, HOME) is None
        assert compared == for_known


def test_what_a_server_hashes_with() -> None:
    """Tests hash cheaply (tests/conftest.py); this is the module as a server imports it."""
    spec = importlib.util.find_spec("services.passwords")
    assert spec is not None and spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert fresh._hasher().hash("correct horse").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_who_hangs_up_makes_no_room_for_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock, go_on = 0, 0, threading.Lock(), threading.Event()
    started = threading.Semaphore(0)

    def hash_slowly(self: Passwords, password: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        started.release()
        go_on.wait(10)
        with lock:
            running -= 1
        return password

    monkeypatch.setattr(Passwords, "_hash", hash_slowly)
    hashes = [asyncio.create_task(Passwords().hash("correct horse", HOME)) for _ in range(20)]
    for _ in range(MAX_HASHES_AT_ONCE):
        await asyncio.to_thread(started.acquire)
    for hashing in hashes[:10]:
        hashing.cancel()
    await asyncio.sleep(0.01)
    go_on.set()
    found = await asyncio.gather(*hashes, return_exceptions=True)
    assert found[10:] == ["correct horse"] * 10
    assert most == MAX_HASHES_AT_ONCE


async def test_a_network_waits_for_its_own_hashes_and_nobody_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def hash_slowly(self: Passwords, password: str) -> str:
        if password == "stranger's":
            go_on.wait(10)
        return password

    monkeypatch.setattr(Passwords, "_hash", hash_slowly)
    passwords = Passwords()
    strangers = [asyncio.create_task(passwords.hash("stranger's", HOME)) for _ in range(10)]
    await asyncio.sleep(0.01)
    strangers[0].cancel()  # whose hash still runs
    async with asyncio.timeout(5):
        assert await passwords.hash("ours", "198.51.100.7") == "ours"
    go_on.set()
    assert await asyncio.gather(*strangers[1:]) == ["stranger's"] * 9
    async with asyncio.timeout(5):
        assert await passwords.hash("ours", HOME) == "ours"
