"""The person who asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry

from db.queries import QUERIES
from db.rows import Order
from db.sources import Reference
from resolvers import profiles, second_factors
from resolvers.second_factors import MAX_FACTORS
from schema.bounds import at_most
from schema.connection import Connection, connect
from schema.consents import Consent, ConsentPurpose, consents_of
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, load, row, to_one
from schema.preferences import Preferences
from schema.scalars import JSON, from_jsonb

if TYPE_CHECKING:
    from schema.affiliate_clicks import AffiliateClick
    from schema.gift_links import GiftLink
    from schema.personality import PersonalityProfile
    from schema.quiz_drafts import QuizProgress
    from schema.second_factors import SecondFactor
    from schema.sessions import Session
    from schema.swipes import Swipe


@strawberry.type(description="What somebody did, in numbers.")
class UserAnalyticsSummary:
    swipes: int = strawberry.field(description="Swipes that were not undone.")
    likes: int = strawberry.field(description="Likes among them.")
    super_likes: int = strawberry.field(description="Super-likes among them.")
    views: int = strawberry.field(description="Products looked at.")
    affiliate_clicks: int = strawberry.field(description="Tracked links asked for.")
    conversions: int = strawberry.field(description="Clicks that earned a commission.")
    sessions: int = strawberry.field(description="Sign-ins and anonymous sessions.")


@row("public.profiles")
@strawberry.type(description="A person, or an anonymous session.")
class Profile(RowNode):
    is_anonymous: bool = column("Whether this is an anonymous session.")
    email: str | None = column("E-mail of the account.")
    email_verified_at: datetime | None = column("When they showed that the e-mail is theirs; null before.")
    display_name: str | None = column("What to call them.")
    stated_preferences: JSON | None = column(
        "What they said of themselves.",
        "preferences",
        read=from_jsonb,
        is_jsonb=True,
    )
    created_at: datetime = column("When they were first seen.")

    @strawberry.field(description="What they allow, one per purpose.", metadata=at_most(len(ConsentPurpose)))
    async def consents(self, info: Info) -> list[Consent]:
        return await consents_of(info, self.record["id"])

    preferences: Preferences | None = to_one(
        "What their swipes say; null before the first one and without personalisation.", "id", by="user_id"
    )
    personality: Annotated[PersonalityProfile, strawberry.lazy("schema.personality")] | None = to_one(
        "What the quiz and the swipes say; null before there was enough of either.", "id", by="user_id"
    )

    quiz_progress: Annotated[QuizProgress, strawberry.lazy("schema.quiz_drafts")] | None = to_one(
        "The quiz that they are answering, wherever they began it; null without saved answers.", "id", by="user_id"
    )

    @strawberry.field(description="Their swipes that were not undone, newest first.")
    def swipes(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[Swipe, strawberry.lazy("schema.swipes")]]:
        from schema.swipes import Swipe

        return self._connect(info, Swipe.ROW, first, after, [QUERIES["swipes.not_undone"].bind()])

    @strawberry.field(description="The tracked links they asked for, newest first.")
    def affiliate_clicks(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[AffiliateClick, strawberry.lazy("schema.affiliate_clicks")]]:
        from schema.affiliate_clicks import AffiliateClick

        return self._connect(info, AffiliateClick.ROW, first, after)

    @strawberry.field(description="The gift links they made, newest first; revoked and expired ones too.")
    def gift_links(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[GiftLink, strawberry.lazy("schema.gift_links")]]:
        from schema.gift_links import GiftLink

        return self._connect(info, GiftLink.ROW, first, after)

    @strawberry.field(description="Where they are signed in, newest first; without sessions that have ended.")
    def sessions(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[Session, strawberry.lazy("schema.sessions")]]:
        from schema.sessions import Session

        return self._connect(info, Session.ROW, first, after, [QUERIES["sessions.live"].bind()])

    @strawberry.field(
        description="What else they sign in with, oldest first; those never verified too.",
        metadata=at_most(MAX_FACTORS),
    )
    async def second_factors(
        self, info: Info
    ) -> list[Annotated[SecondFactor, strawberry.lazy("schema.second_factors")]]:
        from schema.second_factors import SecondFactor

        return [SecondFactor.of(row) for row in await second_factors.listed(info.context.session, self.record["id"])]

    @strawberry.field(description="What they did, in numbers, since a timestamp or ever.")
    async def analytics(self, info: Info, since: datetime | None = None) -> UserAnalyticsSummary:
        counts = await profiles.analytics(info.context.session, since)
        return UserAnalyticsSummary(**counts)

    def _connect(
        self, info: Info, row_type: Any, first: int | None, after: str | None, where: list[Any] | None = None
    ) -> Connection[Any]:
        newest = cast(Order, row_type.orders["NEWEST"])
        return connect(
            info,
            row_type,
            newest,
            first=first,
            after=after,
            where=where,
            parent="r.user_id = parent.key",
            parent_key=self.record["id"],
        )


@strawberry.type
class ProfileQuery:
    @strawberry.field(
        description="The caller; null without a token. An anonymous session has a profile too.",
        graphql_type=Profile | None,
    )
    def me(self, info: Info) -> Reference[Profile]:
        return load(info, Profile, info.context.session.claims.subject)


@strawberry.input(description="Changes to one's profile; what is left out stays.")
class UpdateProfileInput:
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="At most 100 characters; null clears it."
    )
    stated_preferences: JSON | None = strawberry.field(
        default=None, description="A JSON object of at most 16 KiB; replaces the old one."
    )


@strawberry.type(description="What came of changing a profile.")
class UpdateProfilePayload:
    profile: Reference[Profile] | None = strawberry.field(
        graphql_type=Profile | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ProfileMutation:
    @strawberry.mutation(description="Changes the caller's own profile.")
    @outcome(UpdateProfilePayload)
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> UpdateProfilePayload:
        user = await profiles.update(
            info.context.session,
            name=input.display_name or None,
            set_name=input.display_name is not strawberry.UNSET,
            stated_preferences=input.stated_preferences,
        )
        return UpdateProfilePayload(profile=load(info, Profile, user))
