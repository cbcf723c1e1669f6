"""Global ids: base64url of `Type:uuid`, opaque to clients."""

from __future__ import annotations

import base64
import binascii
import functools
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from uuid import UUID

LENGTH = 36  # of a key as text


@functools.cache
def encoder(type_name: str) -> Callable[[UUID | str], str]:
    """A function that encodes global ids of this type. base64 and base64url are the same for type names and uuids: only
    `>`, `?` and `~` could differ."""
    prefix = f"{type_name}:"
    end = -(-(len(prefix) + LENGTH) % 3) or None

    def encode_key(key: UUID | str) -> str:
        return b2a_base64(f"{prefix}{key}".encode(), newline=False)[:end].decode()

    return encode_key


def encode(type_name: str, key: UUID | str) -> str:
    """The global id of a row."""
    return encoder(type_name)(key)


def decode_bytes(text: str) -> bytes | None:
    """Decodes base64url without padding; None for anything else, including other encodings of the same bytes."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None


def decode(text: str) -> tuple[str, UUID] | None:
    """(type name, key), or None if the id is not from encode: each row has exactly one id."""
    try:
        type_name, _, key = a2b_base64(text + "==").decode("ascii").partition(":")
        parsed = UUID(key)
    except ValueError:
        return None
    again = b2a_base64(f"{type_name}:{parsed}".encode(), newline=False).rstrip(b"=").decode()
    return (type_name, parsed) if again == text and type_name.isalnum() else None


def decode_as(type_name: str, text: str) -> UUID | None:
    """The key of an id of this type; None for every other text."""
    decoded = decode(text)
    return decoded[1] if decoded and decoded[0] == type_name else None
