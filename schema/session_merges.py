"""An anonymous session becomes part of an account."""

from __future__ import annotations

from dataclasses import asdict

import strawberry

from resolvers import session_merges
from schema.context import Info
from schema.errors import UserError, outcome, user_errors


@strawberry.input(description="An anonymous session that is to become part of the caller's account.")
class MergeSessionInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="Needed: the refresh token of the anonymous session, as refreshSession takes it."
    )
    session_token: str | None = strawberry.field(
        default=None,
        description="An access token, which is no proof any more, and not looked at.",
        deprecation_reason="Send refreshToken.",
    )


@strawberry.type(description="What an account has taken over. A repeat gives the same figures.")
class MergeSessionPayload:
    swipes: int = strawberry.field(default=0, description="Swipes that moved.")
    clicks: int = strawberry.field(default=0, description="Tracked links that moved.")
    views: int = strawberry.field(default=0, description="Product views that moved.")
    assessments: int = strawberry.field(default=0, description="Quiz results that moved.")
    user_errors: list[UserError] = user_errors()


@strawberry.type
class SessionMergeMutation:
    @strawberry.mutation(
        description="Moves all of an anonymous session to the caller's account. The session is over with it, and "
        "cannot go to a second account."
    )
    @outcome(MergeSessionPayload)
    async def merge_session(self, info: Info, input: MergeSessionInput) -> MergeSessionPayload:
        context = info.context
        merged = await session_merges.merge(context.services, context.claims, input.refresh_token)
        return MergeSessionPayload(**asdict(merged))
