"""Feeds: ranked in SQL window by window, from a state that their first page freezes."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from db.queries import QUERIES, Fragment, all_of
from db.session import Session
from domain import ids
from domain.confidence import Calibration
from domain.errors import BadUserInput, NotFound, Stale
from domain.reasons import Reason
from domain.recommendations import NOBODY, Shown, viewer_of
from domain.switches import Switch
from domain.texts import require_no_nul
from domain.windows import DIVERSITY, WINDOW, Candidate, Place, arrange
from resolvers import experiments, products
from resolvers.explanations import Explainer, Shared, calibration_of, confidence_of
from resolvers.recommendations import Recommended, no_model, open_id
from services.services import Services

MAX_EXCLUDED = 100
MAX_BOOSTS, MAX_FACTOR = 10, 2.0
MAX_WINDOWS = 20  # of a page: those of which nothing can be shown are passed over
MAX_NUMBER = 2**31 - 1  # of a product
GROUP_MASK = 2**32 - 1  # what cursors remember of a group of variants

ScoreKey: TypeAlias = tuple[float, int]
"""A place in the order of scores: score and product number."""
Rank: TypeAlias = Callable[["State", int], Coroutine[Any, Any, list[Any]]]
"""The best products after the start of the window, at most so many."""


@dataclass(frozen=True, slots=True)
class Feed:
    items: list[Recommended]
    has_next: bool
    has_previous: bool


class State(msgspec.Struct, array_like=True):
    """The position in a feed, and everything it is ranked from, so that the server stores nothing: the content of its
    cursors. `request` is a hash of viewer, context and filter, so that a cursor is valid for its feed only; `arm` is
    of an experiment. `start` and `end` bound the window, which has `top` as its highest score and of which the groups
    of variants `shown` were shown. `is_personal`: ranked for the viewer, not just by popularity. First come the
    candidates, then all others, of which `chunk` holds those from its first to below its second number.
    `has_candidates`: whether they came first, as those do that fill a window. `is_whole`: all are candidates."""

    request: bytes
    model: int | None = None
    until: datetime | None = None
    is_personal: bool = True
    arm: int = 0
    position: int = 0
    start: ScoreKey | None = None
    end: ScoreKey | None = None
    top: float = 1.0
    shown: list[int] = []
    chunk: tuple[int, int] | None = None
    has_candidates: bool = True
    is_whole: bool = False

    def seed(self) -> bytes:
        """What the explored places of the window are drawn by: alike for each request."""
        return msgspec.msgpack.encode((self.request, self.model, self.arm, self.start, self.chunk))

    def leave_window(self, start: ScoreKey | None) -> None:
        self.start, self.end, self.shown = start, None, []


@dataclass(frozen=True, slots=True)
class Boost:
    """More (factor above 1) or less of a category, a brand or a tag: one of them."""

    factor: float
    category: str | None = None
    brand: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Variety:
    """How the order within a window departs from the scores."""

    diversity: float = DIVERSITY
    explores: bool = False


@dataclass(frozen=True, slots=True)
class _Window:
    """What the rows of a window have in common."""

    shared: Shared
    calibration: Calibration | None
    explainer: Explainer


async def resume(session: Session, services: Services, request: bytes, viewer: bytes, after: str | None) -> State:
    """A new feed, or an earlier one at its cursor. Raises BadUserInput or Stale."""
    is_switched_on = services.switches.is_on(Switch.PERSONALISATION)
    if not after:
        return State(request, is_personal=is_switched_on)
    try:
        state = msgspec.msgpack.decode(services.cursors.open(after) or b"", type=State)
    except msgspec.DecodeError:
        state = None
    if state is None or state.request != request:
        raise BadUserInput("`after` is not a cursor of this feed.")
    model = await session.fetchrow("recommendations.model", version=state.model, user_id=session.claims.subject)
    if model is None:
        raise Stale("This feed is too old to continue; start again without `after`.", ("after",))
    if state.is_personal and viewer != NOBODY and not model["may_be_personal"]:
        raise Stale("Personalisation was withdrawn after this feed started; start again without `after`.", ("after",))
    if state.is_personal and viewer != NOBODY and not is_switched_on:
        raise Stale("Personalisation was switched off meanwhile; start again without `after`.", ("after",))
    return state


def request_of(context: str, viewer: bytes, wanted: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode([context, viewer, wanted], order="sorted")).digest()[:16]


async def page(
    session: Session,
    state: State,
    size: int,
    rank: Rank,
    chunk: Callable[[int], Coroutine[Any, Any, int | None]],
    begin: Callable[[list[Any]], Coroutine[Any, Any, Any]],
    recommend: Callable[[Any, Any, Place, State], Recommended],
    variety: Callable[[Any], Variety],
) -> Feed:
    """The next products of a feed, window by window. `begin` makes of the rows of a window what `recommend` and
    `variety` are given; `chunk` gives the first number of the products below a number that are ranked together."""
    items: list[Recommended] = []
    has_previous = state.position > 0
    has_next = False
    on_page: set[int] = set()
    for _ in range(MAX_WINDOWS):
        most = WINDOW + 1 if state.end is None else 4 * WINDOW  # what came back into stock is inside, too
        rows = await rank(state, most)
        is_first = state.chunk is None and state.start is None and state.end is None
        if rows:
            shared = await begin(rows)  # which says whether all products are candidates
        if is_first and len(rows) < most and not state.is_whole:
            state.has_candidates, rows = False, []
        if rows:
            inside = rows[:WINDOW] if state.end is None else [row for row in rows if not _after(_key(row), state.end)]
            if inside and state.end is None:
                state.end, state.top = _key(inside[-1]), inside[0]["score"]
            for place in _arranged(inside, state, variety(shared)):
                row = inside[place.index]
                group = row["group_key"] & GROUP_MASK
                if group in state.shown or group in on_page or not row["is_new"]:
                    continue
                if len(items) == size:
                    has_next = True
                    break
                on_page.add(group)
                state.position += 1
                state.shown = [*state.shown, group]
                items.append(recommend(shared, row, place, msgspec.structs.replace(state)))
            if has_next:
                break
            if len(rows) > len(inside) or len(rows) == most:
                state.leave_window(state.end if len(rows) > len(inside) else _key(rows[-1]))
                continue
        if state.is_whole:
            break
        below = state.chunk[0] if state.chunk else MAX_NUMBER
        low = await chunk(below)
        if low is None:
            break
        state.chunk = (low, below)
        state.leave_window(None)
    if state.model is None and await session.fetchrow("recommendations.current_model") is None:
        raise no_model()
    return Feed(items, has_next=has_next, has_previous=has_previous)


async def chunk_of(session: Session, conditions: Sequence[Fragment], below: int) -> int | None:
    """The first number of the products below a number that are ranked together; None if there are none."""
    low: int | None = await session.fetchval(
        QUERIES["recommendations.chunk"].fill(filters=all_of(list(conditions))), below=below
    )
    return low


def _key(row: asyncpg.Record) -> ScoreKey:
    return row["score"], row["number"]


def _after(one: ScoreKey, other: ScoreKey) -> bool:
    """Whether a product comes after another in the order of scores."""
    return (-one[0], one[1]) > (-other[0], other[1])


def _arranged(rows: Sequence[asyncpg.Record], state: State, variety: Variety) -> list[Place]:
    candidates = [Candidate(row["number"], row["group_key"], row["category_id"], row["score"]) for row in rows]
    seed = state.seed() if variety.explores else None
    bottom = state.end[0] if state.end else 0.0
    return arrange(candidates, state.top, bottom, diversity=variety.diversity, seed=seed)


def _cursor(services: Services, state: State) -> str:
    return services.cursors.sign(msgspec.msgpack.encode(state))


async def discover(
    session: Session,
    services: Services,
    *,
    wanted: products.Filter | None,
    excluded: Sequence[str] = (),
    boosts: Sequence[Boost] = (),
    size: int,
    after: str | None,
) -> Feed:
    """The caller's feed; popular products without a token, or if personalisation was withdrawn. Never has products that
    were already swiped, or that the caller avoids (their stated preferences). `excluded` are ids of products or
    recommendations to leave out. Raises BadUserInput."""
    viewer = viewer_of(session.claims.subject)
    without = _products_of(session, services, excluded)
    facets_of_boosts = await _facets_of_boosts(session, boosts)
    request = request_of("discover", viewer, [plain(wanted), without, [plain(boost) for boost in boosts]])
    state = await resume(session, services, request, viewer, after)
    if not after:
        assigned = await experiments.assigned(session, services, "discover")
        state.arm = assigned.arm if assigned else 0
    is_new = QUERIES["recommendations.is_new_to"].bind(user_id=session.claims.subject)
    conditions = [*available(), *_stated(session, services, wanted), *products.conditions(wanted)]
    if without:
        conditions.append(QUERIES["recommendations.is_not_among"].bind(product_ids=without))
    filters = all_of(conditions)
    facets: list[int] = []
    if wanted is not None:
        facets = await facets_of(session, wanted, [wanted.category_slug] if wanted.category_slug else [])
    facets += [facet for facet, boost in zip(facets_of_boosts, boosts, strict=True) if boost.factor > 1]
    candidates = QUERIES["recommendations.listed"].bind(filter_facets=facets)

    async def rank(state: State, size: int) -> list[Any]:
        values: dict[str, Any] = {
            "user_id": session.claims.subject if state.is_personal else None,  # of nobody: no personality, no signals
            "until": state.until,
            "model": state.model,
            "arm": state.arm if state.is_personal else 0,
            "with_hidden": False,
            "size": size,
            "after_score": state.start and state.start[0],
            "after_number": state.start and state.start[1],
            "boost_facets": facets_of_boosts,
            "boost_factors": [str(boost.factor) for boost in boosts],
        }
        ranked = candidates
        if state.chunk is not None:
            low, below = state.chunk
            others = QUERIES["recommendations.others"].fill(
                chunk=QUERIES["recommendations.in_chunk"].bind(low=low, below=below),
                filters=filters,
                listed=candidates if state.has_candidates else "select null::int",
            )
            ranked = Fragment(others.text, others.values)
        return await session.fetch(
            QUERIES["recommendations.ranked"].fill(candidates=ranked, filters=filters, is_new=is_new), **values
        )

    async def chunk(below: int) -> int | None:
        return await chunk_of(session, conditions, below)

    async def begin(rows: list[asyncpg.Record]) -> _Window:
        shared = Shared.of(rows)
        state.model, state.until, state.is_personal = shared.model, shared.until, shared.is_personal
        state.is_whole = shared.is_whole
        if not shared.is_personal:
            state.arm = 0
        return _Window(shared, await calibration_of(session, services, shared.trained), Explainer(session, shared))

    def recommend(found: _Window, row: asyncpg.Record, place: Place, state: State) -> Recommended:
        confidence = confidence_of(found.shared, row, found.calibration)
        return recommended(services, "discover", viewer, row, place, state, confidence, found.explainer.add(row))

    def variety(found: _Window) -> Variety:
        explores = services.settings.exploration and found.shared.events > 0
        return Variety(DIVERSITY if found.shared.is_personal else 0.0, explores)  # else by popularity alone

    return await page(session, state, size, rank, chunk, begin, recommend, variety)


def recommended(
    services: Services,
    context: str,
    viewer: bytes,
    row: asyncpg.Record,
    place: Place,
    state: State,
    confidence: float,
    explain: Callable[[], Awaitable[list[Reason]]],
) -> Recommended:
    assert state.model is not None
    assert state.until is not None
    return Recommended(
        Shown(
            product_id=row["product_id"],
            viewer=viewer if state.is_personal else NOBODY,
            context=context,
            model=state.model,
            arm=state.arm,
            propensity=1.0 if place.propensity is None else place.propensity,
        ),
        row["score"],
        confidence,
        services,
        explain,
        state.until,
        rank=state.position,
        is_explored=place.propensity is not None,
        cursor_of=partial(_cursor, services, state),
    )


def _stated(session: Session, services: Services, wanted: products.Filter | None) -> list[Fragment]:
    """Conditions that the caller's stated preferences make. Prices of the filter replace stated ones."""
    user = session.claims.subject
    if user is None:
        return []
    found = [QUERIES["recommendations.is_not_avoided"].bind(user_id=user)]
    if wanted is None or (wanted.min_price is None and wanted.max_price is None):
        currency = services.settings.default_currency
        found.append(QUERIES["recommendations.is_in_stated_prices"].bind(user_id=user, default_currency=currency))
    return found


def _products_of(session: Session, services: Services, texts: Sequence[str]) -> list[UUID]:
    """The products that these ids name, sorted. Raises BadUserInput."""
    if len(texts) > MAX_EXCLUDED:
        raise BadUserInput(f"`excludeIds` has at most {MAX_EXCLUDED} ids.")
    found = set()
    for position, text in enumerate(texts):
        product = ids.decode_as("Product", text)
        if product is None:
            try:
                product = open_id(session, services, text).product_id
            except NotFound:
                message = f"`excludeIds` has no id of a product or of a recommendation at position {position}."
                raise BadUserInput(message) from None
        found.add(product)
    return sorted(found)


async def _facets_of_boosts(session: Session, boosts: Sequence[Boost]) -> list[int]:
    """What is boosted, as numbers. Raises BadUserInput."""
    if not boosts:
        return []
    if len(boosts) > MAX_BOOSTS:
        raise BadUserInput(f"`boost` has at most {MAX_BOOSTS} items.")
    for boost in boosts:
        named = [name for name in (boost.category, boost.brand, boost.tag) if name is not None]
        if len(named) != 1:
            raise BadUserInput("A boost names one of `category`, `brand` and `tag`.")
        require_no_nul(named[0], ("boost",))
        if not 1 / MAX_FACTOR <= boost.factor <= MAX_FACTOR:
            raise BadUserInput(f"The factor of a boost is from {1 / MAX_FACTOR} to {MAX_FACTOR}.")
    rows = await session.fetch(
        "recommendations.facets_of_boosts",
        categories=[boost.category for boost in boosts],
        brands=[boost.brand for boost in boosts],
        tags=[boost.tag for boost in boosts],
    )
    for boost, row in zip(boosts, rows, strict=True):
        if row["facet"] is None:
            raise BadUserInput(f"`boost`: there is no {boost.category or boost.brand}.")
    return [row["facet"] for row in rows]


async def facets_of(session: Session, wanted: products.Filter, categories: Sequence[str]) -> list[int]:
    found: list[int] = await session.fetchval(
        "recommendations.facets_of_filter",
        categories=list(categories),
        brands=list(wanted.brand_slugs or ()),
        tags=[*(wanted.tags or ()), *(wanted.any_tags or ())],
        keys=[*(wanted.category_ids or ()), *(wanted.brand_ids or ())],
    )
    return found


def available() -> list[Fragment]:
    return [QUERIES["products.is_active"].bind(), QUERIES["products.in_stock"].bind(in_stock=True)]


def plain(wanted: Any) -> Any:
    return None if wanted is None else {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}
