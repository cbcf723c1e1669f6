"""Sealed texts: opened with the same key, for the same purpose, about the same thing, and otherwise not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.sealing import Sealer

SECRET = b"a secret of the tests, long enough"
SEALER = Sealer(SECRET, "tests")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXTS, TEXTS)
def test_what_was_sealed_is_opened(text: str, about: str) -> None:
    assert SEALER.open(SEALER.seal(text, about), about) == text


@given(TEXTS, TEXTS, TEXTS)
def test_it_opens_about_nothing_else(text: str, about: str, another: str) -> None:
    if about != another:
        assert SEALER.open(SEALER.seal(text, about), another) is None


def test_it_opens_with_no_other_key_or_purpose() -> None:
    sealed = SEALER.seal("text", "anna")
    assert Sealer(SECRET + b"!", "tests").open(sealed, "anna") is None
    assert Sealer(SECRET, "others").open(sealed, "anna") is None


@given(st.integers(0, 19), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(SEALER.seal("text", "anna"))
    sealed[place] ^= change
    assert SEALER.open(bytes(sealed), "anna") is None


@given(st.binary(max_size=40))
def test_garbage_does_not_open(garbage: bytes) -> None:
    assert SEALER.open(garbage, "anna") is None


def test_neither_text_nor_key_can_be_seen() -> None:
    assert b"a long enough text" not in SEALER.seal("a long enough text", "anna")
    assert SECRET.decode() not in repr(SEALER)
