"""The quiz that is current: an instrument, in the wording of a locale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from db import instruments
from db.instruments import Loaded
from db.session import Session
from domain import personality
from domain.errors import Unavailable
from domain.instruments import BadInstrument, Instrument, Item, Texts

log = structlog.get_logger("aclue.quiz")


@dataclass(frozen=True, slots=True)
class Quiz:
    """The current instrument with texts in one language."""

    instrument: Instrument
    locale: str
    texts: Texts


async def current(session: Session) -> Loaded:
    """The current instrument. Raises Unavailable without one."""
    return await loaded(session, await session.fetchrow("instruments.current"))


async def loaded(session: Session, current: Any) -> Loaded:
    """The instrument of a row with its key and revision. Raises Unavailable if it is None, or has no norms."""
    if current is None or current["revision"] is None:
        raise _unavailable()
    found = instruments.cached(current["revision"])
    if found is None:
        row = await session.fetchrow("instruments.read", instrument=current["instrument"], version=current["version"])
        if row is None:
            raise _unavailable()
        try:
            found = instruments.read_row(row)
        except BadInstrument as error:
            log.error("the quiz has norms of other questions", problem=str(error))
            raise _unavailable() from None
    if not found.instrument.norms:
        raise _unavailable()
    return found


def _unavailable() -> Unavailable:
    return Unavailable("There is no quiz now.")


def worded(found: Loaded, locale: str) -> Quiz:
    """The quiz in this locale, or its language, or English. Raises Unavailable without English."""
    for name in (locale, locale.split("-")[0], "en"):
        if name in found.texts:
            return Quiz(found.instrument, name, found.texts[name])
    raise _unavailable()


async def current_quiz(session: Session, locale: str) -> Quiz:
    """The current quiz in this locale, or in English without a translation. Raises Unavailable."""
    return worded(await current(session), locale)


async def next_question(
    session: Session, version: str, answers: Sequence[tuple[str, int]], locale: str
) -> tuple[Quiz, Item] | None:
    """The question left that says most about somebody with these answers; None if all are answered. Raises Stale,
    Invalid or Unavailable."""
    quiz = await current_quiz(session, locale)
    given = personality.check_answers(quiz.instrument, version, answers)
    item = personality.next_item(quiz.instrument, given)
    return None if item is None else (quiz, item)
