"""Recommendations."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, cast

import strawberry

from db.sources import Reference
from domain import ids, reasons
from domain.pages import size_of
from domain.reasons import MAX_REASONS, MAX_TERMS
from resolvers import feeds, gift_finder, products, recommendations
from resolvers.feeds import Feed
from resolvers.gift_finder import GiftWishes
from resolvers.recommendations import Recommended
from schema.bounds import at_most
from schema.connection import PageInfo
from schema.context import Info
from schema.dismissed_reasons import ReasonSourceKind
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import NODES, Node, load
from schema.personality import Trait
from schema.products import Product, ProductFilter


@strawberry.enum(description="Where a recommendation was shown.")
class RecommendationContext(Enum):
    DISCOVER = strawberry.enum_value("discover", description="The caller's own feed.")
    GIFT_FINDER = strawberry.enum_value("gift_finder", description="The gift finder, for another person.")
    SIMILAR = strawberry.enum_value("similar", description="Similar products, next to a product.")


@strawberry.type(description="What a term of a score comes from.")
class ReasonSource:
    kind: ReasonSourceKind = strawberry.field(description="The kind of thing.")
    key: str = strawberry.field(
        description="The id of a product, the slug of a category or brand, or the name of a trait or tag."
    )


@strawberry.type(description="A term of the score.")
class RecommendationReason:
    code: str = strawberry.field(
        description="For programs: TRAIT_*, LIKED_PRODUCT, LIKED_CATEGORY, LIKED_BRAND, LIKED_TAG, POPULAR, ... The "
        "list may grow."
    )
    text: str = strawberry.field(description="For people.")
    weight: float = strawberry.field(description="How much the score would drop without it; negative if it lowers it.")
    source: ReasonSource | None = strawberry.field(
        default=None, description="What it comes from, if that is a single thing."
    )

    @classmethod
    def of(cls, reason: reasons.Reason) -> RecommendationReason:
        source = None
        if reason.source is not None:
            source = ReasonSource(kind=ReasonSourceKind(reason.source.kind), key=_key(reason.source))
        return cls(code=reason.code, text=reason.text, weight=reason.weight, source=source)


def _key(source: reasons.ReasonSource) -> str:
    return ids.encode("Product", source.key) if source.kind == "product" else source.key


@strawberry.type(description="A recommended product, and why it is recommended.")
class Recommendation(Node):
    found: strawberry.Private[Recommended]
    score: float = strawberry.field(
        description="0 to 1. Orders consecutive windows of 50 products; `rank` gives the order within them."
    )
    confidence: float = strawberry.field(description="Estimated probability of a like, 0 to 1.")
    generated_at: datetime = strawberry.field(description="When its feed was frozen; now, if it is read by its id.")

    @strawberry.field(description="Signed. Send it back with swipes, clicks and feedback.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(self.global_id)

    @property
    def global_id(self) -> str:
        return self.found.id

    @strawberry.field(description="Where it was shown.")
    def context(self) -> RecommendationContext:
        return RecommendationContext(self.found.context)

    @strawberry.field(description="The recommended product.", graphql_type=Product)
    def product(self, info: Info) -> Reference[Product]:
        return load(info, Product, self.found.product_id)

    @strawberry.field(
        description="Its place in the feed, from 1; null outside feeds. Within a window of 50 products, categories are "
        "mixed, one variant of a product is shown, and one place of ten is explored."
    )
    def rank(self) -> int | None:
        return self.found.rank

    @strawberry.field(description="Whether it is shown to learn from, by chance and not for its score.")
    def is_explored(self) -> bool:
        return self.found.is_explored

    @strawberry.field(
        description="The terms that raised the score most, heaviest first.", metadata=at_most(MAX_REASONS)
    )
    async def reasons(self) -> list[RecommendationReason]:
        return [RecommendationReason.of(reason) for reason in await self.found.reasons()]

    @strawberry.field(
        description="All terms of the score, also those that lower it. They add up to the score.",
        metadata=at_most(MAX_TERMS),
    )
    async def explanation(self) -> list[RecommendationReason]:
        return [RecommendationReason.of(term) for term in await self.found.explain()]

    @classmethod
    def of(cls, found: Recommended) -> Recommendation:
        return cls(
            found=found,
            score=found.score,
            confidence=found.confidence,
            generated_at=found.generated_at,
        )


NODES["Recommendation"] = Recommendation


@strawberry.type(description="A recommendation and its cursor in the feed.")
class RecommendationEdge:
    node: Recommendation = strawberry.field(description="The recommendation.")

    @strawberry.field(description="Opaque; for `after`.")
    def cursor(self) -> str:
        return self.node.found.cursor or ""


@strawberry.type(description="A page of a feed. Its cursors keep the ranking of the first page.")
class RecommendationConnection:
    feed: strawberry.Private[Feed]
    nodes: list[Recommendation] = strawberry.field(description="The recommendations alone.")

    @strawberry.field(description="The recommendations with their cursors.")
    def edges(self) -> list[RecommendationEdge]:
        return [RecommendationEdge(node=node) for node in self.nodes]

    @strawberry.field(description="The position of this page.")
    def page_info(self) -> PageInfo:
        return PageInfo(
            has_next_page=self.feed.has_next,
            has_previous_page=self.feed.has_previous,
            start_cursor=self.feed.items[0].cursor if self.feed.items else None,
            end_cursor=self.feed.items[-1].cursor if self.feed.items else None,
        )

    @classmethod
    def of(cls, feed: Feed) -> RecommendationConnection:
        return cls(feed=feed, nodes=[Recommendation.of(item) for item in feed.items])


@strawberry.input(description="More or less of a category, a brand or a tag: name one of them.")
class RecommendationBoost:
    factor: float = strawberry.field(description="From 0.5 (less) to 2 (more); 1 has no effect.")
    category: str | None = strawberry.field(default=None, description="The slug of a category.")
    brand: str | None = strawberry.field(default=None, description="The slug of a brand.")
    tag: str | None = strawberry.field(default=None, description="A tag.")

    def plain(self) -> feeds.Boost:
        return feeds.Boost(factor=self.factor, category=self.category, brand=self.brand, tag=self.tag)


@strawberry.input(description="The person a gift is for. Everything is optional.")
class GiftFinderInput:
    traits: list[Trait] | None = strawberry.field(default=None, description="Their traits.")
    occasion: str | None = strawberry.field(
        default=None,
        description="birthday, christmas, anniversary, wedding, housewarming, graduation, new-baby, thank-you.",
    )
    relationship: str | None = strawberry.field(
        default=None, description="partner, friend, colleague, parent, sibling, child, grandparent."
    )
    age: int | None = strawberry.field(default=None, description="In years.")
    gender: str | None = strawberry.field(
        default=None, description="Accepted without effect: gifts are matched by traits, not by gender."
    )
    min_price: Decimal | None = strawberry.field(default=None, description="At least this much.")
    max_price: Decimal | None = strawberry.field(default=None, description="At most this much.")
    currency_code: str | None = strawberry.field(
        default=None,
        description="Only prices in this currency. Without it, price limits are in the default currency, GBP unless "
        "the service is configured otherwise; without price limits, all currencies are included.",
    )
    category_slugs: list[str] | None = strawberry.field(
        default=None, description="Only these categories and those below them."
    )
    avoid_category_slugs: list[str] | None = strawberry.field(
        default=None, description="None of these categories or those below them."
    )

    def plain(self, default_currency: str) -> GiftWishes:
        return GiftWishes(
            traits=[cast(str, trait.value) for trait in self.traits or []],
            occasion=self.occasion,
            relationship=self.relationship,
            age=self.age,
            min_price=self.min_price,
            max_price=self.max_price,
            currency=products.currency_of(self.currency_code, self.min_price, self.max_price, default_currency),
            category_slugs=self.category_slugs,
            avoid_category_slugs=self.avoid_category_slugs,
        )


@strawberry.type
class RecommendationQuery:
    @strawberry.field(
        description="The caller's feed, without products that were already swiped. Without a token, or with "
        "personalisation withdrawn, it is ordered by popularity."
    )
    async def recommendations(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: ProductFilter | None = None,
        exclude_ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(description="Products to leave out: at most 100 ids of products or recommendations."),
        ] = None,
        boost: Annotated[
            list[RecommendationBoost] | None,
            strawberry.argument(description="What to show more or less of in this feed: at most 10."),
        ] = None,
    ) -> RecommendationConnection:
        size, _ = size_of(first)
        feed = await feeds.discover(
            info.context.session,
            info.context.services,
            wanted=filter.plain(info.context.services.settings.default_currency) if filter else None,
            excluded=exclude_ids or [],
            boosts=[each.plain() for each in boost or []],
            size=size,
            after=after,
        )
        return RecommendationConnection.of(feed)

    @strawberry.field(description="Gifts for another person; the same for every caller.")
    async def gift_finder(
        self, info: Info, input: GiftFinderInput, first: int | None = None, after: str | None = None
    ) -> RecommendationConnection:
        size, _ = size_of(first)
        services = info.context.services
        wishes = input.plain(services.settings.default_currency)
        feed = await gift_finder.find_gifts(info.context.session, services, wishes, size=size, after=after)
        return RecommendationConnection.of(feed)


@strawberry.enum(description="A person's opinion of a recommendation.")
class FeedbackKind(Enum):
    HELPFUL = strawberry.enum_value("helpful", description="A good idea: more like it.")
    NOT_HELPFUL = strawberry.enum_value("not_helpful", description="Not a good idea: less like it.")
    NOT_INTERESTED = strawberry.enum_value("not_interested", description="Never show it again; much less like it.")
    ALREADY_OWNED = strawberry.enum_value(
        "already_owned", description="Already owned: never show it again; the taste is right."
    )
    PURCHASED = strawberry.enum_value("purchased", description="Purchased: never show it again; the strongest signal.")


@strawberry.enum(description="Why a person is not interested.")
class FeedbackReason(Enum):
    NOT_MY_STYLE = strawberry.enum_value("not_my_style", description="Not their taste: much less like it.")
    TOO_EXPENSIVE = strawberry.enum_value("too_expensive", description="Too expensive; says nothing of their taste.")
    ALREADY_HAVE_SIMILAR = strawberry.enum_value(
        "already_have_similar", description="They have one like it; says nothing of their taste."
    )
    BAD_QUALITY = strawberry.enum_value("bad_quality", description="The product is bad; says nothing of their taste.")
    WRONG_PERSON = strawberry.enum_value(
        "wrong_person", description="Suits somebody else; says nothing of their taste."
    )
    OTHER = strawberry.enum_value("other", description="Anything else: much less like it.")


@strawberry.input(description="Feedback on a recommendation.")
class RecommendationFeedbackInput:
    recommendation_id: strawberry.ID = strawberry.field(description="Its id, as it was shown to the caller.")
    kind: FeedbackKind = strawberry.field(description="The opinion.")
    reason: FeedbackReason | None = strawberry.field(default=None, description="Why; with NOT_INTERESTED only.")
    rating: int | None = strawberry.field(
        default=None, description="1 to 5, from much less like it to much more like it; 3 is neutral."
    )
    comment: str | None = strawberry.field(default=None, description="At most 2,000 characters.")


@strawberry.type(description="The outcome of feedback.")
class RecommendationFeedbackPayload:
    recommendation: Recommendation | None = strawberry.field(default=None, description="The recommendation.")
    user_errors: list[UserError] = user_errors()


@strawberry.type
class RecommendationMutation:
    @strawberry.mutation(description="Stores feedback, which the next feed takes into account.")
    @outcome(RecommendationFeedbackPayload, stores=Stores(row=500))
    async def send_recommendation_feedback(
        self, info: Info, input: RecommendationFeedbackInput
    ) -> RecommendationFeedbackPayload:
        context = info.context
        shown = await recommendations.send_feedback(
            context.session,
            context.services,
            recommendation=input.recommendation_id,
            kind=cast(str, input.kind.value),
            reason=cast(str, input.reason.value) if input.reason else None,
            rating=input.rating,
            comment=input.comment,
        )
        (found,) = await recommendations.by_ids(context.session, context.services, [shown])
        return RecommendationFeedbackPayload(recommendation=Recommendation.of(found) if found else None)
