"""Subscriptions. Changes arrive as ids; the data is read under the subscriber's claims."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.claims import SERVICE, Claims
from domain.errors import Overloaded, Unauthenticated
from domain.switches import Switch
from services.services import Services

# The topics of db/changes.py that each field follows. A person's feed depends on their preferences.
TOPICS = {
    "preferencesUpdated": ("preferences",),
    "recommendationsUpdated": ("preferences", "feeds"),
    "affiliateConversion": ("conversions",),
}
SKIP_NULL_EVENTS = frozenset({"recommendationsUpdated", "affiliateConversion"})  # null: nothing has happened
MAX_QUEUED_IDS = 100  # ids queued for a slow subscriber
OVERLAP = timedelta(minutes=1)  # when catching up: clocks differ, and transactions take time to commit


@dataclass(frozen=True, slots=True)
class Change:
    """The subject of an event: the row with this id, or, without one, a state that each person has once."""

    id: UUID | None = None


_STATE = Change()


class Subscription:
    """The queue of changes for one subscriber. Changes of a state are coalesced, so that they never pile up."""

    def __init__(self, services: Services, claims: Claims, field: str) -> None:
        """Starts listening. Raises Unauthenticated without a subject."""
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
        self._forgets.append(services.switches.listen(self._has_some.set))

    def _heard(self, detail: str | None) -> None:
        if not self._has_ids:
            self._waiting[_STATE] = None
        elif detail is None:
            self._missed_since = self._missed_since or self._heard_at
        else:
            try:
                change = Change(UUID(detail))
            except ValueError:
                return  # any role may NOTIFY
            if not self._waiting:
                self._oldest_at = datetime.now(UTC)
            self._waiting[change] = None
            if len(self._waiting) > MAX_QUEUED_IDS:  # they may be forged: what really happened is read from the table
                self._waiting.clear()
                self._missed_since = self._missed_since or self._oldest_at
        self._heard_at = datetime.now(UTC)
        self._has_some.set()

    async def next(self) -> Change:
        """Waits for the next change. Raises Overloaded if more came than the queue holds, and SwitchedOff once
        subscriptions are."""
        while True:
            await self._has_some.wait()
            self._services.switches.require(Switch.SUBSCRIPTIONS)
            if self._missed_since is not None:
                since, self._missed_since = self._missed_since, None
                await self._look_back(since)
            if self._waiting:
                change = next(iter(self._waiting))
                del self._waiting[change]
                return change
            self._has_some.clear()

    async def _look_back(self, since: datetime) -> None:
        """Reads the ids of what happened while no notifications arrived."""
        async with self._services.database.session(SERVICE, read_only=True) as session:
            rows = await session.fetch(
                "affiliate_clicks.converted_since",
                user_id=self._person,
                since=since - OVERLAP,
                maximum=MAX_QUEUED_IDS + 1,
            )
        if len(rows) > MAX_QUEUED_IDS:
            raise Overloaded("Events came faster than they were read: subscribe again.")
        self._waiting.update({Change(row["click_id"]): None for row in rows})

    def close(self) -> None:
        """Stops listening."""
        for forget in self._forgets:
            forget()
