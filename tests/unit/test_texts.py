"""Which texts hold a NUL, and how they are refused."""

from __future__ import annotations

import msgspec
import pytest

from domain.errors import Invalid
from domain.texts import has_escaped_nul, require_no_nul


@pytest.mark.parametrize("backslashes", range(5))
def test_only_a_nul_is_a_nul_in_json(backslashes: int) -> None:
    text = "\\" * backslashes
    assert has_escaped_nul(msgspec.json.encode({"a": text + "\0"}))
    assert has_escaped_nul(msgspec.json.encode({text + "\0": 1}))
    assert not has_escaped_nul(msgspec.json.encode({"a": text + "u0000"}))


def test_a_text_with_a_nul_is_refused_with_its_field() -> None:
    with pytest.raises(Invalid, match="`message` holds a NUL") as refused:
        require_no_nul("a\0b", ("input", "message"))
    assert refused.value.field == ("input", "message")


def test_any_other_text_is_not() -> None:
    for text in (None, "", "\\u0000", "\U0001f381"):
        require_no_nul(text, ("message",))
