"""What happened on the pages of a front end."""

from __future__ import annotations

from datetime import datetime

import strawberry

from resolvers import analytics_events
from resolvers.analytics_events import MAX_COUNTS, NewEvent
from schema.bounds import at_most
from schema.context import Info
from schema.errors import Stores, UserError, outcome
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
    sent_at: datetime | None = strawberry.field(
        default=None,
        description="The client's clock at sending. When it is wrong by more than five minutes, what happened "
        "is stored at the server's time; a repeat is still known by its ids, whatever `sentAt` it comes with.",
    )


@strawberry.type(description="The outcome of recording events.")
class RecordEventsPayload:
    recorded: int = strawberry.field(default=0, description="How many were new.")
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="One per item that cannot be stored, with its place in `field`; the others are stored.",
    )


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
        recorded, errors = await analytics_events.record(info.context.session, events, input.sent_at)
        return RecordEventsPayload(recorded=recorded, user_errors=[UserError.of(error) for error in errors])
