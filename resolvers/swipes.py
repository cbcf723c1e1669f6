"""Records and undoes swipes, idempotently by client_swipe_id; signals are updated in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from db.session import Session
from domain.bounds import require_text
from domain.errors import (
    IdempotencyKeyReused,
    Invalid,
    LimitReached,
    NotFound,
    ProductNotFound,
    UserError,
    WriteConflict,
)
from domain.recommendations import Shown
from resolvers import preferences, recommendations
from resolvers.profiles import as_jsonb, require_subject
from services.services import Services

MAX_CLIENT_SWIPE_ID = 200
MAX_SWIPES = 100
MAX_CONTEXT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class NewSwipe:
    """`product_id` is None if the caller's id is not that of a product."""

    product_id: UUID | None
    direction: str
    client_swipe_id: str
    recommendation: str | None
    context: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The id of the stored swipe, or the error."""

    swipe_id: UUID | None
    error: UserError | None


@dataclass(frozen=True, slots=True)
class _Checked:
    position: int
    new: NewSwipe
    product_id: UUID
    shown: Shown | None
    context: str | None


async def _check(session: Session, services: Services, position: int, new: NewSwipe) -> _Checked:
    require_text(new.client_swipe_id, ("clientSwipeId",), MAX_CLIENT_SWIPE_ID, minimum=1)
    if new.product_id is None:
        raise ProductNotFound
    shown = None
    if new.recommendation is not None:
        shown = recommendations.open_id(session, services, new.recommendation)
        if not await recommendations.is_of(session, shown, new.product_id):
            raise Invalid("This recommendation is for another product.", ("recommendationId",))
    context = None if new.context is None else as_jsonb(new.context, "context", MAX_CONTEXT_BYTES)
    return _Checked(position, new, new.product_id, shown, context)


async def record(session: Session, services: Services, swipes: Sequence[NewSwipe]) -> list[Outcome]:
    """Records swipes; returns one outcome per swipe, in order. Raises LimitReached for more than MAX_SWIPES."""
    user = require_subject(session)
    if len(swipes) > MAX_SWIPES:
        raise LimitReached(f"`swipes` holds {len(swipes)}: at most {MAX_SWIPES} at once.", ("swipes",))
    outcomes: list[Outcome] = [Outcome(None, None)] * len(swipes)
    checked: list[_Checked] = []
    for position, new in enumerate(swipes):
        try:
            checked.append(await _check(session, services, position, new))
        except UserError as error:
            outcomes[position] = Outcome(None, error)
    if not checked:
        session.stored_part = 0
        return outcomes
    recommended = await recommendations.store(session, [item.shown for item in checked], takes_lock=True)
    rows = await session.fetch(
        "swipes.record",
        user_id=user,
        session_id=session.claims.session_id,
        client_swipe_ids=[item.new.client_swipe_id for item in checked],
        product_ids=[item.product_id for item in checked],
        directions=[item.new.direction for item in checked],
        recommendation_ids=recommended.ids,
        contexts=[item.context for item in checked],
    )
    session.stored_part = len(rows) / len(swipes)
    session.note_change("preferences", str(user))
    stored = {row["client_swipe_id"]: row for row in rows}
    others = []
    for item in checked:
        row = stored.get(item.new.client_swipe_id)
        if row is not None and _is_of(row, item):
            outcomes[item.position] = Outcome(row["id"], None)
        else:
            others.append(item)
    if others:
        known = await session.fetch(
            "swipes.known",
            user_id=user,
            client_swipe_ids=[item.new.client_swipe_id for item in others],
            product_ids=[item.product_id for item in others],
        )
        for item, row in zip(others, known, strict=True):
            outcomes[item.position] = _outcome(row, item)
    for item in checked:
        if outcomes[item.position].error is None and item.shown is not None and recommended.has_personality:
            await recommendations.note_outcome(session, item.shown, direction=item.new.direction)
    return outcomes


def _is_of(row: asyncpg.Record, item: _Checked) -> bool:
    """Whether the row is the requested swipe."""
    return (row["product_id"], row["direction"]) == (item.product_id, item.new.direction)


def _outcome(row: asyncpg.Record, item: _Checked) -> Outcome:
    """The outcome of a swipe that this request did not store, from a row of swipes.known."""
    if row["id"] is not None and _is_of(row, item):
        return Outcome(row["id"], None)
    if not row["has_product"]:
        return Outcome(None, ProductNotFound())
    if row["id"] is None:  # erased between two statements
        raise WriteConflict("This swipe was deleted by another request.")
    return Outcome(None, IdempotencyKeyReused("This clientSwipeId was used for another swipe.", ("clientSwipeId",)))


async def undo(session: Session, swipe_id: UUID | None) -> None:
    """Undoes a swipe, so that the previous swipe of the same product counts again. Idempotent.

    Raises NotFound for anything that is not one of the caller's swipes.
    """
    user = require_subject(session)
    if swipe_id is None:
        raise NotFound("There is no such swipe.", ("swipeId",))
    await session.fetch("swipes.lock", user_id=user)
    product = await session.fetchval("swipes.undo", user_id=user, swipe_id=swipe_id)
    if product is not None:
        await preferences.recompute(session, user, [product])
    elif not await session.fetchval("swipes.exists", user_id=user, swipe_id=swipe_id):
        raise NotFound("There is no such swipe.", ("swipeId",))
