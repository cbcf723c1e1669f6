"""Where one is signed in, and how that ends."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.rows import Order
from db.sources import Reference
from domain import ids
from resolvers import sessions
from resolvers.profiles import require_subject
from schema.context import Context, Info
from schema.errors import NOTHING, UserError, outcome, user_errors
from schema.node import RowNode, column, load, row


def _is_current(context: Context, id: UUID | str) -> bool:
    return str(id) == str(context.session.claims.session_id)


@row(
    "public.user_sessions",
    owner="user_id",
    orders={"NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)},
)
@strawberry.type(description="A sign-in, on one device, until it ends.")
class Session(RowNode):
    created_at: datetime = column("When it started.")
    last_used_at: datetime = column("When its tokens were last exchanged.")
    expires_at: datetime = column("When it expires unless it is used before.")
    revoked_at: datetime | None = column("When it was ended; null while it is active.")
    user_agent: str | None = column("The user agent of the browser or app, at most 400 characters.")

    is_current: bool = column(
        "Whether the access token of this request belongs to it.", "id", read=_is_current, with_context=True
    )


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="One of the caller's own.")


@strawberry.type(description="The outcome of ending a session.")
class RevokeSessionPayload:
    session: Reference[Session] | None = strawberry.field(
        graphql_type=Session | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type(description="The outcome of ending the other sessions.")
class RevokeOtherSessionsPayload:
    revoked: int = strawberry.field(default=0, description="How many sessions were ended.")
    user_errors: list[UserError] = user_errors()


@strawberry.type
class SessionMutation:
    @strawberry.mutation(
        description="Ends one of the caller's sessions; idempotent. Its access token stays valid until it expires, in "
        "15 minutes or less. Ending a session other than the current one needs the second factor, if "
        "there is one."
    )
    @outcome(RevokeSessionPayload, stores=NOTHING)
    async def revoke_session(self, info: Info, input: RevokeSessionInput) -> RevokeSessionPayload:
        context = info.context
        require_subject(context.session)
        key = ids.decode_as("Session", input.session_id)
        ended = await sessions.revoke(context.services, context.claims, key)
        return RevokeSessionPayload(session=load(info, Session, ended))

    @strawberry.mutation(
        description="Ends all sessions of the caller except the current one. Needs the second factor, if there is one."
    )
    @outcome(RevokeOtherSessionsPayload, stores=NOTHING)
    async def revoke_other_sessions(self, info: Info) -> RevokeOtherSessionsPayload:
        context = info.context
        require_subject(context.session)
        return RevokeOtherSessionsPayload(revoked=await sessions.revoke_others(context.services, context.claims))
