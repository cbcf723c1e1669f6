"""What completes a text that somebody is typing."""

from __future__ import annotations

from uuid import UUID

from db.session import Session
from domain.errors import Invalid
from domain.pages import length_of
from domain.texts import require_no_nul

MAX_PREFIX_LENGTH = 100
MAX_SUGGESTIONS = 20  # of each kind
DEFAULT_SUGGESTIONS = 5


def check(prefix: str, first: int) -> None:
    """Raises Invalid for a text that is too long or holds a NUL, BadUserInput for an impossible `first`."""
    length_of(first, maximum=MAX_SUGGESTIONS)
    require_no_nul(prefix, ("prefix",))
    if len(prefix) > MAX_PREFIX_LENGTH:
        raise Invalid(f"`prefix` has at most {MAX_PREFIX_LENGTH} characters.", ("prefix",))


async def products(session: Session, prefix: str, size: int) -> list[UUID]:
    """The most popular products with a word in their name that begins with each word of the prefix."""
    found: list[UUID] = await session.fetchval("suggestions.products", prefix=prefix, size=size)
    return found


async def named(session: Session, kind: str, prefix: str, size: int) -> list[UUID]:
    """The same for brands (`brand`) or categories (`category`), those with the most products first."""
    return [UUID(key) for key in await session.fetchval("suggestions.names", kind=kind, prefix=prefix, size=size)]


async def tags(session: Session, prefix: str, size: int) -> list[str]:
    """The same for tags, the most frequent first."""
    found: list[str] = await session.fetchval("suggestions.names", kind="tag", prefix=prefix, size=size)
    return found
