"""Recommendations: explained by the terms of their score, and stored once a person acts on them. resolvers/feeds.py
ranks them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from db.queries import QUERIES
from db.session import Session
from domain import recommendations as domain
from domain.errors import Invalid, NotFound, Unavailable
from domain.recommendations import NOBODY, Because, Reason, Shown, viewer_of
from domain.texts import require_no_nul
from resolvers.profiles import require_subject
from services.services import Services

MAX_COMMENT = 2000


@dataclass(slots=True)
class Recommended:
    """One recommended product. The signed id, the reasons, and the cursor within a feed are expensive, so they are
    computed on first use and cached. Thousands of these objects are cached (services/rankings.py)."""

    shown: Shown
    score: float
    confidence: float
    services: Services
    generated_at: datetime
    explain: Callable[[], list[Reason]]
    cursor_of: Callable[[], str] | None = None
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
        """The cursor after it; None outside feeds."""
        if self._cursor is None and self.cursor_of is not None:
            self._cursor = self.cursor_of()
        return self._cursor


def from_row(
    services: Services,
    row: Any,
    *,
    shown: Shown,
    until: datetime,
    cursor_of: Callable[[], str] | None = None,
) -> Recommended:
    """The recommendation of a ranked row (sql/queries/recommendations.sql: discover, gift_finder)."""
    return Recommended(
        shown,
        row["score"],
        domain.confidence_of(row["score"], row["signals"], row["has_personality"]),
        services,
        until,
        partial(_reasons, _Terms.packed(row), shown.context == "gift_finder"),
        cursor_of,
    )


class _Terms(msgspec.Struct, frozen=True, array_like=True):
    """The terms of a score, from which its reasons are derived. Packed, which takes a third of the memory."""

    trait_terms: list[float]
    leanings: list[float]
    because: str
    context_terms: str
    popularity_term: float

    @classmethod
    def packed(cls, row: Any) -> bytes:
        """The terms of a ranked row."""
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


async def similar(
    session: Session, services: Services, product_ids: Sequence[UUID], size: int
) -> list[list[Recommended]]:
    """The most similar products of each product; the same for every caller."""
    newest = await session.fetchrow("recommendations.current_model", user_id=session.claims.subject)
    if newest is None:
        raise no_model()
    version = newest["version"]
    rows = await session.fetch(
        "recommendations.similar", product_ids=list(product_ids), model=version, is_large=newest["is_large"], size=size
    )
    found: dict[UUID, list[Recommended]] = {product: [] for product in product_ids}
    for row in rows:
        among = found[row["similar_to"]]
        among.append(_similar(services, version, newest["until"], row))
    return [found[product] for product in product_ids]


def no_model() -> Unavailable:
    """The error before the first model is built."""
    return Unavailable("No model has been built yet: try again shortly.")


def _similar(services: Services, model: int, until: datetime, row: Any) -> Recommended:
    return Recommended(
        shown=Shown(product_id=row["product_id"], viewer=NOBODY, context="similar", model=model),
        score=row["score"],
        confidence=domain.confidence_of(row["score"], 0, False),
        services=services,
        generated_at=until,
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


def find_shown(session: Session, services: Services, text: str) -> Shown | None:
    """Decodes a recommendation's id; None if it was not signed here, or shown to another person."""
    shown = Shown.open(text, services.recommendation_ids) if len(text) <= 400 else None
    if shown is None or shown.viewer not in (NOBODY, viewer_of(session.claims.subject)):
        return None
    return shown


def open_id(session: Session, services: Services, text: str, name: str = "recommendationId") -> Shown:
    """Decodes a recommendation's id. Raises NotFound if it was not signed here, or shown to another person."""
    shown = find_shown(session, services, text)
    if shown is None:
        raise NotFound("There is no such recommendation.", (name,))
    return shown


async def store(session: Session, shown: Sequence[Shown | None]) -> list[UUID | None]:
    """Stores the recommendations that were acted on; returns an id per entry, None without a recommendation or if its
    product was deleted. As service_role, because the values come from ids that we signed."""
    present = [s for s in shown if s is not None]
    if not present:
        return [None] * len(shown)
    ids = {
        "product_ids": [s.product_id for s in present],
        "contexts": [s.context for s in present],
        "models": [s.model for s in present],
        "arms": [s.arm for s in present],
        "propensities": [s.propensity for s in present],
    }
    async with session.as_service():
        await session.fetch("recommendations.record", **ids)
        rows = await session.fetch("recommendations.find", user_id=session.claims.subject, **ids)
        await note_terms(session, present)
    stored = iter(rows)
    return [None if s is None else next(stored)["id"] for s in shown]


async def note_terms(session: Session, shown: Sequence[Shown]) -> None:
    """As service_role: stores the terms of these products' scores for a person with a personality, once per product,
    before an action on it changes them: as the person's own feed would rank the product now."""
    user = session.claims.subject
    contexts = {s.product_id: s.context for s in reversed(shown)}
    missing = await session.fetchval("recommendations.without_terms", user_id=user, product_ids=list(contexts))
    if not missing:
        return
    count = len(missing)
    rows = await session.fetch(
        _AGAIN, user_id=user, product_ids=missing, models=[0] * count, arms=[0] * count, are_own=[True] * count
    )
    await session.fetch(
        "recommendations.note_terms",
        user_id=user,
        product_ids=[row["product_id"] for row in rows],
        contexts=[contexts[row["product_id"]] for row in rows],
        matches=[(row["personality"] + 1) / 2 for row in rows],
        alignments=[(row["preference"] + 1) / 2 for row in rows],
        predictions=[row["popularity"] for row in rows],
        scores=[row["score"] for row in rows],
    )


async def note_outcome(
    session: Session, shown: Shown, *, direction: str | None = None, is_purchased: bool = False
) -> None:
    """Notes what came of a recommendation that was stored. As service_role: people do not write outcomes."""
    async with session.as_service():
        await session.fetch(
            "recommendations.note_outcome",
            user_id=session.claims.subject,
            product_id=shown.product_id,
            direction=direction,
            is_purchased=is_purchased,
        )


async def send_feedback(
    session: Session, services: Services, *, recommendation: str, kind: str, rating: int | None, comment: str | None
) -> Shown:
    """Stores feedback, which the caller's next feed takes into account. Raises NotFound or Invalid."""
    require_subject(session)
    shown = open_id(session, services, recommendation)
    if rating is not None and not 1 <= rating <= 5:
        raise Invalid("A rating is from 1 to 5.", ("rating",))
    require_no_nul(comment, ("comment",))
    if comment is not None and len(comment) > MAX_COMMENT:
        raise Invalid(f"A comment has at most {MAX_COMMENT} characters.", ("comment",))
    (recommendation_id,) = await store(session, [shown])
    if recommendation_id is None:
        raise NotFound("This product no longer exists.", ("recommendationId",))
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
    """Whether there is a model."""
    return await session.fetchrow("recommendations.current_model", user_id=session.claims.subject) is not None


# `discover` for some products, which need not be candidates.
_AGAIN = QUERIES["recommendations.again"].fill(
    statement=QUERIES["recommendations.discover"]
    .over(
        user_id="fed.user_id",
        until="fed.until",
        model="fed.model",
        arm="fed.arm",
        size="null",
        after_score="null",
        after_id="null",
    )
    .replace("{filters}", "r.id = any (fed.product_ids)")
)


async def by_ids(session: Session, services: Services, shown: Sequence[Shown]) -> list[Recommended | None]:
    """The recommendations behind decoded ids, ranked now: those of the caller's own feed for the caller. Others have
    the score of anybody's feed, because an id does not hold the request that it answered. None if the product was
    deleted."""
    mine = viewer_of(session.claims.subject)
    own = [s.context == "discover" and s.viewer == mine for s in shown]
    rows = await session.fetch(
        _AGAIN,
        user_id=session.claims.subject,
        product_ids=[s.product_id for s in shown],
        models=[s.model for s in shown],
        arms=[s.arm for s in shown],
        are_own=own,
    )
    ranked = {(row["shown_by"], row["arm"], row["is_own"], row["product_id"]): row for row in rows}
    found = [ranked.get((s.model, s.arm, is_own, s.product_id)) for s, is_own in zip(shown, own, strict=True)]
    return [
        None if row is None else from_row(services, row, shown=s, until=row["until"])
        for s, row in zip(shown, found, strict=True)
    ]
