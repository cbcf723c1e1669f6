"""The person who asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from db.queries import QUERIES, Fragment
from db.rows import RowType
from db.sources import Reference
from resolvers import profiles, second_factors
from resolvers.second_factors import MAX_FACTORS
from schema.bounds import at_most
from schema.connection import Connection, connect, paged
from schema.consents import Consent, ConsentPurpose, consents_of
from schema.context import Info
from schema.errors import UserError, outcome, user_errors
from schema.node import RowNode, column, load, row, to_one
from schema.preferences import Preferences
from schema.scalars import JSON, from_jsonb

if TYPE_CHECKING:
    from schema.affiliate_clicks import AffiliateClick
    from schema.dismissed_reasons import DismissedReason
    from schema.gift_links import GiftLink
    from schema.personality import PersonalityProfile
    from schema.quiz_drafts import QuizProgress
    from schema.second_factors import SecondFactor
    from schema.sessions import Session
    from schema.swipes import Swipe


@strawberry.type(description="Counts of a person's activity.")
class UserAnalyticsSummary:
    swipes: int = strawberry.field(description="Swipes that were not undone.")
    likes: int = strawberry.field(description="Likes among them.")
    super_likes: int = strawberry.field(description="Super-likes among them.")
    views: int = strawberry.field(description="Product views.")
    affiliate_clicks: int = strawberry.field(description="Tracked links requested.")
    conversions: int = strawberry.field(description="Clicks that earned a commission.")
    sessions: int = strawberry.field(description="Sign-ins and anonymous sessions.")


@row("public.profiles")
@strawberry.type(description="A person, or an anonymous session.")
class Profile(RowNode):
    is_anonymous: bool = column("Whether this is an anonymous session.")
    email: str | None = column("E-mail of the account.")
    email_verified_at: datetime | None = column("When they verified the e-mail; null before.")
    display_name: str | None = column("The name to show.")
    stated_preferences: JSON | None = column(
        "Preferences that they stated themselves.",
        "preferences",
        read=from_jsonb,
        is_jsonb=True,
    )
    created_at: datetime = column("When they were first seen.")

    @strawberry.field(description="Their consents, one per purpose.", metadata=at_most(len(ConsentPurpose)))
    async def consents(self, info: Info) -> list[Consent]:
        return await consents_of(info, self.record["id"])

    preferences: Preferences | None = to_one(
        "Preferences derived from their swipes; null before the first swipe and without personalisation.",
        "id",
        by="user_id",
    )
    personality: Annotated[PersonalityProfile, strawberry.lazy("schema.personality")] | None = to_one(
        "Their personality, according to the quiz and the swipes; null before there was enough of either.",
        "id",
        by="user_id",
    )

    quiz_progress: Annotated[QuizProgress, strawberry.lazy("schema.quiz_drafts")] | None = to_one(
        "The quiz that they are answering, wherever they began it; null without saved answers.", "id", by="user_id"
    )

    @paged("Their swipes that were not undone, newest first.")
    @staticmethod
    def swipes(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[Swipe, strawberry.lazy("schema.swipes")]]:
        from schema.swipes import Swipe

        return _newest(info, Swipe.ROW, first, after, [QUERIES["swipes.not_undone"].bind()])

    @paged("The tracked links that they requested, newest first.")
    @staticmethod
    def affiliate_clicks(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[AffiliateClick, strawberry.lazy("schema.affiliate_clicks")]]:
        from schema.affiliate_clicks import AffiliateClick

        return _newest(info, AffiliateClick.ROW, first, after, [QUERIES["affiliate_clicks.is_requested"].bind()])

    @paged("The gift links that they created, newest first, including revoked and expired ones.")
    @staticmethod
    def gift_links(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[GiftLink, strawberry.lazy("schema.gift_links")]]:
        from schema.gift_links import GiftLink

        return _newest(info, GiftLink.ROW, first, after)

    @paged("What their recommendations are not to follow from, newest first: see `dismissReason`.")
    @staticmethod
    def dismissed_reasons(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[DismissedReason, strawberry.lazy("schema.dismissed_reasons")]]:
        from schema.dismissed_reasons import DismissedReason

        where = [QUERIES["dismissed_reasons.is_current"].bind()]
        return _newest(info, DismissedReason.ROW, first, after, where)

    @paged("Their active sessions, newest first.")
    @staticmethod
    def sessions(
        info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Annotated[Session, strawberry.lazy("schema.sessions")]]:
        from schema.sessions import Session

        return _newest(info, Session.ROW, first, after, [QUERIES["sessions.live"].bind()])

    @strawberry.field(
        description="Their second factors, oldest first, including those never verified.",
        metadata=at_most(MAX_FACTORS),
    )
    async def second_factors(
        self, info: Info
    ) -> list[Annotated[SecondFactor, strawberry.lazy("schema.second_factors")]]:
        from schema.second_factors import SecondFactor

        return [SecondFactor.of(row) for row in await second_factors.listed(info.context.session, self.record["id"])]

    @strawberry.field(description="Counts of their activity since a timestamp, or ever.")
    async def analytics(self, info: Info, since: datetime | None = None) -> UserAnalyticsSummary:
        counts = await profiles.analytics(info.context.session, since)
        return UserAnalyticsSummary(**counts)


def _newest(
    info: Info, row_type: RowType, first: int | None, after: str | None, where: list[Fragment] | None = None
) -> Connection[Any]:
    """A page of a person's rows, newest first."""
    order = row_type.orders["NEWEST"]
    return connect(info, row_type, order, first=first, after=after, where=where, parent="r.user_id = parent.key")


@strawberry.type
class ProfileQuery:
    @strawberry.field(
        description="The caller; null without a token. An anonymous session has a profile too.",
        graphql_type=Profile | None,
    )
    def me(self, info: Info) -> Reference[Profile]:
        return load(info, Profile, info.context.session.claims.subject)


@strawberry.input(description="Changes to the caller's profile; omitted fields stay unchanged.")
class UpdateProfileInput:
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="At most 100 characters; null clears it."
    )
    stated_preferences: JSON | None = strawberry.field(
        default=None,
        description="A JSON object of at most 16 KiB; replaces the old one. The caller's recommendations follow its "
        "members `favouriteCategories` and `avoidCategories` (slugs; also of all below them), `brands` (slugs), "
        "`tags`, `priceRange` (`{min, max}`) and `currency`; it may have others.",
    )


@strawberry.type(description="The outcome of changing a profile.")
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
            default_currency=info.context.services.settings.default_currency,
        )
        return UpdateProfilePayload(profile=load(info, Profile, user))
