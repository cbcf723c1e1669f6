"""Feeds: ranked in SQL, from a state that their first page freezes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from db.queries import QUERIES, Fragment, all_of
from db.session import Session
from domain.errors import BadUserInput, Invalid, Stale
from domain.personality import BALANCED, TRAITS
from domain.recommendations import NOBODY, Shown, viewer_of
from domain.texts import require_no_nul
from resolvers import experiments, products
from resolvers.recommendations import Recommended, from_row, no_model
from services.services import Services


@dataclass(frozen=True, slots=True)
class Feed:
    items: list[Recommended]
    has_next: bool
    has_previous: bool


class FeedCursor(msgspec.Struct, frozen=True, array_like=True):
    """The position in a feed, and everything it was ranked from, so that the server stores nothing. `request` is a hash
    of viewer, context and filter, so that a cursor is valid for its feed only. `is_personal`: ranked for the viewer,
    not just by popularity."""

    request: bytes
    model: int
    until: datetime
    position: int
    score: float
    product_id: UUID
    is_personal: bool = True
    arm: int = 0


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


@dataclass(frozen=True, slots=True)
class _Start:
    request: bytes
    model: int
    until: datetime
    is_large: bool  # too many products to rank them all
    position: int = 0
    score: float | None = None
    product_id: UUID | None = None
    is_personal: bool = True
    arm: int = 0  # of an experiment
    state: Hashable = None  # what a first page was ranked from


async def _start(
    session: Session,
    services: Services,
    context: str,
    viewer: bytes,
    wanted: Any,
    size: int,
    after: str | None,
) -> _Start | Feed:
    """A new feed, frozen now, or an earlier one at its cursor; or the cached page if nothing has changed. Raises
    BadUserInput, Stale or Unavailable."""
    request = hashlib.sha256(msgspec.json.encode([context, viewer, wanted], order="sorted")).digest()[:16]
    if not after:
        assigned = await experiments.assigned(session, services, context)
        return await _first(session, services, viewer, request, size, assigned.arm if assigned else 0)
    payload = services.cursors.open(after)
    try:
        cursor = msgspec.msgpack.decode(payload or b"", type=FeedCursor)
    except msgspec.DecodeError:
        cursor = None
    if cursor is None or cursor.request != request:
        raise BadUserInput("`after` is not a cursor of this feed.")
    model = await session.fetchrow("recommendations.model", version=cursor.model, user_id=session.claims.subject)
    if model is None:
        raise Stale("This feed is too old to continue; start again without `after`.", ("after",))
    if cursor.is_personal and viewer != NOBODY and not model["may_be_personal"]:
        raise Stale("Personalisation was withdrawn after this feed started; start again without `after`.", ("after",))
    return _Start(
        request,
        cursor.model,
        cursor.until,
        model["is_large"],
        cursor.position,
        cursor.score,
        cursor.product_id,
        cursor.is_personal,
        cursor.arm,
    )


async def _first(
    session: Session, services: Services, viewer: bytes, request: bytes, size: int, arm: int
) -> _Start | Feed:
    kept = services.rankings.find((request, size))
    newest = await session.fetchrow(
        "recommendations.state",
        user_id=None if viewer == NOBODY else session.claims.subject,
        product_ids=[item.product_id for item in kept.page.items] if kept else [],
    )
    if newest is None:
        raise no_model()
    arm = arm if newest["is_personal"] else 0
    state = (newest["version"], newest["is_personal"], newest["acts"], arm)
    is_hit = kept is not None and kept.state == state and newest["available"] == len(kept.page.items)
    services.rankings.used(is_hit=is_hit)
    if kept is not None and is_hit:
        if session.usage is not None:
            session.usage.rankings += 1
        page: Feed = kept.page
        return page
    return _Start(
        request,
        newest["version"],
        newest["until"],
        newest["is_large"],
        is_personal=newest["is_personal"],
        arm=arm,
        state=state,
    )


def _feed(services: Services, context: str, viewer: bytes, start: _Start, rows: list[Any], size: int) -> Feed:
    """A page of these rows. A first page is cached."""
    items = [
        from_row(
            services,
            row,
            shown=Shown(row["product_id"], viewer if start.is_personal else NOBODY, context, start.model, start.arm),
            until=start.until,
            cursor_of=partial(_cursor, services, start, position, row["score"], row["product_id"]),
        )
        for position, row in enumerate(rows[:size], start=start.position + 1)
    ]
    feed = Feed(items, has_next=len(rows) > size, has_previous=start.score is not None)
    if start.state is not None:
        services.rankings.keep((start.request, size), start.state, feed)
    return feed


def _cursor(services: Services, start: _Start, position: int, score: float, product_id: UUID) -> str:
    place = FeedCursor(
        *(start.request, start.model, start.until, position, score, product_id),
        is_personal=start.is_personal,
        arm=start.arm,
    )
    return services.cursors.sign(msgspec.msgpack.encode(place))


async def discover(
    session: Session, services: Services, *, wanted: products.Filter | None, size: int, after: str | None
) -> Feed:
    """The caller's feed; popular products without a token, or if personalisation was withdrawn. Never has products that
    were already swiped."""
    viewer = viewer_of(session.claims.subject)
    start = await _start(session, services, "discover", viewer, _plain(wanted), size, after)
    if isinstance(start, Feed):
        return start
    is_new = QUERIES["recommendations.is_new_to"].bind(user_id=session.claims.subject)
    conditions = [_available(), is_new, *products.conditions(wanted)]
    lists: list[str] = []
    if start.is_large:
        whose = session.claims.subject if start.is_personal else None
        lists = await session.fetchval(
            "recommendations.lists_for", user_id=whose, until=start.until, model=start.model, arm=start.arm
        )
        if wanted is not None:
            slugs = [wanted.category_slug] if wanted.category_slug else []
            lists += await _lists_of_filter(session, slugs, wanted.brand_slugs, wanted.tags)
    rows = await _ranked(start, lists, conditions, size + 1, partial(_discover, session, start, size=size + 1))
    return _feed(services, "discover", viewer, start, rows, size)


async def _lists_of_filter(
    session: Session, categories: Sequence[str], brands: Sequence[str] | None, tags: Sequence[str] | None
) -> list[str]:
    found: list[str] = await session.fetchval(
        "recommendations.lists_of_filter", categories=list(categories), brands=list(brands or ()), tags=list(tags or ())
    )
    return found


async def _ranked(
    start: _Start,
    lists: Sequence[str],
    conditions: list[Fragment],
    size: int,
    rank: Callable[[list[Fragment]], Coroutine[Any, Any, list[Any]]],
) -> list[Any]:
    """A page ranked from all products, or with a large model from the candidates of these lists. A page that candidates
    cannot fill is ranked from all products below the cursor instead, so that a feed covers the whole catalogue."""
    if start.is_large:
        is_candidate = QUERIES["recommendations.is_candidate"].bind(model=start.model, lists=list(lists))
        rows = await rank([is_candidate, *conditions])
        if len(rows) >= size:
            return rows
    return await rank(conditions)


async def _discover(session: Session, start: _Start, conditions: list[Fragment], *, size: int) -> list[Any]:
    query = QUERIES["recommendations.discover"].fill(filters=all_of(conditions))
    return await session.fetch(
        query,
        user_id=session.claims.subject if start.is_personal else None,  # of nobody: no personality and no signals
        until=start.until,
        model=start.model,
        arm=start.arm,
        size=size,
        after_score=start.score,
        after_id=start.product_id,
    )


def _available() -> Fragment:
    return QUERIES["products.in_stock"].bind(in_stock=True)


def _plain(wanted: Any) -> Any:
    return None if wanted is None else {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}


async def find_gifts(session: Session, services: Services, wishes: GiftWishes, *, size: int, after: str | None) -> Feed:
    """Gifts for another person: the same for every caller. Raises Invalid for an impossible age, price or text."""
    if BALANCED in wishes.traits:
        raise Invalid("BALANCED is no trait to look for: leave out `traits`.", ("input", "traits"))
    if wishes.age is not None and not 0 <= wishes.age <= 130:
        raise Invalid("An age is from 0 to 130.", ("input", "age"))
    start = await _start(session, services, "gift_finder", NOBODY, _plain(wishes), size, after)
    if isinstance(start, Feed):
        return start
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
            if len(slugs) > products.MAX_LIST:
                raise Invalid(f"At most {products.MAX_LIST} categories.", ("input", field))
            for slug in slugs:
                require_no_nul(slug, ("input", field))
            conditions.append(QUERIES[f"products.{name}"].bind(slugs=list(slugs)))
    leanings = [1.0 if trait in wishes.traits else 0.0 for trait in TRAITS]
    lists: list[str] = []
    if start.is_large:
        lists = await session.fetchval("recommendations.lists_of_wishes", leanings=leanings, contexts=contexts)
        lists += await _lists_of_filter(session, wishes.category_slugs or (), None, None)

    async def rank(conditions: list[Fragment]) -> list[Any]:
        return await session.fetch(
            QUERIES["recommendations.gift_finder"].fill(filters=all_of(conditions)),
            model=start.model,
            leanings=leanings,
            occasion=_slug(wishes.occasion or ""),
            contexts=contexts,
            size=size + 1,
            after_score=start.score,
            after_id=start.product_id,
        )

    rows = await _ranked(start, lists, [_available(), *conditions], size + 1, rank)
    return _feed(services, "gift_finder", NOBODY, start, rows, size)


def _slug(text: str) -> str:
    return "-".join(text.replace("\0", "").lower().replace("-", " ").split())[:60]


def _age_band(age: int) -> str:
    return "child" if age < 13 else "teenager" if age < 18 else "adult" if age < 65 else "senior"
