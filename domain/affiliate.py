"""Tracked links: the token in their URL, and the disclosure for readers."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

TOKEN_LENGTH = 26
TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # noqa: S105  no secret

_DISCLOSURE = "If you buy through this link, we may earn a commission. It does not change what you pay."
_DISCLOSURES = {  # networks that prescribe the wording
    "amazon": "As an Amazon Associate I earn from qualifying purchases.",
}


def disclosure(network: str | None) -> str | None:
    """The disclosure that must accompany a link of this affiliate network; None if the link is not paid for."""
    return None if network is None else _DISCLOSURES.get(network, _DISCLOSURE)


def encode_token(click: UUID) -> str:
    """Base32 of the click's id in lower case, without padding: 26 letters and digits, as every network accepts."""
    return base64.b32encode(click.bytes).rstrip(b"=").decode().lower()


def decode_token(token: str) -> UUID | None:
    """The click's id; None for anything that encode_token does not produce."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    try:
        click = UUID(bytes=base64.b32decode(token.upper() + "======"))
    except (binascii.Error, ValueError):
        return None
    return click if encode_token(click) == token else None
