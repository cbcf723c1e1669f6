"""Tracked links: the token in their URL and the shop's URL with our click id."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID


def encode_token(click: UUID) -> str:
    """Base32 of the click's id in lower case, without padding: 26 letters and digits, as every network accepts."""
    return base64.b32encode(click.bytes).rstrip(b"=").decode().lower()


def decode_token(token: str) -> UUID | None:
    """The click's id; None for anything that encode_token does not make."""
    if len(token) != 26 or not token.isascii():
        return None
    try:
        click = UUID(bytes=base64.b32decode(token.upper() + "======"))
    except (binascii.Error, ValueError):
        return None
    return click if encode_token(click) == token else None


def tracked_url(offer_url: str, parameter: str | None, token: str) -> str:
    """The offer's URL with the network's sub-id parameter set to the token, in place of any of that name."""
    if parameter is None:
        return offer_url
    parts = urlsplit(offer_url)
    # Other pairs stay to the letter: shops sign them, or encode them in their own way.
    others = [pair for pair in parts.query.split("&") if pair and unquote(pair.partition("=")[0]) != parameter]
    return urlunsplit(parts._replace(query="&".join([*others, f"{parameter}={token}"])))
