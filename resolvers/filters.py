"""Texts in filters of lists."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import Invalid
from domain.texts import require_no_nul

MAX_LIST = 50


def text_of(text: str, name: str) -> str:
    """A value of a filter. Raises Invalid for a NUL."""
    require_no_nul(text, ("filter", name))
    return text


def texts_of(texts: Sequence[str], name: str) -> list[str]:
    """The values of a filter. Raises Invalid for more than MAX_LIST, or a NUL."""
    if len(texts) > MAX_LIST:
        raise Invalid(f"`{name}` holds {len(texts)} values: at most {MAX_LIST}.", ("filter", name))
    return [text_of(text, name) for text in texts]
