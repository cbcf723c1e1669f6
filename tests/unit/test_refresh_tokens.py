"""The form of refresh tokens."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids
from domain.refresh_tokens import NONCE_BYTES, RefreshTokens, pair_id
from tests.security.forging import encoded

SESSION = UUID("01a1fd2d-0000-7000-8000-000000000000")
OURS = RefreshTokens(b"a secret")


@given(st.uuids(), st.booleans(), st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_a_token_is_read_as_it_was_made(session: UUID, is_aal2: bool, nonce: bytes) -> None:
    made = OURS.make(session, is_aal2=is_aal2, nonce=nonce)
    assert OURS.read(made.text) == made
    assert (made.session_id, made.is_ours, made.is_aal2) == (session, True, is_aal2)


@pytest.mark.parametrize("position", [0, 16, 17, 31, 32, 47])
def test_a_token_that_was_changed_is_not_ours_and_shows_no_second_factor(position: int) -> None:
    raw = bytearray(ids.decode_bytes(OURS.make(SESSION, is_aal2=True, nonce=bytes(NONCE_BYTES)).text) or b"")
    raw[position] ^= 1
    read = OURS.read(encoded(bytes(raw)))
    assert read is not None
    assert (read.is_ours, read.is_aal2) == (False, False)


def test_a_token_of_another_secret_is_not_ours() -> None:
    read = OURS.read(RefreshTokens(b"another").make(SESSION, is_aal2=True, nonce=bytes(NONCE_BYTES)).text)
    assert read is not None
    assert (read.session_id, read.is_ours, read.is_aal2) == (SESSION, False, False)


@pytest.mark.parametrize("text", ["", "x", "é" * 64, "\0", "A" * 63, "A" * 65, "A" * 100_000, "A" * 64 + "="])
def test_other_texts_have_not_the_form_of_a_token(text: str) -> None:
    assert OURS.read(text) is None


def test_a_pair_is_named_by_the_hash_and_not_by_the_token() -> None:
    one, other = [OURS.make(SESSION, is_aal2=False, nonce=bytes([n] * NONCE_BYTES)) for n in (0, 1)]
    assert pair_id(one.hash) != pair_id(other.hash)
    assert pair_id(one.hash) not in one.text
