"""What a subscription waits for. Changes come as ids; what they mean for a caller is read under the caller's claims."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.claims import SERVICE, Claims
from domain.errors import Overloaded, Unauthenticated
from services.services import Services

# By field: the topics of db/changes.py that it follows. The person's preferences are what their feed is made from.
TOPICS = {
    "preferencesUpdated": ("preferences",),
    "recommendationsUpdated": ("preferences", "feeds"),
    "affiliateConversion": ("conversions",),
}
SKIP_NULL_EVENTS = frozenset({"recommendationsUpdated", "affiliateConversion"})  # their null is no news
MAX_WAITING = 100  # ids that are kept for a subscriber who takes none
OVERLAP = timedelta(minutes=1)  # of looking back: clocks differ, and transactions take their time


@dataclass(frozen=True, slots=True)
class Change:
    """What an event is about: the row of this id, or a state of which there is one per person."""

    id: UUID | None = None


_STATE = Change()


class Subscription:
    """Changes that are to be told to one subscriber. Of a state only the latest counts, so they never pile up."""

    def __init__(self, services: Services, claims: Claims, field: str) -> None:
        """Listens from now on. Raises Unauthenticated where nobody is asking."""
        if claims.subject is None:
            raise Unauthenticated("Sign in or start a session first.")
        self.skips_null_events = field in SKIP_NULL_EVENTS
        self._services = services
        self._person = claims.subject
        self._has_ids = field == "affiliateConversion"
        self._waiting: dict[Change, None] = {}
        self._has_some = asyncio.Event()
        self._oldest_at = datetime.now(UTC)
        self._missed_since: datetime | None = None
        self._heard_at = datetime.now(UTC)
        changes = services.database.changes
        owner = str(claims.subject)
        self._forgets = [changes.listen(topic, owner, self._heard) for topic in TOPICS[field]]

    def _heard(self, detail: str | None) -> None:
        if not self._has_ids:
            self._waiting[_STATE] = None
        elif detail is None:
            self._missed_since = self._missed_since or self._heard_at
        else:
            try:
                change = Change(UUID(detail))
            except ValueError:
                return  # anybody with a log-in may notify
            if not self._waiting:
                self._oldest_at = datetime.now(UTC)
            self._waiting[change] = None
            if len(self._waiting) > MAX_WAITING:  # not all of them need be true: what has happened is read
                self._waiting.clear()
                self._missed_since = self._missed_since or self._oldest_at
        self._heard_at = datetime.now(UTC)
        self._has_some.set()

    async def next(self) -> Change:
        """The oldest change that was not given yet. Raises Overloaded where more came than is kept."""
        while True:
            await self._has_some.wait()
            if self._missed_since is not None:
                since, self._missed_since = self._missed_since, None
                await self._look_back(since)
            if self._waiting:
                change = next(iter(self._waiting))
                del self._waiting[change]
                return change
            self._has_some.clear()

    async def _look_back(self, since: datetime) -> None:
        """Finds the ids of what happened while this process heard nothing."""
        async with self._services.database.session(SERVICE, read_only=True) as session:
            rows = await session.fetch(
                "affiliate_clicks.converted_since", user_id=self._person, since=since - OVERLAP, most=MAX_WAITING + 1
            )
        if len(rows) > MAX_WAITING:
            raise Overloaded("Events came faster than they were taken: subscribe again.")
        self._waiting.update({Change(row["click_id"]): None for row in rows})

    def close(self) -> None:
        """Listens no more."""
        for forget in self._forgets:
            forget()
