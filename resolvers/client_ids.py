"""Client-generated ids, which make requests idempotent. A UUID of version 7 carries its time, which determines the
row's partition, so an implausible time is refused.

A client whose clock may be wrong sends its time (`sentAt`), and the time of its ids is corrected by the difference.
Their other 80 bits stay and identify repeats, as each request computes a slightly different correction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from db.session import Session
from domain.errors import Invalid, UserError

OLDEST_SECONDS = 30 * 24 * 3600
CLOCK_SKEW_SECONDS = 5 * 60
_REST = (1 << 80) - 1


class Misdated(Invalid):
    """The time of an id is implausible. `rest` is the text of the other 80 bits."""

    def __init__(self, rest: str, field: tuple[str, ...]) -> None:
        super().__init__("The time of this id is in the future or more than 30 days ago; see `sentAt`.", field)
        self.rest = rest


def skew_of(sent_at: datetime | None) -> int:
    """Milliseconds by which the client's clock is ahead; 0 if no correction is needed."""
    if sent_at is None:
        return 0
    ahead = sent_at.timestamp() - time.time()
    return int(ahead * 1000) if abs(ahead) > CLOCK_SKEW_SECONDS else 0


def may_repeat_corrected(sent_at: datetime | None, ids: Iterable[UUID]) -> bool:
    """Whether some of these ids may repeat ids that an earlier request stored with a corrected time. Without `sentAt`
    only old ids can: what has just happened cannot have been sent before."""
    earliest = (time.time() - CLOCK_SKEW_SECONDS) * 1000
    return sent_at is not None or any(id.int >> 80 < earliest for id in ids)


def recent(text: str, field: tuple[str, ...], skew: int) -> UUID:
    """The id as a UUIDv7 in server time, which must be plausible: not in the future, not older than 30 days. Raises
    Invalid, or Misdated."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or found.version != 7:
        raise Invalid("Give a UUID of version 7 with the time of the event.", field)
    milliseconds = (found.int >> 80) - skew
    age = time.time() - milliseconds / 1000
    if not -CLOCK_SKEW_SECONDS <= age <= OLDEST_SECONDS:
        raise Misdated(str(found)[14:], field)
    return UUID(int=milliseconds << 80 | found.int & _REST)


async def without_repeats(session: Session, query: str, user: UUID, errors: Sequence[UserError]) -> list[UserError]:
    """These errors, without those for ids that an earlier request stored with a corrected time. `query` returns the
    `rest` of each stored id."""
    rests = [error.rest for error in errors if isinstance(error, Misdated)]
    if not rests:
        return list(errors)
    known = {row["rest"] for row in await session.fetch(query, user_id=user, rests=rests)}
    return [error for error in errors if not (isinstance(error, Misdated) and error.rest in known)]
