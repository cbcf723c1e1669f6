"""Tokens of gift links: read back with their own key only, and only as they were made."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.gift_links import decode_token, encode_token
from domain.signing import Signer

SIGNER = Signer(b"a secret of the tests", "gift link")
LINK = UUID("0199a0b0-0000-7000-8000-000000000001")


@given(st.uuids())
def test_a_token_is_read_back_as_its_link(link: UUID) -> None:
    assert decode_token(encode_token(link, SIGNER), SIGNER) == link


@given(st.uuids())
def test_a_token_fits_into_a_url_as_it_is(link: UUID) -> None:
    token = encode_token(link, SIGNER)
    assert len(token) == 43
    assert token.replace("-", "a").replace("_", "a").isalnum()


def test_the_token_of_a_link_is_always_the_same() -> None:
    assert encode_token(LINK, SIGNER) == encode_token(LINK, Signer(SIGNER.secret, "gift link"))


@given(st.text(max_size=100))
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    assert decode_token(text, SIGNER) is None


@given(st.integers(0, 42), st.characters(codec="ascii"))
def test_another_character_anywhere_is_refused(place: int, character: str) -> None:
    token = encode_token(LINK, SIGNER)
    other = token[:place] + character + token[place + 1 :]
    assert other == token or decode_token(other, SIGNER) is None


@given(st.binary(max_size=64).filter(lambda payload: len(payload) != 16))
def test_a_signed_text_that_is_no_id_is_refused(payload: bytes) -> None:
    assert decode_token(SIGNER.sign(payload), SIGNER) is None


def test_a_token_of_another_key_or_purpose_is_refused() -> None:
    for other in (Signer(b"another secret", "gift link"), Signer(SIGNER.secret, "cursor")):
        assert decode_token(encode_token(LINK, other), SIGNER) is None
