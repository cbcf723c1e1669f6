"""Instruments in the database: loaded from files, served by revision, normed from the quizzes taken here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from commands import quiz
from db import instrument_files, instruments
from db.instruments import MIN_ASSESSMENTS, SHIPPED
from domain.instruments import BadInstrument, Document, Instrument, Texts, parse, with_norms
from tests.client import QUIZ
from tests.conftest import Shop
from tests.instruments import DOCUMENT, norms

pytest.importorskip("numpy", reason="the extra `training` is not installed")


def example(**changes: Any) -> Document:
    """The instrument of the tests, with norms and English texts."""
    document = parse({**DOCUMENT, **changes})
    return Document(with_norms(document.instrument, norms(document.instrument)), document.texts)


async def current(owner: asyncpg.Connection[Any]) -> tuple[str, str]:
    row = await owner.fetchrow("select instrument, version from public.quiz_versions where is_current")
    assert row is not None
    return row["instrument"], row["version"]


async def test_the_shipped_instrument_is_loaded_once_and_read_back_as_it_is(owner: asyncpg.Connection[Any]) -> None:
    document = instrument_files.load(SHIPPED)
    found = await instruments.read(owner, document.instrument.code, document.instrument.version)
    assert found is not None
    assert found.instrument == document.instrument
    assert found.texts == document.texts
    assert await current(owner) == ("aclue-gifts", "2.0")
    assert not await instruments.load_reference(owner)


async def test_version_1_stays_readable(owner: asyncpg.Connection[Any]) -> None:
    found = await instruments.read(owner, "aclue-gifts", "1.0")
    assert found is not None
    assert (len(found.instrument.items), found.instrument.norms) == (20, {})
    assert found.instrument.min_per_trait == dict.fromkeys(found.instrument.traits, 2)


async def test_another_instrument_is_served_once_it_is_activated(shop: Shop) -> None:
    assert (await instruments.store(shop.owner, example())).is_new
    assert (await shop.client().ask(QUIZ))["quiz"]["version"] == "2.0"
    again = await instruments.store(shop.owner, example(), activate=True)
    assert (again.is_new, again.is_current) == (False, True)
    found = (await shop.client().ask(QUIZ))["quiz"]
    assert (found["version"], len(found["questions"])) == ("1.0", 20)
    assert found["questions"][0]["text"] == DOCUMENT["items"][0]["texts"]["en"]
    # A release does not replace what an administrator chose.
    await shop.owner.execute("alter table public.quiz_texts disable trigger user")
    for table in ("quiz_texts", "quiz_questions", "quiz_traits", "quiz_versions"):
        await shop.owner.execute(f"delete from public.{table} where (instrument, version) = ('aclue-gifts', '2.0')")
    assert await instruments.load_reference(shop.owner)
    assert await current(shop.owner) == ("example", "1.0")


async def test_the_questions_of_a_version_never_change_but_its_texts_may(owner: asyncpg.Connection[Any]) -> None:
    await instruments.store(owner, example())
    for change in (
        {"min_answers": 11},
        {"items": [{**DOCUMENT["items"][0], "reversed": True}, *DOCUMENT["items"][1:]]},
    ):
        with pytest.raises(BadInstrument, match="another version"):
            await instruments.store(owner, example(**change))
    document = example()
    texts = document.texts["en"]
    better = Texts({**texts.items, "adv-1": "Better."}, texts.options)
    await instruments.store(owner, replace(document, texts={"en": better}))
    found = await instruments.read(owner, "example", "1.0")
    assert found is not None
    assert found.texts["en"].items["adv-1"] == "Better."


async def test_what_cannot_be_the_quiz(owner: asyncpg.Connection[Any]) -> None:
    document = example()
    other = [{"name": "calm", "min_answers": 1}]
    items = [{**item, "trait": "calm", "short": False} for item in DOCUMENT["items"][:4]]
    for wrong, says in (
        (replace(document, texts={}), "no texts in English"),
        (parse(DOCUMENT), "no norms"),
        (example(code="other", traits=other, items=items, min_answers=2), "its traits are calm"),
    ):
        with pytest.raises(BadInstrument, match=says):
            await instruments.store(owner, wrong, activate=True)
    assert await current(owner) == ("aclue-gifts", "2.0")


async def answered(owner: asyncpg.Connection[Any], instrument: Instrument, people: int, quality: float = 1) -> None:
    """So many people with a full assessment each, of simulated answers."""
    from training.simulation import simulate

    responses = simulate(instrument, people, seed=3)
    await owner.executemany(
        """
        with person as (insert into public.profiles (is_anonymous) values (true) returning id)
        insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, primary_type,
          assessment_trigger, questions_answered, assessment_quality_score)
        select id, $1, '{}', 'balanced', 'initial', 25, $2 from person
        """,
        [
            (
                msgspec.json.encode(
                    {
                        "instrument": instrument.code,
                        "version": instrument.version,
                        "answers": responses.of(instrument, person),
                    }
                ).decode(),
                quality,
            )
            for person in range(people)
        ],
    )


async def test_norms_of_the_quizzes_taken_here(shop: Shop) -> None:
    instrument = instrument_files.load(SHIPPED).instrument
    await answered(shop.owner, instrument, MIN_ASSESSMENTS - 1)
    await answered(shop.owner, instrument, 2, quality=0.4)
    with pytest.raises(BadInstrument, match=f"^{MIN_ASSESSMENTS - 1} people who allow it"):
        await quiz._stored_norms(shop.dsns, instrument)
    await answered(shop.owner, instrument, 2)
    withdrawn = await shop.owner.fetchval(
        "select user_id from public.personality_assessment_history where assessment_quality_score = 1 limit 1"
    )
    await shop.owner.execute(
        "insert into public.consents (user_id, purpose, granted, policy_version) values ($1, 'analytics', false, '1')",
        withdrawn,
    )
    assert await shop.owner.fetchval("select bool_or(is_provisional) from private.quiz_norms")
    stored = await quiz._stored_norms(shop.dsns, instrument)
    assert {norm.n for norm in stored.values()} == {MIN_ASSESSMENTS}
    provisional = (await shop.client().ask("{ quiz { isProvisional } }"))["quiz"]["isProvisional"]
    assert provisional is False
    # Neither a release nor loading the file again takes them away.
    await instruments.store(shop.owner, instrument_files.load(SHIPPED))
    assert not await shop.owner.fetchval("select bool_or(is_provisional) from private.quiz_norms")
    assert not await instruments.load_reference(shop.owner)


async def test_a_quiz_takes_no_more_round_trips_than_before(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1.0 took five: the quiz, its options, the profile, the assessment, the mark."""
    from resolvers import personality as resolver

    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})  # the instrument is in memory from here on
    statements: list[str] = []

    class Counted:
        def __init__(self, session: Any) -> None:
            self._session = session

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._session, name)
            if name in ("fetch", "fetchrow", "fetchval"):

                async def run(query: Any, **values: Any) -> Any:
                    statements.append(query)
                    return await found(query, **values)

                return run
            return found

    submit = resolver.submit
    monkeypatch.setattr(resolver, "submit", lambda session, **values: submit(Counted(session), **values))
    await anna.take_quiz({"soc"})
    assert statements == ["personality.begin", "personality.standing", "personality.store"]
