"""Text that Postgres can store: any Unicode but NUL (U+0000)."""

from __future__ import annotations

import re

from domain.errors import Invalid

# In JSON text. After an odd number of backslashes `\u0000` is six literal characters.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def has_escaped_nul(json: bytes) -> bool:
    """Whether a string or key in this valid JSON text contains a NUL."""
    return b"\\u0000" in json and _ESCAPED_NUL.search(json) is not None


def nul_error(field: tuple[str, ...]) -> Invalid:
    """The error for an input that contains a NUL."""
    return Invalid(f"`{field[-1]}` holds a NUL character (U+0000), which cannot be stored: remove it.", field)


def require_no_nul(text: str | None, field: tuple[str, ...]) -> None:
    """Raises Invalid for text with a NUL."""
    if text is not None and "\0" in text:
        raise nul_error(field)
