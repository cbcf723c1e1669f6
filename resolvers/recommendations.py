"""Recommendations: explained by the terms of their score, and stored once a person acts on them. resolvers/feeds.py
ranks them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.queries import QUERIES
from db.session import Session
from domain import recommendations as domain
from domain.errors import Invalid, NotFound, Unavailable
from domain.reasons import Reason, explain, explain_similar, reasons_of
from domain.recommendations import NOBODY, Shown, viewer_of
from domain.switches import Switch
from domain.texts import require_no_nul
from resolvers.explanations import Explainer, Shared, calibration_of, confidence_of, terms_of
from resolvers.profiles import require_subject
from services.services import Services

MAX_ID_LENGTH = 400  # of a signed id; a longer one was not signed here
MAX_COMMENT = 2000


@dataclass(slots=True)
class Recommended:
    """One recommended product. `rank`: its place in its feed, from 1; None outside feeds. `is_explored`: shown to learn
    from, not for its score. The signed id is computed on first use, terms and cursor when asked for."""

    shown: Shown
    score: float
    confidence: float
    services: Services
    explain: Callable[[], Awaitable[list[Reason]]]
    generated_at: datetime
    rank: int | None = None
    is_explored: bool = False
    cursor_of: Callable[[], str] | None = None
    _id: str | None = None

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

    async def reasons(self) -> list[Reason]:
        """The terms of `explain` that raise the score most."""
        return reasons_of(await self.explain())

    @property
    def cursor(self) -> str | None:
        """The cursor after it; None outside feeds."""
        return None if self.cursor_of is None else self.cursor_of()


async def similar(
    session: Session, services: Services, product_ids: Sequence[UUID], size: int
) -> list[list[Recommended]]:
    """The most similar products of each product; the same for every caller."""
    rows = await session.fetch("recommendations.similar", product_ids=list(product_ids), size=size)
    if not rows and not await are_served(session):
        raise no_model()
    found: dict[UUID, list[Recommended]] = {product: [] for product in product_ids}
    for row in rows:
        among = found[row["similar_to"]]
        among.append(_similar(services, len(among) + 1, row))
    return [found[product] for product in product_ids]


def no_model() -> Unavailable:
    """The error before the first model is built."""
    return Unavailable("No model has been built yet: try again shortly.")


def _similar(services: Services, position: int, row: asyncpg.Record) -> Recommended:
    async def explained() -> list[Reason]:
        return explain_similar(dict(row))

    return Recommended(
        shown=Shown(
            product_id=row["product_id"],
            viewer=NOBODY,
            context="similar",
            model=row["version"],
        ),
        score=row["score"],
        confidence=domain.confidence_of(row["score"], 0, False),
        services=services,
        explain=explained,
        generated_at=row["until"],
        rank=position,
    )


def find_shown(session: Session, services: Services, text: str) -> Shown | None:
    """Decodes a recommendation's id; None if it was not signed here, or shown to another person."""
    shown = Shown.open(text, services.recommendation_ids) if len(text) <= MAX_ID_LENGTH else None
    if shown is None or shown.viewer not in (NOBODY, viewer_of(session.claims.subject)):
        return None
    return shown


def open_id(session: Session, services: Services, text: str, name: str = "recommendationId") -> Shown:
    """Decodes a recommendation's id. Raises NotFound if it was not signed here, or shown to another person."""
    shown = find_shown(session, services, text)
    if shown is None:
        raise NotFound("There is no such recommendation.", (name,))
    return shown


async def is_of(session: Session, shown: Shown, product_id: UUID) -> bool:
    """Whether what was shown is this product, or one of both has been merged into the other since."""
    if shown.product_id == product_id:
        return True
    same: bool = await session.fetchval("products.is_same", one=shown.product_id, other=product_id)
    return same


@dataclass(frozen=True, slots=True)
class Stored:
    """`ids`: per recommendation, None for none or if its product was deleted. `has_personality`: whether the person
    has one, without which no terms are stored."""

    ids: list[UUID | None]
    has_personality: bool = False


async def store(session: Session, shown: Sequence[Shown | None], *, takes_lock: bool = False) -> Stored:
    """Stores the recommendations that were acted on. As service_role, because the values come from ids that we signed.
    `takes_lock`: first, the person's lock (swipes.lock)."""
    present = [s for s in shown if s is not None]
    if not present:
        return Stored([None] * len(shown))
    async with session.as_service():
        rows = await session.fetch(
            "recommendations.store",
            takes_lock=takes_lock,
            product_ids=[s.product_id for s in present],
            contexts=[s.context for s in present],
            models=[s.model for s in present],
            arms=[s.arm for s in present],
            propensities=[s.propensity for s in present],
        )
        has_personality: bool = rows[0]["has_personality"]
        if has_personality:
            await note_terms(session, present)
    stored = iter(rows)
    return Stored([None if s is None else next(stored)["id"] for s in shown], has_personality)


async def note_terms(session: Session, shown: Sequence[Shown]) -> None:
    """As service_role: stores the terms of these products' scores for a person with a personality, once per product,
    before an action on it changes them: as the person's own feed would rank the product now, by the arm it was shown
    by."""
    user = session.claims.subject
    first = {s.product_id: s for s in reversed(shown)}
    rows = await session.fetch("recommendations.without_terms", user_id=user, product_ids=list(first))
    missing = {row["product_id"]: first[row["id"]] for row in rows}  # by what the product is now
    by_arm: dict[int, list[UUID]] = {}
    for product, known in missing.items():
        by_arm.setdefault(known.arm, []).append(product)
    for arm, products in by_arm.items():
        rows = await rank_given(session, user, products, arm)
        if rows:
            await _note_terms(session, rows, {product: missing[product].context for product in products})


async def _note_terms(session: Session, rows: Sequence[Any], contexts: Mapping[UUID, str]) -> None:
    shared = Shared.of(rows)
    explained = [explain(terms) for terms in await terms_of(session, shared, rows)]
    await session.fetch(
        "recommendations.note_terms",
        user_id=session.claims.subject,
        product_ids=[row["product_id"] for row in rows],
        contexts=[contexts[row["product_id"]] for row in rows],
        matches=[(row["match"] + 1) / 2 for row in rows],
        alignments=[(row["content"] + 1) / 2 for row in rows],
        predictions=[row["liking"] for row in rows],
        scores=[row["score"] for row in rows],
        reasons=[_json([_as_json(reason) for reason in reasons_of(terms)]) for terms in explained],
        factors=[
            _json({term.source.key: term.weight for term in terms if term.source and term.source.kind == "trait"})
            for terms in explained
        ],
    )


def _as_json(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code, "text": reason.text, "weight": reason.weight}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


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
    session: Session,
    services: Services,
    *,
    recommendation: str,
    kind: str,
    reason: str | None,
    rating: int | None,
    comment: str | None,
) -> Shown:
    """Stores feedback, which the caller's next feed takes into account. Raises NotFound or Invalid."""
    require_subject(session)
    shown = open_id(session, services, recommendation)
    if reason is not None and kind != "not_interested":
        raise Invalid("A reason goes with NOT_INTERESTED only.", ("reason",))
    if rating is not None and not 1 <= rating <= 5:
        raise Invalid("A rating is from 1 to 5.", ("rating",))
    require_no_nul(comment, ("comment",))
    if comment is not None and len(comment) > MAX_COMMENT:
        raise Invalid(f"A comment has at most {MAX_COMMENT} characters.", ("comment",))
    (recommendation_id,) = (await store(session, [shown])).ids
    if recommendation_id is None:
        raise NotFound("This product no longer exists.", ("recommendationId",))
    await session.fetch(
        "recommendations.send_feedback",
        recommendation_id=recommendation_id,
        product_id=shown.product_id,
        kind=kind,
        reason=reason,
        rating=rating,
        comment=comment,
    )
    await note_outcome(session, shown, is_purchased=kind == "purchased")
    session.note_change("feeds", str(session.claims.subject))
    return shown


async def are_served(session: Session) -> bool:
    """Whether there is a model."""
    return await session.fetchrow("recommendations.current_model") is not None


# The ranking of some products, whether or not they would be candidates.
_GIVEN = QUERIES["recommendations.ranked"].fill(
    candidates=QUERIES["recommendations.given"].text, filters="true", is_new="true"
)


async def rank_given(session: Session, user: UUID | None, product_ids: Collection[UUID], arm: int) -> list[Any]:
    """Rows of recommendations.ranked of these products, as of now. `arm`: of an experiment; 0: none."""
    return await session.fetch(
        _GIVEN,
        user_id=user,
        until=None,
        model=None,
        arm=arm,
        with_hidden=True,
        product_ids=list(product_ids),
        size=len(product_ids),
        after_score=None,
        after_number=None,
        boost_facets=[],
        boost_factors=[],
    )


async def by_ids(session: Session, services: Services, shown: Sequence[Shown]) -> list[Recommended | None]:
    """The recommendations behind decoded ids, ranked as of now: for the caller, by the arm they were shown by, if they
    are of the caller's own feed, otherwise as for anybody, because the id does not say what was asked for. One whose
    product was merged is ranked as the product that stays. None if the product was deleted."""
    subject = session.claims.subject
    mine = viewer_of(subject) if services.switches.is_on(Switch.PERSONALISATION) else None
    keys = [(subject, s.arm) if s.context == "discover" and s.viewer == mine else (None, 0) for s in shown]
    found: dict[tuple[tuple[UUID | None, int], UUID], _Ranked] = {}
    for key in dict.fromkeys(keys):
        wanted = {s.product_id for s, whose in zip(shown, keys, strict=True) if whose == key}
        user, arm = key
        rows = await rank_given(session, user, wanted, arm)
        if not rows:
            continue
        shared = Shared.of(rows)
        calibration = await calibration_of(session, services, shared.trained)
        explainer = Explainer(session, shared)
        for row in rows:
            confidence = confidence_of(shared, row, calibration)
            found[key, row["product_id"]] = _Ranked(row["score"], confidence, shared.until, explainer.add(row))
        if merged := wanted - {row["product_id"] for row in rows}:
            for row in await session.fetch("products.of_merged", ids=list(merged)):
                if (key, row["product_id"]) in found:
                    found[key, row["id"]] = found[key, row["product_id"]]
    return [_again(services, s, found.get((key, s.product_id))) for s, key in zip(shown, keys, strict=True)]


@dataclass(frozen=True, slots=True)
class _Ranked:
    score: float
    confidence: float
    until: datetime
    explain: Callable[[], Awaitable[list[Reason]]]


def _again(services: Services, shown: Shown, found: _Ranked | None) -> Recommended | None:
    if found is None:
        return None
    return Recommended(
        shown=shown,
        score=found.score,
        confidence=found.confidence,
        services=services,
        explain=found.explain,
        generated_at=found.until,
        is_explored=shown.propensity < 1,
    )
