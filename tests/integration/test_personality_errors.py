"""What a profile states beside its scores once the swipes had their say: as domain/personality.py computes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain import ids
from domain.personality import TRAITS, Score, feature_vector, segment, types
from tests.client import SUBMIT, Client
from tests.conftest import Shop
from tests.integration.test_personality_profiles import run, swipe_all

SHOWN = ("personality_scores", "standard_errors", "clustering_segment", "primary_type", "secondary_types")


async def stored(shop: Shop, client: Client) -> dict[str, Any]:
    row = await shop.owner.fetchrow(
        "select * from public.personality_profiles where user_id = $1", ids.decode_as("Profile", await client.my_id())
    )
    assert row is not None
    objects = ("personality_scores", "standard_errors", "variances", "feature_vector")
    return {**row, **{name: msgspec.json.decode(row[name]) for name in objects}}


async def test_without_swipes_the_profile_states_the_errors_of_the_quiz(shop: Shop) -> None:
    client = await shop.anonymous()
    quiz = (await client.ask("{ quiz { version questions { id isInShortForm } } }"))["quiz"]
    answers = [{"questionId": q["id"], "value": 4} for q in quiz["questions"] if q["isInShortForm"]]
    await client.do(SUBMIT, input={"version": quiz["version"], "answers": answers})
    before = await stored(shop, client)
    assert await run(shop) == 1
    after = await stored(shop, client)
    assert [after[name] for name in SHOWN] == [before[name] for name in SHOWN]


async def test_segment_and_features_follow_the_swipes(shop: Shop) -> None:
    for is_asked in (True, False):
        client = await shop.anonymous()
        if is_asked:
            await client.take_quiz({"adv"})
        await swipe_all(client, ["Painting", "Party"], "UP")
        await run(shop)
        row = await stored(shop, client)
        percentiles, errors, variances = (row[name] for name in ("personality_scores", "standard_errors", "variances"))
        scores = {trait: Score(percentiles[trait], errors[trait], variances[trait]) for trait in TRAITS}
        assert (row["primary_type"], tuple(row["secondary_types"])) == types(scores)
        assert row["clustering_segment"] == segment(scores)
        assert row["feature_vector"] == pytest.approx(feature_vector(scores), abs=1e-4)
