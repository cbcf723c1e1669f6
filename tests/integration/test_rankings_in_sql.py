"""What serves people ranks as what is judged: the same lists in SQL and in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest

from db.claims import SERVICE
from db.queries import QUERIES
from tests.conftest import Shop
from training import models, rankings, storage
from training.events import Events, make
from training.signals import known

PEOPLE, LEARNED, PRODUCTS, TASTES = 200, 260, 120, 6
LEVELS = (0, 1, 3, 5, 10, None)
SIZE = 20
EVERYTHING = QUERIES["recommendations.ranked"].fill(
    candidates=QUERIES["recommendations.others"].fill(chunk="true", filters="true", listed="select null::int").text,
    filters="true",
    is_new="true",
)
LISTED = QUERIES["recommendations.ranked"].fill(
    candidates=QUERIES["recommendations.listed"].bind(filter_facets=[]), filters="true", is_new="true"
)


async def stock(owner: asyncpg.Connection[Any]) -> None:
    """A catalogue of TASTES categories, with brands and tags, instead of the shop's."""
    await owner.execute("update public.products set is_active = false")
    await owner.execute(
        """
        insert into public.products (
          name, price_minor, currency, category_id, brand_id, retailer_id, external_id, affiliate_url, tags)
        select 'Thing ' || i, 1000 + i, 'GBP', c.ids[1 + i % cardinality(c.ids)], b.ids[1 + i % cardinality(b.ids)],
          r.id, 'thing-' || i, 'https://shop.example/' || i, array['a-' || i % 7, 'b-' || i % 11]
        from generate_series(1, $1) i
        cross join (select array_agg(id order by id) as ids from public.categories) c
        cross join (select array_agg(id order by id) as ids from public.brands) b
        cross join (select id from public.retailers order by id limit 1) r
        """,
        PRODUCTS,
    )


def histories(count: int, seed: int) -> Events:
    """People with a taste each, who like most of what is of it and little else, by place of product."""
    random = np.random.default_rng(seed)
    rows: list[tuple[str, int, float, float, int]] = []
    for person in range(count):
        taste = person % TASTES
        for _ in range(int(random.integers(12, 30))):
            is_own = random.random() < 0.7
            kind = taste if is_own else int(random.integers(TASTES))
            product = int(random.integers(PRODUCTS // TASTES)) * TASTES + kind
            value = (0.95 if random.random() < 0.3 else 0.8) if is_own else 0.2
            if (f"{person:04}", product) not in {(row[0], row[1]) for row in rows[-30:]}:
                rows.append((f"{person:04}", product, value, 1.0, 0))
    return make(rows, PRODUCTS)


DIRECTIONS = {0.2: "left", 0.8: "right", 0.95: "up"}


async def swiped(
    owner: asyncpg.Connection[Any], history: Events, level: int | None, products: list[UUID]
) -> list[UUID]:
    """People with the first so many events of each history."""
    people = [uuid4() for _ in history.names]
    await owner.execute(
        "insert into public.profiles (id, is_anonymous) select id, true from unnest($1::uuid[]) id", people
    )
    which = np.ones(len(history.people), bool) if level is None else history.places() < level
    await owner.execute(
        "insert into public.swipes (user_id, client_swipe_id, product_id, direction)"
        " select i.person, i.place::text, i.product, i.direction::public.swipe_direction"
        " from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality i (person, product, direction, place)",
        [people[person] for person in history.people[which]],
        [products[product] for product in history.products[which]],
        [DIRECTIONS[round(float(value), 2)] for value in history.values[which]],
    )
    return people


async def ranked(owner: asyncpg.Connection[Any], statement: Any, person: UUID) -> list[tuple[int, float]]:
    sql, arguments = statement.statement(
        user_id=person, until=None, model=None, arm=0, with_hidden=False, size=SIZE, after_score=None,
        after_number=None, boost_facets=[], boost_factors=[],
    )  # fmt: skip
    return [(row["number"], row["score"]) for row in await owner.fetch(sql, *arguments)]


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: "all" if level is None else str(level))
async def test_lists_in_sql_are_those_in_memory(shop: Shop, level: int | None) -> None:
    await stock(shop.owner)
    learned = histories(LEARNED, 1)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        found = await storage.read(session)
        trained = await asyncio.to_thread(models.train, learned, found.content, 1)
        counting = replace(trained.choice.serving, dislike={"first": 0.5, "few": 0.25, "many": 1.0})
        trained = replace(trained, choice=replace(trained.choice, serving=counting))
        numbers = found.numbers
        await storage.store(session, storage.Learnable(learned, numbers, found.content), trained)
        await session.fetch("recommendation_models.refresh_model")
    rows = await shop.owner.fetch("select id from public.products where is_active order by number")
    history = histories(PEOPLE, 2)
    people = await swiped(shop.owner, history, level, [row["id"] for row in rows])
    signals = known(history, level)
    model = rankings.Model(trained.tables, found.content, trained.choice.serving)
    scores = rankings.scores(model, signals)
    seen = signals.matrix(np.ones(len(signals.people))).toarray() > 0
    listed = 0
    for place, person in enumerate(people):
        mine = np.where(seen[place], -np.inf, scores[place])
        best = np.argsort(-mine, kind="stable")[:SIZE]
        expected = [(int(numbers[index]), float(mine[index])) for index in best]
        exact = await ranked(shop.owner, EVERYTHING, person)
        assert [number for number, _ in exact] == [number for number, _ in expected]
        assert [score for _, score in exact] == pytest.approx([score for _, score in expected], abs=1e-8)
        if place % 10 == 0:
            listed += len(
                {number for number, _ in exact} & {number for number, _ in await ranked(shop.owner, LISTED, person)}
            )
    assert listed >= 0.98 * SIZE * PEOPLE / 10  # recall@20 of the candidates


QUIZ = """
insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, primary_type,
  assessment_trigger, questions_answered, confidence_level)
select person, '{}', jsonb_build_object('adventurous', 100 * random(), 'intellectual', 100 * random(),
    'practical', 100 * random(), 'creative', 100 * random(), 'social', 100 * random()), 'creative', 'initial', 20, 0.9
from unnest($1::uuid[]) person
"""


@pytest.mark.parametrize("level", [0, 3, 10])
async def test_the_candidates_of_a_personality_have_its_best(shop: Shop, level: int) -> None:
    await stock(shop.owner)
    await shop.owner.execute(
        "insert into public.personality_tag_mappings (personality_type, tag, weight)"
        " select t, 'a-' || n, 2 * random() - 1 from generate_series(0, 6) n,"
        " unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) t"
    )
    await shop.owner.execute("select private.refresh_model()")
    rows = await shop.owner.fetch("select id from public.products where is_active order by number")
    people = await swiped(shop.owner, histories(40, 3), level, [row["id"] for row in rows])
    await shop.owner.execute(QUIZ, people)
    await shop.owner.execute("update public.recommendation_models set product_count = 5000")
    found = 0
    for person in people:
        exact = {number for number, _ in await ranked(shop.owner, EVERYTHING, person)}
        found += len(exact & {number for number, _ in await ranked(shop.owner, LISTED, person)})
    assert found >= 0.98 * SIZE * len(people)
