"""Subscriptions. The field is resolved again for each event, under the subscriber's claims, so an event contains what
the subscriber may read at that time."""

from __future__ import annotations

import strawberry

from db.sources import Reference
from resolvers import recommendations
from schema.affiliate_clicks import AffiliateClick
from schema.context import Info
from schema.node import load, load_own
from schema.preferences import Preferences


@strawberry.type(description="All subscriptions, over WebSockets or as server-sent events.")
class Subscription:
    @strawberry.field(
        description="The caller's preferences, after swipes, quizzes and consents; null while there are none. Changes "
        "in quick succession are one event.",
        graphql_type=Preferences | None,
    )
    def preferences_updated(self, info: Info) -> Reference[Preferences]:
        return load_own(info, Preferences)

    @strawberry.field(
        description="True when the caller's feed has changed: query it again, without `after`. Changes in quick "
        "succession are one event."
    )
    async def recommendations_updated(self, info: Info) -> bool | None:
        return True if await recommendations.are_served(info.context.session) else None

    @strawberry.field(
        description="One of the caller's tracked links earned something, or lost what it had earned.",
        graphql_type=AffiliateClick | None,
    )
    def affiliate_conversion(self, info: Info) -> Reference[AffiliateClick]:
        change = info.context.change
        return load(info, AffiliateClick, change.id if change else None)
