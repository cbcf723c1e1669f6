"""The schema put together."""

from __future__ import annotations

import asyncio

import strawberry
from strawberry.schema.config import StrawberryConfig

from domain import ids
from domain.errors import BadUserInput, NotFound
from resolvers import recommendations
from schema.accounts import AccountMutation
from schema.affiliate_clicks import AffiliateClickMutation
from schema.brands import BrandQuery
from schema.categories import CategoryQuery
from schema.context import Info
from schema.node import NODES, Node, load
from schema.personality import PersonalityMutation, PersonalityQuery
from schema.product_views import ProductViewMutation
from schema.products import ProductMutation, ProductQuery
from schema.profiles import ProfileMutation, ProfileQuery
from schema.recommendations import Recommendation, RecommendationMutation, RecommendationQuery
from schema.retailers import RetailerQuery
from schema.scalars import SCALARS
from schema.swipes import SwipeMutation

MAX_NODES = 100


async def _node(info: Info, id: strawberry.ID) -> Node | None:
    decoded = ids.decode(id)
    if decoded is not None:
        cls = NODES.get(decoded[0])
        return None if cls is None or cls is Recommendation else await load(info, cls, decoded[1])
    context = info.context
    try:
        shown = recommendations.open_id(context.session, context.services, id)
    except NotFound:
        return None
    found = await recommendations.by_id(context.session, context.services, shown)
    return Recommendation.of(found) if found else None


@strawberry.type(description="What can be read.")
class Query(
    ProductQuery,
    CategoryQuery,
    BrandQuery,
    RetailerQuery,
    ProfileQuery,
    PersonalityQuery,
    RecommendationQuery,
):
    @strawberry.field(description="Anything by its global id; null when unknown or not the caller's to see.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await _node(info, id)

    @strawberry.field(description="Several things by their global ids, in that order; at most 100.")
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise BadUserInput(f"At most {MAX_NODES} ids.")
        return list(await asyncio.gather(*(_node(info, id) for id in ids)))


@strawberry.type(description="What can be changed. Each field is one transaction.")
class Mutation(
    AccountMutation,
    ProfileMutation,
    PersonalityMutation,
    SwipeMutation,
    RecommendationMutation,
    AffiliateClickMutation,
    ProductMutation,
    ProductViewMutation,
):
    pass


def build() -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        types=list(NODES.values()),
        config=StrawberryConfig(scalar_map=SCALARS),
    )
