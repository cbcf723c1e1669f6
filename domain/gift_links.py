"""The token in a gift link's URL: the link's id and an HMAC, so that it need not be stored. And the value in the form
of its page, which is valid for a while: without it a visit does not use the link."""

from __future__ import annotations

from uuid import UUID

from domain.signing import Signer

MAX_TOKEN = 64  # longer than any token
MAX_VISIT = 80
VISIT_SECONDS = 3600
_TIME_BYTES = 8
_NONCE_BYTES = 16


def encode_token(link: UUID, signer: Signer) -> str:
    return signer.sign(link.bytes)


def decode_token(token: str, signer: Signer) -> UUID | None:
    """The link's id; None for anything that was not signed here."""
    payload = signer.open(token) if len(token) <= MAX_TOKEN else None
    return UUID(bytes=payload) if payload is not None and len(payload) == 16 else None


def encode_visit(link: UUID, signer: Signer, *, now: float, nonce: UUID) -> str:
    """A value for one rendering of the link's page."""
    return signer.sign(link.bytes + int(now + VISIT_SECONDS).to_bytes(_TIME_BYTES) + nonce.bytes)


def is_visit(visit: str, link: UUID, signer: Signer, *, now: float) -> bool:
    """Whether this is a value from the link's page that is still valid."""
    payload = signer.open(visit) if len(visit) <= MAX_VISIT else None
    return (
        payload is not None
        and len(payload) == 16 + _TIME_BYTES + _NONCE_BYTES
        and payload[:16] == link.bytes
        and int.from_bytes(payload[16 : 16 + _TIME_BYTES]) > now
    )
