"""An anonymous session becomes part of an account."""

from __future__ import annotations

from dataclasses import asdict

import strawberry

from resolvers import session_merges
from schema.context import Info
from schema.errors import UserError, outcome, user_errors


@strawberry.input(description="An anonymous session to merge into the caller's account.")
class MergeSessionInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="Required: the refresh token of the anonymous session, as for refreshSession."
    )
    session_token: str | None = strawberry.field(
        default=None,
        description="An access token; it is no longer a proof, and is ignored.",
        deprecation_reason="Send refreshToken.",
    )


@strawberry.type(description="The rows that were moved to an account. A repeat returns the same counts.")
class MergeSessionPayload:
    swipes: int = strawberry.field(default=0, description="Swipes that were moved.")
    clicks: int = strawberry.field(default=0, description="Tracked links that were moved.")
    views: int = strawberry.field(default=0, description="Product views that were moved.")
    assessments: int = strawberry.field(default=0, description="Quiz results that were moved.")
    user_errors: list[UserError] = user_errors()


@strawberry.type
class SessionMergeMutation:
    @strawberry.mutation(
        description="Moves all data of an anonymous session to the caller's account. This ends the session, which "
        "cannot be merged into a second account."
    )
    @outcome(MergeSessionPayload)
    async def merge_session(self, info: Info, input: MergeSessionInput) -> MergeSessionPayload:
        context = info.context
        merged = await session_merges.merge(context.services, context.claims, input.refresh_token)
        return MergeSessionPayload(**asdict(merged))
