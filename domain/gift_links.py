"""The token in a gift link's URL: the link's id and an HMAC. Nothing secret is kept, and it can be made again."""

from __future__ import annotations

from uuid import UUID

from domain.signing import Signer

MAX_TOKEN = 64  # more than any token has


def encode_token(link: UUID, signer: Signer) -> str:
    return signer.sign(link.bytes)


def decode_token(token: str, signer: Signer) -> UUID | None:
    """The link's id; None for anything that was not signed here."""
    payload = signer.open(token) if len(token) <= MAX_TOKEN else None
    return UUID(bytes=payload) if payload is not None and len(payload) == 16 else None
