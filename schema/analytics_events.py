"""What happened on the pages of a front end."""

from __future__ import annotations

from datetime import datetime

import strawberry

from resolvers import analytics_events
from resolvers.analytics_events import MAX_COUNTS, NewEvent
from schema.bounds import at_most
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.scalars import JSON


@strawberry.input(description="Something that happened.")
class EventInput:
    id: strawberry.ID = strawberry.field(
        description="A UUID of version 7, made by the client when it happened: a repeat changes nothing."
    )
    name: str = strawberry.field(description="What happened, 1 to 100 characters, such as quiz_opened.")
    properties: JSON | None = strawberry.field(
        default=None, description="More about it: a JSON object of at most 4 KiB, without personal data."
    )
    page: str | None = strawberry.field(default=None, description="Where, at most 200 characters.")


@strawberry.input(description="Things that happened.")
class RecordEventsInput:
    events: list[EventInput] = strawberry.field(description="At most 100.")


@strawberry.type(description="What came of recording events.")
class RecordEventsPayload:
    recorded: int = strawberry.field(default=0, description="How many were new.")
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="How often something happened.")
class EventCount:
    name: str = strawberry.field(description="What happened.")
    events: int = strawberry.field(description="How often.")
    people: int = strawberry.field(description="To how many people and anonymous sessions.")


@strawberry.type
class AnalyticsEventQuery:
    @strawberry.field(
        description=f"The {MAX_COUNTS} commonest events of a time of at most 366 days, commonest first. For analysts "
        "and administrators.",
        metadata=at_most(MAX_COUNTS),
    )
    async def event_counts(self, info: Info, since: datetime, until: datetime | None = None) -> list[EventCount]:
        counted = await analytics_events.counts(info.context.session, since, until)
        return [EventCount(**row) for row in counted]


@strawberry.type
class AnalyticsEventMutation:
    @strawberry.mutation(description="Records what the caller did.")
    @outcome(RecordEventsPayload, stores=Stores(row=200, each="events"))
    async def record_events(self, info: Info, input: RecordEventsInput) -> RecordEventsPayload:
        events = [
            NewEvent(id=event.id, name=event.name, properties=event.properties, page=event.page)
            for event in input.events
        ]
        return RecordEventsPayload(recorded=await analytics_events.record(info.context.session, events))
