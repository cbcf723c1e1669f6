"""Normalises passwords, which keyboards and systems encode in different ways."""

from __future__ import annotations

import re
import unicodedata

MIN_LENGTH, MAX_LENGTH = 8, 1024
# No character decomposes canonically into more than four: a longer text is not an encoding of a password that fits.
MAX_TYPED_LENGTH = 4 * MAX_LENGTH
_SURROGATE = re.compile("[\ud800-\udfff]")


def normalise(password: str) -> str:
    """NFKC (NIST SP 800-63B, 5.1.1.2). Text that is longer than any password is truncated first, as normalising is
    quadratic in the number of combining marks; the result is still too long."""
    return unicodedata.normalize("NFKC", password[: MAX_TYPED_LENGTH + 1])


def fits(password: str) -> bool:
    """Whether the normalised text is acceptable as a new password. Surrogates, which are no characters, are not."""
    if len(password) > MAX_TYPED_LENGTH or _SURROGATE.search(password):
        return False
    return MIN_LENGTH <= len(normalise(password)) <= MAX_LENGTH


def spellings(password: str) -> list[str]:
    """The forms of a password whose hash an account may have, the normalised one first. Hashes of the text as typed are
    from before passwords were normalised."""
    normalised, typed = normalise(password)[: MAX_LENGTH + 1], password[: MAX_LENGTH + 1]
    return [normalised] if typed == normalised else [normalised, typed]
