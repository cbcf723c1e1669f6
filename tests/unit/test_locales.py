"""Locales: where to look for a text."""

from __future__ import annotations

import pytest

from domain.locales import MAX_LENGTH, fallbacks


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("de", ("de", "de")),
        ("de_AT", ("de-at", "de")),
        ("DE-1996-x", ("de-1996-x", "de")),
        ("", ("", "")),
        ("-", ("-", "")),
    ],
)
def test_from_the_locale_to_its_language(locale: str, expected: tuple[str, str]) -> None:
    assert fallbacks(locale) == expected


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    tag, language = fallbacks("-" * 1_000_000)
    assert (len(tag), language) == (MAX_LENGTH, "")
