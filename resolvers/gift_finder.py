"""The gift finder: gifts for another person, the same for every caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from db.queries import QUERIES, all_of
from db.session import Session
from domain import recommendations as domain
from domain.errors import Invalid
from domain.personality import BALANCED, TRAITS
from domain.reasons import Reason, Terms, context_fit, explain
from domain.recommendations import NOBODY
from domain.texts import require_no_nul
from domain.windows import Place
from resolvers import feeds, products
from resolvers.feeds import Feed, State, Variety
from resolvers.filters import MAX_LIST
from resolvers.recommendations import Recommended, no_model
from services.services import Services


@dataclass(frozen=True, slots=True)
class GiftWishes:
    """Who the gift is for, and what it may cost."""

    traits: Sequence[str] = ()
    occasion: str | None = None
    relationship: str | None = None
    age: int | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    currency: str | None = None
    category_slugs: Sequence[str] | None = None
    avoid_category_slugs: Sequence[str] | None = None


async def find_gifts(session: Session, services: Services, wishes: GiftWishes, *, size: int, after: str | None) -> Feed:
    """Gifts for another person: the same for every caller. Raises Invalid for an impossible age, price or text."""
    if BALANCED in wishes.traits:
        raise Invalid("BALANCED is no trait to look for: leave out `traits`.", ("input", "traits"))
    if wishes.age is not None and not 0 <= wishes.age <= 130:
        raise Invalid("An age is from 0 to 130.", ("input", "age"))
    state = await feeds.resume(
        session, services, feeds.request_of("gift_finder", NOBODY, feeds.plain(wishes)), NOBODY, after
    )
    contexts = [
        f"{kind}:{_slug(value)}"
        for kind, value in (("occasion", wishes.occasion), ("relationship", wishes.relationship))
        if value
    ]
    if wishes.age is not None:
        contexts.append(f"age:{_age_band(wishes.age)}")
    conditions = products.conditions(
        products.Filter(min_price=wishes.min_price, max_price=wishes.max_price, currency=wishes.currency)
    )
    for name, field, slugs in (
        ("in_categories", "categorySlugs", wishes.category_slugs),
        ("not_in_categories", "avoidCategorySlugs", wishes.avoid_category_slugs),
    ):
        if slugs:
            if len(slugs) > MAX_LIST:
                raise Invalid(f"`{field}` holds {len(slugs)} slugs: at most {MAX_LIST}.", ("input", field))
            for slug in slugs:
                require_no_nul(slug, ("input", field))
            conditions.append(QUERIES[f"products.{name}"].bind(slugs=list(slugs)))
    leanings = [1.0 if trait in wishes.traits else 0.0 for trait in TRAITS]
    if state.model is None:
        newest = await session.fetchrow("recommendations.current_model")
        if newest is None:
            raise no_model()
        state.model, state.until, state.is_whole = newest["version"], newest["until"], newest["is_whole"]
    lists = await session.fetchval("gift_finder.lists", leanings=leanings, contexts=contexts)
    lists += await feeds.facets_of(session, products.Filter(), wishes.category_slugs or ())
    conditions = [*feeds.available(), *conditions]

    async def rank(state: State, size: int) -> list[Any]:
        filters = list(conditions)
        if state.chunk is not None:
            low, below = state.chunk
            filters.append(QUERIES["recommendations.in_chunk"].bind(low=low, below=below))
            if state.has_candidates:
                filters.append(QUERIES["gift_finder.is_not_listed"].bind(model=state.model, lists=lists))
        elif not state.is_whole:
            filters.append(QUERIES["gift_finder.is_listed"].bind(model=state.model, lists=lists))
        rows: list[Any] = await session.fetch(
            QUERIES["gift_finder.ranked"].fill(filters=all_of(filters)),
            model=state.model,
            leanings=leanings,
            occasion=_slug(wishes.occasion or ""),
            contexts=contexts,
            size=size,
            after_score=state.start and state.start[0],
            after_number=state.start and state.start[1],
        )
        return rows

    async def chunk(below: int) -> int | None:
        return await feeds.chunk_of(session, conditions, below)

    async def begin(rows: list[Any]) -> None:
        """Nothing is shared."""

    def recommend(shared: None, row: Any, place: Place, state: State) -> Recommended:
        confidence = domain.confidence_of(row["score"], 0, bool(wishes.traits))

        async def explained() -> list[Reason]:
            return explain(_gift_terms(row))

        return feeds.recommended(services, "gift_finder", NOBODY, row, place, state, confidence, explained)

    return await feeds.page(session, state, size, rank, chunk, begin, recommend, lambda shared: Variety())


def _gift_terms(row: Mapping[str, Any]) -> Terms:
    contexts = msgspec.json.decode(row["context_terms"])
    return Terms(
        leanings=row["leanings"],
        traits=row["traits"],
        trait_weight=row["trait_weight"],
        popularity=1.0,
        popularity_weight=row["popularity_term"],
        contexts=[(*context_fit(term["kind"], term["value"]), term["weight"]) for term in contexts],
        for_somebody_else=True,
    )


def _slug(text: str) -> str:
    return "-".join(text.replace("\0", "").lower().replace("-", " ").split())[:60]


def _age_band(age: int) -> str:
    return "child" if age < 13 else "teenager" if age < 18 else "adult" if age < 65 else "senior"
