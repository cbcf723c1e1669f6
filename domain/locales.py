"""Locales that clients ask for."""

from __future__ import annotations

MAX_LENGTH = 35  # of a language tag that all software takes (RFC 5646, 4.4.1); what is longer names no text of ours


def fallbacks(locale: str) -> tuple[str, str]:
    """The locale as a tag in lower case, "de-at", and its language, "de": where to look for a text, in this order."""
    tag = locale[:MAX_LENGTH].replace("_", "-").lower()
    return tag, tag.partition("-")[0]
