"""Ids that clients choose, so that sending something twice stores it once. A UUID of version 7 carries its time, which
says into which partition the row belongs: one that cannot be is refused."""

from __future__ import annotations

import time
from uuid import UUID

from domain.errors import Invalid

OLDEST_SECONDS = 30 * 24 * 3600
CLOCK_SKEW_SECONDS = 5 * 60


def recent(text: str, field: tuple[str, ...]) -> UUID:
    """The id as a UUIDv7 of a time that can be: not in the future, not older than 30 days. Raises Invalid."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or found.version != 7:
        raise Invalid("Give a UUID of version 7, made at the moment it stands for.", field)
    age = time.time() - (found.int >> 80) / 1000
    if not -CLOCK_SKEW_SECONDS <= age <= OLDEST_SECONDS:
        raise Invalid("The time of this id is in the future or more than 30 days ago.", field)
    return found
