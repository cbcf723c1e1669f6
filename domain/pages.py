"""Arguments of connections, and their cursors."""

from __future__ import annotations

import msgspec

from domain.errors import BadUserInput
from domain.signing import Signer

DEFAULT_SIZE = 20
MAX_SIZE = 100


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in a connection: the connection and order it is valid for, and the sort values of its row."""

    scope: str
    values: tuple[str, ...]

    def sign(self, signer: Signer) -> str:
        return signer.sign(msgspec.json.encode(self))


def open_cursor(text: str, scope: str, signer: Signer, argument: str) -> tuple[str, ...]:
    """The sort values of a cursor of this scope. Raises BadUserInput for any other text."""
    payload = signer.open(text)
    if payload is not None:
        try:
            cursor = msgspec.json.decode(payload, type=Cursor)
        except msgspec.DecodeError:
            cursor = None
        if cursor is not None and cursor.scope == scope:
            return cursor.values
    raise BadUserInput(f"`{argument}` is not a cursor of this connection and order.")


def size_of(first: int | None, last: int | None = None) -> tuple[int, bool]:
    """(page size, whether backwards) of a connection; a page of size 0 still has hasNextPage and totalCount. Raises
    BadUserInput if both are given, or one is not 0..`MAX_SIZE`."""
    if first is not None and last is not None:
        raise BadUserInput("Give `first` or `last`, not both.")
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 0 <= value <= MAX_SIZE:
            raise BadUserInput(f"`{name}` must be from 0 to {MAX_SIZE}.")
    if last is not None:
        return last, True
    return (DEFAULT_SIZE if first is None else first), False


def length_of(first: int, maximum: int = MAX_SIZE) -> int:
    """The length of a plain list. Raises BadUserInput unless it is 0..`maximum`."""
    if not 0 <= first <= maximum:
        raise BadUserInput(f"`first` must be from 0 to {maximum}.")
    return first
