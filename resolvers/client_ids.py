"""Client-generated ids, which make requests idempotent. A UUID of version 7 carries its time, which determines the
row's partition, so an implausible time is refused.

A client whose clock may be wrong sends its time (`sentAt`), and the time of its ids is corrected by the difference.
Their other 80 bits stay and identify repeats, as each request computes a slightly different correction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from db.session import Session
from domain.errors import Invalid, LimitReached, UserError
from resolvers.profiles import require_subject

MAX_ITEMS = 100
OLDEST_SECONDS = 30 * 24 * 3600
CLOCK_SKEW_SECONDS = 5 * 60
_REST = (1 << 80) - 1

New = TypeVar("New")
Checked = TypeVar("Checked")


class Misdated(Invalid):
    """The time of an id is implausible. `rest` is the text of the other 80 bits."""

    def __init__(self, rest: str, field: tuple[str, ...]) -> None:
        super().__init__("The time of this id is in the future or more than 30 days ago; see `sentAt`.", field)
        self.rest = rest


async def record(
    session: Session,
    noun: str,
    field: str,
    items: Sequence[New],
    sent_at: datetime | None,
    check: Callable[[New, tuple[str, ...], int], tuple[UUID, Checked]],
    columns: Callable[[Sequence[Checked]], Mapping[str, Any]],
) -> tuple[list[asyncpg.Record], list[UserError]]:
    """Stores new items of a noun, by its queries `lock`, `record` and `known`; returns the rows of `record` (none
    without consent to analytics), and the errors of others. `sent_at` is the client's time when sending. `check` takes
    an item, its path and the client's skew, and returns its id and its values, which `columns` turns into arguments of
    `record`; it raises UserError. Raises LimitReached for more than MAX_ITEMS."""
    user = require_subject(session)
    if len(items) > MAX_ITEMS:
        raise LimitReached(f"`{field}` holds {len(items)}: at most {MAX_ITEMS} at once.", (field,))
    skew = _skew_of(sent_at)
    ids: list[UUID] = []
    checked: list[Checked] = []
    errors: list[UserError] = []
    for position, item in enumerate(items):
        try:
            id, values = check(item, (field, str(position)), skew)
        except UserError as error:
            errors.append(error)
        else:
            ids.append(id)
            checked.append(values)
    may_repeat_corrected = _may_repeat_corrected(sent_at, ids)
    if may_repeat_corrected:
        await session.fetch(f"{noun}.lock", user_id=user)
    stored = await session.fetch(
        f"{noun}.record",
        user_id=user,
        may_repeat_corrected=may_repeat_corrected,
        ids=ids,
        **columns(checked),
    )
    session.stored_part = len(stored) / max(1, len(items))
    return stored, await _without_repeats(session, f"{noun}.known", user, errors)


def _skew_of(sent_at: datetime | None) -> int:
    """Milliseconds by which the client's clock is ahead; 0 if no correction is needed."""
    if sent_at is None:
        return 0
    ahead = sent_at.timestamp() - time.time()
    return int(ahead * 1000) if abs(ahead) > CLOCK_SKEW_SECONDS else 0


def _may_repeat_corrected(sent_at: datetime | None, ids: Iterable[UUID]) -> bool:
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
        raise Invalid(f"`{field[-1]}` must be a UUID of version 7 with the time of the event.", field)
    milliseconds = (found.int >> 80) - skew
    age = time.time() - milliseconds / 1000
    if not -CLOCK_SKEW_SECONDS <= age <= OLDEST_SECONDS:
        raise Misdated(str(found)[14:], field)
    return UUID(int=milliseconds << 80 | found.int & _REST)


async def _without_repeats(session: Session, query: str, user: UUID, errors: Sequence[UserError]) -> list[UserError]:
    """These errors, without those for ids that an earlier request stored with a corrected time. `query` returns the
    `rest` of each stored id."""
    rests = [error.rest for error in errors if isinstance(error, Misdated)]
    if not rests:
        return list(errors)
    known = {row["rest"] for row in await session.fetch(query, user_id=user, rests=rests)}
    return [error for error in errors if not (isinstance(error, Misdated) and error.rest in known)]
