"""Global ids: what encode makes is read back, everything else is nothing."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids

KEY = UUID("0199a0b0-0000-7000-8000-000000000001")
type_names = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,30}", fullmatch=True)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(type_names, st.uuids())
def test_an_id_is_read_back_as_it_was_made(type_name: str, key: UUID) -> None:
    assert ids.decode(ids.encode(type_name, key)) == (type_name, key)


@given(type_names, st.uuids())
def test_an_id_fits_into_a_url_as_it_is(type_name: str, key: UUID) -> None:
    assert set(ids.encode(type_name, key)) <= set(base64url(bytes(range(256))) + "-_")


def test_an_id_of_the_right_type_gives_its_key() -> None:
    assert ids.decode_as("Product", ids.encode("Product", KEY)) == KEY


def test_an_id_of_another_type_gives_nothing() -> None:
    assert ids.decode_as("Product", ids.encode("Swipe", KEY)) is None


@given(st.text())
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    decoded = ids.decode(text)
    assert decoded is None or ids.encode(*decoded) == text


@given(st.binary())
def test_any_bytes_are_refused_without_an_exception(raw: bytes) -> None:
    text = base64url(raw)
    decoded = ids.decode(text)
    assert decoded is None or ids.encode(*decoded) == text


@pytest.mark.parametrize(
    ("why", "raw"),
    [
        ("no type", f":{KEY}"),
        ("no key", "Product:"),
        ("no separator", f"Product{KEY}"),
        ("a key in capitals", f"Product:{str(KEY).upper()}"),
        ("a key in braces", f"Product:{{{KEY}}}"),
        ("a key without hyphens", f"Product:{KEY.hex}"),
        ("a key with more after it", f"Product:{KEY}:1"),
        ("a type with punctuation", f"Pro-duct:{KEY}"),
        ("a type that is not ASCII", f"Pröduct:{KEY}"),
    ],
)
def test_a_near_miss_is_refused(why: str, raw: str) -> None:
    assert ids.decode(base64url(raw.encode())) is None, why


@pytest.mark.parametrize("spell", [lambda t: t + "=", lambda t: t + "==", lambda t: " " + t, lambda t: t + "\n"])
def test_another_spelling_of_an_id_is_refused(spell: object) -> None:
    assert callable(spell)
    assert ids.decode(spell(ids.encode("Product", KEY))) is None


@given(st.binary(min_size=1))
def test_bytes_have_one_spelling_only(raw: bytes) -> None:
    text = base64url(raw)
    assert ids.decode_bytes(text) == raw
    padding = "=" * (-len(text) % 4)
    if padding:
        assert ids.decode_bytes(text + padding) is None


def test_unused_bits_of_the_last_letter_must_be_zero() -> None:
    assert ids.decode_bytes("QQ") == b"A"
    assert ids.decode_bytes("QR") is None


def test_the_standard_alphabet_is_refused() -> None:
    assert ids.decode_bytes("-_8") == b"\xfb\xff"
    assert ids.decode_bytes("+/8") is None
