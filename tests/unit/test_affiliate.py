"""Tracked links: tokens."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.affiliate import decode_token, encode_token

CLICK = UUID("0199a0b0-0000-7000-8000-000000000001")
TOKEN = encode_token(CLICK)


@given(st.uuids())
def test_a_token_is_read_back_as_its_click(click: UUID) -> None:
    assert decode_token(encode_token(click)) == click


@given(st.uuids())
def test_a_token_is_26_small_letters_and_digits(click: UUID) -> None:
    token = encode_token(click)
    assert len(token) == 26
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyz234567")


@given(st.text(max_size=30))
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    assert decode_token(text) is None


@pytest.mark.parametrize(
    "text", [TOKEN.upper(), TOKEN[:-1], TOKEN + "a", TOKEN + "=", TOKEN[:-1] + "1", "é" * 26, TOKEN[:-1] + "b", ""]
)
def test_another_spelling_of_a_token_is_refused(text: str) -> None:
    assert decode_token(text) is None
