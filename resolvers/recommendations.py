"""Feeds: ranked in SQL, frozen at their first page, explained by the terms of the score."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from db.queries import QUERIES, Fragment, all_of
from db.session import Session
from domain import recommendations as domain
from domain.errors import BadUserInput, Invalid, NotFound, Stale, Unavailable
from domain.personality import TRAITS
from domain.recommendations import NOBODY, Because, Reason, Shown, viewer_of
from domain.texts import require_no_nul
from resolvers import products
from resolvers.profiles import require_subject
from services.services import Services

MAX_COMMENT = 2000
POPULARITY_SHARE = 0.05  # half of the weight of popularity in every context's parameters, at the least


@dataclass(slots=True)
class Recommended:
    """One recommended product. What costs time, and is not always asked for, is made when it is, and kept: the signed
    id, the reasons, and within a feed the cursor. Some thousands of these are kept (resolvers/rankings.py)."""

    shown: Shown
    score: float
    confidence: float
    services: Services
    explain: Callable[[], list[Reason]]
    feed: _Start | None = None
    _id: str | None = None
    _reasons: list[Reason] | None = None
    _cursor: str | None = None

    @property
    def context(self) -> str:
        return self.shown.context

    @property
    def product_id(self) -> UUID:
        return self.shown.product_id

    @property
    def generated_at(self) -> datetime:
        return self.shown.generated_at

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = self.shown.sign(self.services.recommendation_ids)
        return self._id

    @property
    def reasons(self) -> list[Reason]:
        if self._reasons is None:
            self._reasons = self.explain()
        return self._reasons

    @property
    def cursor(self) -> str | None:
        """Where the feed goes on after it; None outside of feeds."""
        if self._cursor is None and self.feed is not None:
            start, shown = self.feed, self.shown
            place = FeedCursor(
                *(start.request, start.model, start.until, shown.position, shown.score, shown.product_id),
                is_personal=start.is_personal,
            )
            self._cursor = self.services.cursors.sign(msgspec.msgpack.encode(place))
        return self._cursor


@dataclass(frozen=True, slots=True)
class Feed:
    items: list[Recommended]
    has_next: bool
    has_previous: bool


class FeedCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a feed stands, and all it was ranked from: nothing is kept on the server. `request` is a hash of the
    viewer, the context and the filter, so a cursor fits no other feed. `is_personal`: made for the viewer, not merely
    by popularity."""

    request: bytes
    model: int
    until: datetime
    position: int
    score: float
    product_id: UUID
    is_personal: bool = True


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
    state: Hashable = None  # what a first page follows from


async def _start(
    session: Session, services: Services, context: str, viewer: bytes, wanted: Any, size: int, after: str | None
) -> _Start | Feed:
    """A new feed frozen now, or an old one where its cursor stands; or the very page, where it is kept and nothing has
    changed. Raises BadUserInput, Stale or Unavailable."""
    request = hashlib.sha256(msgspec.json.encode([context, viewer, wanted], order="sorted")).digest()[:16]
    if not after:
        return await _first(session, services, viewer, request, size)
    payload = services.cursors.open(after)
    try:
        cursor = msgspec.msgpack.decode(payload or b"", type=FeedCursor)
    except msgspec.DecodeError:
        cursor = None
    if cursor is None or cursor.request != request:
        raise BadUserInput("`after` is not a cursor of this feed.")
    model = await session.fetchrow("recommendations.model", version=cursor.model, user_id=session.claims.subject)
    if model is None:
        raise Stale("This feed is too old to go on with; start again without `after`.", ("after",))
    if cursor.is_personal and viewer != NOBODY and not model["may_be_personal"]:
        raise Stale("This feed was personal, which was withdrawn since; start again without `after`.", ("after",))
    return _Start(
        request,
        cursor.model,
        cursor.until,
        model["is_large"],
        cursor.position,
        cursor.score,
        cursor.product_id,
        cursor.is_personal,
    )


async def _first(session: Session, services: Services, viewer: bytes, request: bytes, size: int) -> _Start | Feed:
    kept = services.rankings.find((request, size))
    newest = await session.fetchrow(
        "recommendations.state",
        user_id=None if viewer == NOBODY else session.claims.subject,
        product_ids=[item.product_id for item in kept.page.items] if kept else [],
    )
    if newest is None:
        raise Unavailable("No model has been built yet; it is moments away.")
    state = (newest["version"], newest["is_personal"], newest["acts"])
    is_hit = kept is not None and kept.state == state and newest["available"] == len(kept.page.items)
    services.rankings.used(is_hit=is_hit)
    if kept is not None and is_hit:
        if session.usage is not None:
            session.usage.rankings += 1
        page: Feed = kept.page
        return page
    return _Start(
        request, newest["version"], newest["until"], newest["is_large"], is_personal=newest["is_personal"], state=state
    )


def _feed(services: Services, context: str, viewer: bytes, start: _Start, rows: list[Any], size: int) -> Feed:
    """A page of these rows. A first page is kept."""
    items = [
        _recommended(services, context, viewer, start, position, row, feed=start)
        for position, row in enumerate(rows[:size], start=start.position + 1)
    ]
    feed = Feed(items, has_next=len(rows) > size, has_previous=start.score is not None)
    if start.state is not None:
        services.rankings.keep((start.request, size), start.state, feed)
    return feed


def _recommended(
    services: Services, context: str, viewer: bytes, start: _Start, position: int, row: Any, feed: _Start | None = None
) -> Recommended:
    return Recommended(
        Shown(
            product_id=row["product_id"],
            viewer=viewer,
            context=context,
            model=start.model,
            position=position,
            score=row["score"],
            match=(row["personality"] + 1) / 2,
            preference=(row["preference"] + 1) / 2,
            popularity=row["popularity"],
            generated_at=start.until,
        ),
        row["score"],
        domain.confidence_of(row["score"], row["signals"], row["has_personality"]),
        services,
        partial(_reasons, _Terms.packed(row), context == "gift_finder"),
        feed,
    )


class _Terms(msgspec.Struct, frozen=True, array_like=True):
    """What a score is made of, and its reasons are written from. Kept packed: in a third of the memory."""

    trait_terms: list[float]
    leanings: list[float]
    because: str
    context_terms: str
    popularity_term: float

    @classmethod
    def packed(cls, row: Any) -> bytes:
        """Those of a ranked row."""
        weight = row["trait_weight"]
        trait_terms = [(factor or 0.0) * weight for factor in row["trait_factors"]]
        terms = cls(trait_terms, row["leanings"], row["because"], row["context_terms"], row["popularity_term"])
        return msgspec.msgpack.encode(terms)


def _reasons(packed: bytes, for_somebody_else: bool) -> list[Reason]:
    terms = msgspec.msgpack.decode(packed, type=_Terms)
    return domain.reasons_of(
        trait_terms=terms.trait_terms,
        trait_leanings=terms.leanings,
        because=msgspec.json.decode(terms.because, type=list[Because]),
        context_terms=[
            (f"{term['kind'].upper()}_FIT", _context_text(term), term["weight"])
            for term in msgspec.json.decode(terms.context_terms)
        ],
        popularity_term=terms.popularity_term,
        for_somebody_else=for_somebody_else,
    )


def _context_text(term: dict[str, Any]) -> str:
    value = term["value"].replace("-", " ")
    match term["kind"]:
        case "occasion":
            return f"Right for the occasion: {value}"
        case "relationship":
            return f"Suits a {value}"
        case _:
            return f"Suits the age: {value}"


async def discover(
    session: Session, services: Services, *, wanted: products.Filter | None, size: int, after: str | None
) -> Feed:
    """The caller's own feed; what is popular without a token, or where personalisation was withdrawn. Never a product
    already swiped."""
    viewer = viewer_of(session.claims.subject)
    start = await _start(session, services, "discover", viewer, _plain(wanted), size, after)
    if isinstance(start, Feed):
        return start
    is_new = QUERIES["recommendations.is_new_to"].bind(user_id=session.claims.subject)
    conditions = [_available(), is_new, *products.conditions(wanted)]
    lists: list[str] = []
    if start.is_large:
        whose = session.claims.subject if start.is_personal else None
        lists = await session.fetchval("recommendations.lists_for", user_id=whose, until=start.until, model=start.model)
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
    """A page ranked from everything, or of a large model from the candidates of these lists. A page that these cannot
    fill is ranked from everything below the cursor instead: a feed goes on to the end of the catalogue."""
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
        size=size,
        after_score=start.score,
        after_id=start.product_id,
    )


def _available() -> Fragment:
    return QUERIES["products.in_stock"].bind(in_stock=True)


def _plain(wanted: Any) -> Any:
    return None if wanted is None else {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}


async def find_gifts(session: Session, services: Services, wishes: GiftWishes, *, size: int, after: str | None) -> Feed:
    """Gifts for somebody else: the same for every caller. Raises Invalid for an age, price or text that cannot be."""
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


async def _newest(session: Session) -> _Start:
    newest = await session.fetchrow("recommendations.current_model", user_id=session.claims.subject)
    if newest is None:
        raise Unavailable("No model has been built yet; it is moments away.")
    return _Start(b"", newest["version"], newest["until"], newest["is_large"], is_personal=newest["is_personal"])


async def similar(
    session: Session, services: Services, product_ids: Sequence[UUID], size: int
) -> list[list[Recommended]]:
    """Per product, those most like it; the same for every caller."""
    start = await _newest(session)
    rows = await session.fetch(
        "recommendations.similar", product_ids=list(product_ids), model=start.model, is_large=start.is_large, size=size
    )
    found: dict[UUID, list[Recommended]] = {product: [] for product in product_ids}
    for row in rows:
        among = found[row["similar_to"]]
        among.append(_similar(services, start, len(among) + 1, row))
    return [found[product] for product in product_ids]


def _similar(services: Services, start: _Start, position: int, row: Any) -> Recommended:
    return Recommended(
        shown=Shown(
            product_id=row["product_id"],
            viewer=NOBODY,
            context="similar",
            model=start.model,
            position=position,
            score=row["score"],
            match=0.5,
            preference=0.5,
            popularity=row["popularity"],
            generated_at=start.until,
        ),
        score=row["score"],
        confidence=domain.confidence_of(row["score"], 0, False),
        services=services,
        explain=partial(_reasons_of_similar, row),
    )


def _reasons_of_similar(row: Any) -> list[Reason]:
    tags = ", ".join(tag.replace("-", " ") for tag in row["shared_tags"][:3])
    terms = [
        Reason("SAME_CATEGORY", "The same kind of gift", row["category_term"]),
        Reason("SAME_BRAND", "By the same maker", row["brand_term"]),
        Reason("SHARED_TAGS", f"Also: {tags}", row["tags_term"]),
        Reason("SIMILAR_PRICE", "About the same price", row["price_term"]),
        domain.popular(row["popularity_term"]),
    ]
    reasons = sorted((r for r in terms if r.weight >= 0.0005), key=lambda r: -r.weight)[: domain.MAX_REASONS]
    return [Reason(r.code, r.text, round(r.weight, 6)) for r in reasons]


def open_id(session: Session, services: Services, text: str, name: str = "recommendationId") -> Shown:
    """What a recommendation's id says. Raises NotFound when it was shown to somebody else."""
    shown = Shown.open(text, services.recommendation_ids) if len(text) <= 400 else None
    if shown is None or shown.viewer not in (NOBODY, viewer_of(session.claims.subject)):
        raise NotFound("There is no such recommendation.", (name,))
    return shown


async def store(session: Session, shown: Sequence[Shown | None]) -> list[UUID | None]:
    """Rows of what was acted on; an id per entry, None where there was no recommendation or its product is gone. As
    service_role: what they hold comes from ids that we signed."""
    present = [s for s in shown if s is not None]
    if not present:
        return [None] * len(shown)
    product_ids = [s.product_id for s in present]
    contexts = [s.context for s in present]
    generated_ats = [s.generated_at for s in present]
    async with session.as_service():
        await session.fetch(
            "recommendations.record",
            product_ids=product_ids,
            contexts=contexts,
            models=[s.model for s in present],
            positions=[s.position for s in present],
            propensities=[s.propensity for s in present],
            scores=[s.score for s in present],
            generated_ats=generated_ats,
        )
        rows = await session.fetch(
            "recommendations.find",
            user_id=session.claims.subject,
            product_ids=product_ids,
            contexts=contexts,
            generated_ats=generated_ats,
        )
    stored = iter(rows)
    return [None if s is None else next(stored)["id"] for s in shown]


async def note_outcome(
    session: Session, shown: Shown, *, direction: str | None = None, is_purchased: bool = False
) -> None:
    """Keeps what came of a recommendation beside the terms of its score. As service_role: the terms come from an id
    that we signed."""
    async with session.as_service():
        await session.fetch(
            "recommendations.note_outcome",
            user_id=session.claims.subject,
            product_id=shown.product_id,
            match=shown.match if shown.context == "discover" and shown.viewer != NOBODY else None,
            alignment=shown.preference,
            prediction=shown.popularity,
            score=shown.score,
            context=shown.context,
            generated_at=shown.generated_at,
            direction=direction,
            is_purchased=is_purchased,
        )


async def send_feedback(
    session: Session, services: Services, *, recommendation: str, kind: str, rating: int | None, comment: str | None
) -> Shown:
    """Keeps feedback; the caller's next feed follows it. Raises NotFound or Invalid."""
    require_subject(session)
    shown = open_id(session, services, recommendation)
    if rating is not None and not 1 <= rating <= 5:
        raise Invalid("A rating is from 1 to 5.", ("rating",))
    require_no_nul(comment, ("comment",))
    if comment is not None and len(comment) > MAX_COMMENT:
        raise Invalid(f"A comment has at most {MAX_COMMENT} characters.", ("comment",))
    (recommendation_id,) = await store(session, [shown])
    if recommendation_id is None:
        raise NotFound("This product is no longer there.", ("recommendationId",))
    await session.fetch(
        "recommendations.send_feedback",
        recommendation_id=recommendation_id,
        product_id=shown.product_id,
        kind=kind,
        rating=rating,
        comment=comment,
    )
    await note_outcome(session, shown, is_purchased=kind == "purchased")
    session.note_change("feeds", str(session.claims.subject))
    return shown


async def are_served(session: Session) -> bool:
    """Whether there is a model to make feeds from."""
    return await session.fetchrow("recommendations.current_model", user_id=session.claims.subject) is not None


# `discover` of a feed, for some of its products, whichever they are: not only candidates.
_AGAIN = QUERIES["recommendations.again"].fill(
    statement=QUERIES["recommendations.discover"]
    .over(user_id="fed.user_id", until="fed.until", model="fed.model", size="null", after_score="null", after_id="null")
    .replace("{filters}", "r.id = any (fed.product_ids)")
)


async def by_ids(session: Session, services: Services, shown: Sequence[Shown]) -> list[Recommended | None]:
    """The recommendations behind opened ids. Those of the caller's own feed are ranked again, as of the moment they
    were shown; of others the id keeps the score but not what was asked for. None where the product is gone."""
    user = session.claims.subject
    own = {s for s in shown if s.context == "discover" and s.viewer == viewer_of(user)}
    rows = []
    if own:
        rows = await session.fetch(
            _AGAIN,
            user_id=user,
            product_ids=[s.product_id for s in own],
            models=[s.model for s in own],
            untils=[s.generated_at for s in own],
        )
    ranked = {(row["shown_by"], row["until"], row["product_id"]): row for row in rows}
    return [
        _again(services, s, ranked.get((s.model, s.generated_at, s.product_id))) if s in own else _as_shown(services, s)
        for s in shown
    ]


def _again(services: Services, shown: Shown, row: Any) -> Recommended | None:
    if row is None:
        return None
    start = _Start(b"", shown.model, shown.generated_at, is_large=False)
    return replace(_recommended(services, shown.context, shown.viewer, start, shown.position, row), shown=shown)


def _as_shown(services: Services, shown: Shown) -> Recommended:
    return Recommended(
        shown=shown,
        score=round(shown.score, 4),
        confidence=domain.confidence_of(shown.score, 0, False),
        services=services,
        explain=lambda: [domain.popular(round(shown.popularity * POPULARITY_SHARE, 6))],
    )
