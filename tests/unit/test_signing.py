"""Signed texts: opened with their own key and purpose only, and only as they were signed."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from domain.ids import decode_bytes
from domain.signing import MAC_BYTES, Signer

SECRET = b"a secret of the tests"
SIGNER = Signer(SECRET, "cursor")


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(st.binary())
def test_what_was_signed_is_opened(payload: bytes) -> None:
    assert SIGNER.open(SIGNER.sign(payload)) == payload


@given(st.binary(), st.data())
def test_one_flipped_bit_anywhere_is_refused(payload: bytes, data: st.DataObject) -> None:
    raw = bytearray(decode_bytes(SIGNER.sign(payload)) or b"")
    bit = data.draw(st.integers(0, len(raw) * 8 - 1), "bit")
    raw[bit // 8] ^= 1 << bit % 8
    assert SIGNER.open(base64url(bytes(raw))) is None


@given(st.binary(), st.data())
def test_a_truncated_text_is_refused(payload: bytes, data: st.DataObject) -> None:
    text = SIGNER.sign(payload)
    assert SIGNER.open(text[: data.draw(st.integers(0, len(text) - 1), "length")]) is None


@given(st.binary(), st.binary(min_size=1))
def test_a_lengthened_text_is_refused(payload: bytes, more: bytes) -> None:
    raw = decode_bytes(SIGNER.sign(payload)) or b""
    assert SIGNER.open(base64url(raw + more)) is None
    assert SIGNER.open(base64url(more + raw)) is None


@given(st.binary())
def test_a_text_of_another_purpose_is_refused(payload: bytes) -> None:
    assert Signer(SECRET, "recommendation").open(SIGNER.sign(payload)) is None


@given(st.binary())
def test_a_text_of_another_secret_is_refused(payload: bytes) -> None:
    assert Signer(SECRET + b"!", "cursor").open(SIGNER.sign(payload)) is None


@given(st.text())
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    assert SIGNER.open(text) is None


def test_a_mac_alone_is_no_key_to_other_payloads() -> None:
    mac = (decode_bytes(SIGNER.sign(b"")) or b"")[-MAC_BYTES:]
    assert SIGNER.open(base64url(b"payload" + mac)) is None


def test_the_same_payload_gives_the_same_text() -> None:
    assert SIGNER.sign(b"payload") == Signer(SECRET, "cursor").sign(b"payload")


def test_the_secret_is_not_in_the_representation() -> None:
    assert "secret of the tests" not in repr(SIGNER)
