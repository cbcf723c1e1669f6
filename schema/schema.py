"""Builds the schema from its parts."""

from __future__ import annotations

import functools
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, cast

import strawberry
from strawberry.schema.config import StrawberryConfig

from db.rows import RowType
from domain import ids
from domain.errors import BadUserInput, NotFound
from resolvers import recommendations
from schema.accounts import AccountMutation
from schema.affiliate_clicks import AffiliateClickMutation
from schema.affiliate_networks import AffiliateNetworkMutation, AffiliateNetworkQuery
from schema.analytics import AnalyticsQuery
from schema.analytics_events import AnalyticsEventMutation, AnalyticsEventQuery
from schema.audit_log import AuditLogQuery
from schema.brands import BrandMutation, BrandQuery
from schema.categories import CategoryMutation, CategoryQuery
from schema.consents import ConsentMutation
from schema.context import Info
from schema.conversion_flags import ConversionFlagMutation, ConversionFlagQuery
from schema.conversions import ConversionQuery
from schema.dismissed_reasons import DismissedReasonMutation
from schema.exceptions import ExceptionQuery
from schema.experiments import ExperimentMutation, ExperimentQuery
from schema.exports import ExportMutation
from schema.gift_links import GiftLinkMutation
from schema.import_runs import ImportRunQuery
from schema.impressions import ImpressionMutation, ImpressionQuery
from schema.ledger_decisions import LedgerDecisionMutation
from schema.ledger_entries import LedgerEntryQuery
from schema.merged_products import MergedProductMutation
from schema.node import NODES, Node, RowNode, load
from schema.one_time_tokens import OneTimeTokenMutation
from schema.payments import PaymentQuery
from schema.personality import PersonalityMutation
from schema.privacy import PrivacyMutation
from schema.product_edits import ProductMutation
from schema.product_facets import ProductFacetQuery
from schema.product_offers import ProductOfferMutation
from schema.product_views import ProductViewMutation
from schema.products import ProductQuery
from schema.profiles import ProfileMutation, ProfileQuery
from schema.quiz import QuizQuery
from schema.quiz_drafts import QuizDraftMutation
from schema.recommendation_feedback import RecommendationFeedbackQuery
from schema.recommendations import Recommendation, RecommendationMutation, RecommendationQuery
from schema.reconciliation import ReconciliationQuery
from schema.retailers import RetailerMutation, RetailerQuery
from schema.roles import RoleMutation
from schema.scalars import SCALARS
from schema.second_factors import SecondFactorMutation
from schema.session_merges import SessionMergeMutation
from schema.sessions import SessionMutation
from schema.subscriptions import Subscription
from schema.suggestions import SuggestionQuery
from schema.swipes import SwipeMutation
from schema.system_logs import SystemLogQuery

MAX_NODES = 100


def _node(info: Info, id: strawberry.ID) -> Any:
    """A source, something to await, or None."""
    decoded = ids.decode(id)
    if decoded is None:
        return _Recommendation(info, id)
    cls = NODES.get(decoded[0])
    if cls is None or not issubclass(cls, RowNode) or not cls.may_read(info.context.claims):
        return None
    return load(info, cls, decoded[1])


@dataclass(frozen=True, slots=True)
class _Recommendation:
    """Something to await; unlike a coroutine, it may be dropped by a request that is cancelled."""

    info: Info
    id: strawberry.ID

    def __await__(self) -> Generator[Any, None, Recommendation | None]:
        return _recommendation(self.info, self.id).__await__()


async def _recommendation(info: Info, id: strawberry.ID) -> Recommendation | None:
    context = info.context
    try:
        shown = recommendations.open_id(context.session, context.services, id)
    except NotFound:
        return None

    async def load(all_shown: list[Any]) -> list[Any]:
        return await recommendations.by_ids(context.session, context.services, all_shown)

    found = await context.session.loaders.custom("recommendations", load).load(shown)
    return Recommendation.of(found) if found else None


@strawberry.type(description="All queries.")
class Query(
    ProductQuery,
    ProductFacetQuery,
    SuggestionQuery,
    CategoryQuery,
    BrandQuery,
    RetailerQuery,
    AffiliateNetworkQuery,
    ProfileQuery,
    QuizQuery,
    RecommendationQuery,
    RecommendationFeedbackQuery,
    AnalyticsEventQuery,
    AnalyticsQuery,
    ExperimentQuery,
    ImpressionQuery,
    ImportRunQuery,
    ConversionQuery,
    LedgerEntryQuery,
    ConversionFlagQuery,
    PaymentQuery,
    ExceptionQuery,
    ReconciliationQuery,
    AuditLogQuery,
    SystemLogQuery,
):
    @strawberry.field(description="A node by its global id; null if it does not exist or the caller may not see it.")
    def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return cast("Node | None", _node(info, id))

    @strawberry.field(description="Nodes by their global ids, in that order; at most 100.")
    def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise BadUserInput(f"`ids` holds {len(ids)}: at most {MAX_NODES}.")
        return [_node(info, id) for id in ids]


@strawberry.type(description="All mutations. Each field is one transaction.")
class Mutation(
    AccountMutation,
    SessionMergeMutation,
    SessionMutation,
    OneTimeTokenMutation,
    SecondFactorMutation,
    RoleMutation,
    LedgerDecisionMutation,
    ConversionFlagMutation,
    ProfileMutation,
    PersonalityMutation,
    QuizDraftMutation,
    SwipeMutation,
    RecommendationMutation,
    DismissedReasonMutation,
    AffiliateClickMutation,
    GiftLinkMutation,
    ProductMutation,
    ProductOfferMutation,
    MergedProductMutation,
    BrandMutation,
    CategoryMutation,
    RetailerMutation,
    AffiliateNetworkMutation,
    ProductViewMutation,
    ImpressionMutation,
    ExperimentMutation,
    AnalyticsEventMutation,
    ConsentMutation,
    ExportMutation,
    PrivacyMutation,
):
    pass


@functools.cache
def build() -> strawberry.Schema:
    """The schema of this code; one object, however often it is asked for."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=list(NODES.values()),
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def row_types() -> list[RowType]:
    """The declared rows of all types, by name."""
    return [node.ROW for _, node in sorted(NODES.items()) if issubclass(node, RowNode)]
