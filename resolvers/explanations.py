"""What explains recommendations: the rows of recommendations.ranked, as terms of a score and as the probability of a
like."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from db.session import Session
from domain import recommendations as domain
from domain.confidence import Calibration, probability
from domain.personality import TRAITS
from domain.reasons import Liked, Named, Opinion, Reason, Terms, explain
from services.services import Services

Found = TypeVar("Found", bound=dict[Any, Any])
MAX_CALIBRATIONS = 8  # in memory
SPAN = 0.5  # a score is BASE and SPAN times its parts, as in recommendations.ranked
TRAIT_SPAN = SPAN / 2  # as a product's traits add up to 2 at most


class Shared(msgspec.Struct, frozen=True, rename="camel"):
    """What is the same for each row of recommendations.ranked, which the first of them has. `signals`: of what the
    person said, the numbers and ids of the products, directions, whether they are dislikes, and how many likes they
    count as. `opinions`: facets, what the person thinks of them, -1..1, and the number of the product that says
    most."""

    model: int
    trained: int | None
    until: datetime
    is_personal: bool
    is_whole: bool
    events: int
    likes: int
    dislike: float
    kind: str
    reach: int
    has_quiz: bool
    leanings: list[float]
    personality: float
    crowd: float
    content: float
    boost: float
    per_point: float | None
    category: float
    brand: float
    tags: float
    signals: tuple[
        list[int] | None, list[UUID] | None, list[str | None] | None, list[bool] | None, list[float | None] | None
    ]
    opinions: tuple[list[int] | None, list[float] | None, list[int | None] | None]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Shared:
        """Of the rows of a page, of which there is one at least."""
        return msgspec.json.decode(rows[0]["shared"], type=cls)


class Explainer:
    """Explains rows of recommendations.ranked that were found together. What only explanations need is read once, for
    all `added` rows, when the first of them is explained."""

    def __init__(self, session: Session, shared: Shared) -> None:
        self._session = session
        self._shared = shared
        self._rows: dict[int, asyncpg.Record] = {}
        self._explained: dict[int, list[Reason]] = {}
        self._reading = asyncio.Lock()

    def add(self, row: asyncpg.Record) -> Callable[[], Awaitable[list[Reason]]]:
        """A function that explains the row: all terms of its score."""
        number = row["number"]
        self._rows[number] = row
        return lambda: self._explain(number)

    async def _explain(self, number: int) -> list[Reason]:
        async with self._reading:  # if the first field to ask is cancelled, the next one reads
            if number not in self._explained:
                rows = list(self._rows.values())
                terms = await terms_of(self._session, self._shared, rows)
                self._explained = {row["number"]: explain(each) for row, each in zip(rows, terms, strict=True)}
        return self._explained[number]


async def terms_of(session: Session, shared: Shared, rows: Sequence[asyncpg.Record]) -> list[Terms]:
    """The terms of rows of recommendations.ranked."""
    signals = {
        number: (product, direction, is_disliked, gain or 0.0)
        for number, product, direction, is_disliked, gain in zip(*map(_list, shared.signals), strict=True)
    }
    opinions = {
        facet: (score, number) for facet, score, number in zip(*map(_list, shared.opinions), strict=True) if score
    }
    wanted = {facet for row in rows for facet in row["facets"]} & opinions.keys()
    strongest = {number for facet in wanted if (number := opinions[facet][1]) is not None}
    sources = [number for number, signal in signals.items() if signal[3] > 0 or number in strongest]
    found = await session.fetchrow(
        "recommendations.explained",
        trained=shared.trained,
        kind=shared.kind,
        reach=shared.reach,
        targets=[row["number"] for row in rows],
        sources=sources,
        source_ids=[signals[number][0] for number in sources],
        strongest=list(strongest),
        categories=list({row["category_id"] for row in rows}),
        brands=list({row["brand_id"] for row in rows} - {None}),
        tags=list({tag for row in rows for tag in row["tags"]}),
    )
    assert found is not None
    names = _read(found["products"], dict[int, str])
    categories, brands = (_read(found[name], dict[UUID, Named]) for name in ("categories", "brands"))
    tags = _read(found["tags"], dict[int, str])
    liked: dict[int, list[Liked]] = {}
    for target, source, weight in zip(*map(_list, msgspec.json.decode(found["weights"])), strict=True):
        product, direction, is_disliked, gain = signals[source]
        if gain > 0:
            liked.setdefault(target, []).append(Liked(product, names[source], direction, is_disliked, gain * weight))

    def opinions_of(facets: Sequence[int]) -> list[Opinion]:
        return [
            Opinion(place, score, None if number is None else names[number], tags.get(facet) if place > 2 else None)
            for place, facet in enumerate(facets, 1)
            if facet in wanted
            for score, number in [opinions[facet]]
        ]

    return [
        _terms(
            shared,
            row,
            liked.get(row["number"], []),
            opinions_of(row["facets"]),
            categories[row["category_id"]],
            brands.get(row["brand_id"]),
        )
        for row in rows
    ]


def _list(column: list[Any] | None) -> list[Any]:
    """An aggregate of no rows is null."""
    return column or []


def _read(text: str | None, kind: type[Found]) -> Found:
    return kind() if text is None else msgspec.json.decode(text, type=kind)


def _terms(
    shared: Shared,
    row: asyncpg.Record,
    liked: list[Liked],
    opinions: list[Opinion],
    category: Named,
    brand: Named | None,
) -> Terms:
    added = row["added"] or 0.0
    per_point = shared.per_point
    content = SPAN * shared.content
    return Terms(
        leanings=shared.leanings,
        traits=[row[trait] for trait in TRAITS],
        trait_weight=TRAIT_SPAN * shared.personality,
        popularity=row["liking"] if per_point is None else row["liking"] - added * per_point,
        popularity_weight=SPAN * shared.crowd,
        liked=liked,
        liked_weight=SPAN * shared.crowd * (per_point or 0.0),
        category=category,
        brand=brand,
        tag_count=len(row["facets"]) - 2,
        opinions=opinions,
        content_weights=(content * shared.category, content * shared.brand, content * shared.tags),
        boosted=SPAN * shared.boost * row["boosted"],
    )


async def calibration_of(session: Session, services: Services, trained: int | None) -> Calibration | None:
    """How a trained model gives probabilities; None without one."""
    if trained is None:
        return None
    known = services.calibrations
    if trained not in known:
        if len(known) >= MAX_CALIBRATIONS:
            known.clear()
        stored = await session.fetchval("trained_models.calibration", version=trained)
        known[trained] = Calibration.from_json(msgspec.json.decode(stored)) if stored not in (None, "{}") else None
    return known[trained]


def confidence_of(shared: Shared, row: asyncpg.Record, calibration: Calibration | None) -> float:
    """Of a row of recommendations.ranked."""
    if calibration is None:
        return domain.confidence_of(row["score"], shared.events, shared.has_quiz)
    taken = row["taken"] or 0.0
    chance = probability(
        calibration,
        shared.kind,
        product_rate=row["like_rate"],
        liked=shared.likes,
        disliked=shared.events - shared.likes,
        added=max(0.0, (row["added"] or 0.0) - shared.dislike * taken),
        taken=taken,
    )
    return round(chance, 4)
