"""Everybody's feedback on recommendations, for analysts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import strawberry

from db.sources import Reference
from domain import ids
from domain.errors import BadUserInput
from domain.pages import size_of
from resolvers import recommendation_feedback
from resolvers.recommendation_feedback import Filter
from schema.connection import PageInfo
from schema.context import Info
from schema.node import load
from schema.products import Product
from schema.recommendations import FeedbackKind, FeedbackReason, RecommendationContext


@strawberry.type(description="Feedback of a person who is not named.")
class RecommendationFeedback:
    record: strawberry.Private[Any]
    kind: FeedbackKind = strawberry.field(description="The opinion.")
    reason: FeedbackReason | None = strawberry.field(description="Why they are not interested, if they said so.")
    rating: int | None = strawberry.field(description="1 to 5.")
    comment: str | None = strawberry.field(description="Their words, which may tell who they are.")
    context: RecommendationContext = strawberry.field(description="Where the recommendation was shown.")
    model_version: int = strawberry.field(description="The model that recommended it.")
    created_at: datetime = strawberry.field(description="When it was given.")

    @strawberry.field(description="The recommended product.", graphql_type=Product)
    def product(self, info: Info) -> Reference[Product]:
        return load(info, Product, self.record["product_id"])

    @classmethod
    def of(cls, row: asyncpg.Record) -> RecommendationFeedback:
        return cls(
            record=row,
            kind=FeedbackKind(row["kind"]),
            reason=None if row["reason"] is None else FeedbackReason(row["reason"]),
            rating=row["rating"],
            comment=row["comment"],
            context=RecommendationContext(row["context"]),
            model_version=row["model_version"],
            created_at=row["created_at"],
        )


@strawberry.type(description="Feedback and its cursor.")
class RecommendationFeedbackEdge:
    node: RecommendationFeedback = strawberry.field(description="The feedback.")

    @strawberry.field(description="Opaque; for `after`.")
    def cursor(self, info: Info) -> str:
        return recommendation_feedback.cursor_of(info.context.services, self.node.record)


@strawberry.type(description="A page of feedback.")
class RecommendationFeedbackConnection:
    rows: strawberry.Private[Sequence[Any]]
    has_next: strawberry.Private[bool]
    has_previous: strawberry.Private[bool]

    @strawberry.field(description="The feedback alone.")
    def nodes(self) -> list[RecommendationFeedback]:
        return [RecommendationFeedback.of(row) for row in self.rows]

    @strawberry.field(description="The feedback with its cursors.")
    def edges(self) -> list[RecommendationFeedbackEdge]:
        return [RecommendationFeedbackEdge(node=RecommendationFeedback.of(row)) for row in self.rows]

    @strawberry.field(description="The position of this page.")
    def page_info(self, info: Info) -> PageInfo:
        services = info.context.services
        return PageInfo(
            has_next_page=self.has_next,
            has_previous_page=self.has_previous,
            start_cursor=recommendation_feedback.cursor_of(services, self.rows[0]) if self.rows else None,
            end_cursor=recommendation_feedback.cursor_of(services, self.rows[-1]) if self.rows else None,
        )


@strawberry.input(description="Which feedback. Everything is optional.")
class RecommendationFeedbackFilter:
    kind: FeedbackKind | None = strawberry.field(default=None, description="Only this opinion.")
    reason: FeedbackReason | None = strawberry.field(default=None, description="Only with this reason.")
    product_id: strawberry.ID | None = strawberry.field(default=None, description="Only on this product.")

    def plain(self) -> Filter:
        product = None
        if self.product_id is not None:
            product = ids.decode_as("Product", self.product_id)
            if product is None:
                raise BadUserInput("`productId` is not the id of a product.")
        return Filter(
            kind=None if self.kind is None else str(self.kind.value),
            reason=None if self.reason is None else str(self.reason.value),
            product_id=product,
        )


@strawberry.type
class RecommendationFeedbackQuery:
    @strawberry.field(
        description="Everybody's feedback on recommendations, newest first, without the people. For analysts and "
        "administrators."
    )
    async def recommendation_feedback(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: RecommendationFeedbackFilter | None = None,
    ) -> RecommendationFeedbackConnection:
        size, _ = size_of(first)
        context = info.context
        wanted = filter.plain() if filter else Filter()
        page = await recommendation_feedback.page(context.session, context.services, wanted, size=size, after=after)
        return RecommendationFeedbackConnection(rows=page.rows, has_next=page.has_next, has_previous=page.has_previous)
