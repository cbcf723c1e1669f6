"""Page sizes and cursors."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BadUserInput
from domain.pages import DEFAULT_SIZE, MAX_SIZE, Cursor, open_cursor, size_of
from domain.signing import Signer

SIGNER = Signer(b"a secret of the tests", "cursor")
sizes = st.integers(0, MAX_SIZE)
no_sizes = st.integers(max_value=-1) | st.integers(min_value=MAX_SIZE + 1)


@given(sizes)
def test_first_pages_forward(size: int) -> None:
    assert size_of(size) == (size, False)


@given(sizes)
def test_last_pages_backward(size: int) -> None:
    assert size_of(None, size) == (size, True)


def test_without_either_a_page_is_forward_and_of_the_default_size() -> None:
    assert size_of(None) == (DEFAULT_SIZE, False)


@given(no_sizes)
def test_a_size_out_of_range_is_refused_by_its_name(size: int) -> None:
    with pytest.raises(BadUserInput, match="`first`"):
        size_of(size)
    with pytest.raises(BadUserInput, match="`last`"):
        size_of(None, size)


@given(st.integers(), st.integers())
def test_both_at_once_are_refused(first: int, last: int) -> None:
    with pytest.raises(BadUserInput, match="not both"):
        size_of(first, last)


@given(st.text(st.characters(codec="utf-8")), st.lists(st.text(st.characters(codec="utf-8"))))
def test_a_cursor_gives_back_its_values(scope: str, values: list[str]) -> None:
    text = Cursor(scope, tuple(values)).sign(SIGNER)
    assert open_cursor(text, scope, SIGNER, "after") == tuple(values)


def test_a_cursor_of_another_order_is_refused() -> None:
    text = Cursor("Product:NAME", ("a", "b")).sign(SIGNER)
    with pytest.raises(BadUserInput, match="`before` is not a cursor of this connection and order"):
        open_cursor(text, "Product:NEWEST", SIGNER, "before")


def test_a_cursor_of_another_secret_is_refused() -> None:
    text = Cursor("Product:NAME", ("a",)).sign(Signer(b"another secret", "cursor"))
    with pytest.raises(BadUserInput):
        open_cursor(text, "Product:NAME", SIGNER, "after")


@pytest.mark.parametrize("payload", [b"", b"null", b"{}", b'["Product:NAME"]', b'["Product:NAME",[1]]', b"\xff"])
def test_a_signed_text_that_is_no_cursor_is_refused(payload: bytes) -> None:
    with pytest.raises(BadUserInput):
        open_cursor(SIGNER.sign(payload), "Product:NAME", SIGNER, "after")


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        open_cursor(text, "Product:NAME", SIGNER, "after")


def test_a_cursor_is_a_short_array() -> None:
    assert msgspec.json.encode(Cursor("s", ("a",))) == b'["s",["a"]]'
