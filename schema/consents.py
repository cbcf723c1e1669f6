"""What people allow."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from db.sources import Reference
from resolvers import consents
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import load

if TYPE_CHECKING:
    from schema.profiles import Profile


@strawberry.enum(description="What data may be used for.")
class ConsentPurpose(Enum):
    PERSONALISATION = strawberry.enum_value(
        "personalisation", description="Ranking by swipes, feedback and the quiz. On unless withdrawn."
    )
    ANALYTICS = strawberry.enum_value(
        "analytics", description="Storing which products and pages were viewed. On unless withdrawn."
    )
    MARKETING = strawberry.enum_value(
        "marketing", description="Messages that the person did not request. Off unless granted."
    )


@strawberry.type(description="The current state of a consent.")
class Consent:
    purpose: ConsentPurpose = strawberry.field(description="The purpose.")
    granted: bool = strawberry.field(description="Whether it is granted now.")
    decided_at: datetime | None = strawberry.field(description="When the person last decided; null if they never did.")
    policy_version: str | None = strawberry.field(description="The version of the policy that was shown then.")


async def consents_of(info: Info, user: object) -> list[Consent]:
    """One per purpose."""
    return [
        Consent(
            purpose=ConsentPurpose(row["purpose"]),
            granted=row["granted"],
            decided_at=row["decided_at"],
            policy_version=row["policy_version"],
        )
        for row in await consents.current(info.context.session, user)
    ]


@strawberry.input(description="A decision.")
class ConsentInput:
    purpose: ConsentPurpose = strawberry.field(description="The purpose.")
    granted: bool = strawberry.field(description="False withdraws the consent.")


@strawberry.input(description="Decisions made together.")
class UpdateConsentsInput:
    consents: list[ConsentInput] = strawberry.field(description="Each purpose at most once; others stay unchanged.")
    policy_version: str = strawberry.field(description="The version of the policy that was shown, 1 to 50 characters.")


@strawberry.type(description="The outcome of deciding.")
class UpdateConsentsPayload:
    profile: Reference[Profile] | None = strawberry.field(
        graphql_type=Annotated["Profile", strawberry.lazy("schema.profiles")] | None,
        default=None,
        description="With its consents as they are now.",
    )
    user_errors: list[UserError] = user_errors()


@strawberry.type
class ConsentMutation:
    @strawberry.mutation(
        description="Grants or withdraws consents. Withdrawing personalisation deletes the preferences derived from "
        "swipes, and feeds are ranked by popularity alone; granting it again rebuilds the preferences."
    )
    @outcome(UpdateConsentsPayload, stores=Stores(row=1300, each="consents", is_essential=True))
    async def update_consents(self, info: Info, input: UpdateConsentsInput) -> UpdateConsentsPayload:
        from schema.profiles import Profile

        session = info.context.session
        decisions = [(cast(str, decision.purpose.value), decision.granted) for decision in input.consents]
        await consents.update(session, decisions, input.policy_version)
        return UpdateConsentsPayload(profile=load(info, Profile, session.claims.subject))
