"""Compiled plans answer as Strawberry does, to the last key: 2,000 queries, and 400 documents with mutations."""

from __future__ import annotations

import pytest

from tests.differential.documents import Document, queries
from tests.differential.mutations import mutations
from tests.differential.runs import run, share_compiled
from tests.differential.stage import Stage

DOCUMENTS = 250  # of each seed
SEEDS = range(8)
MUTATIONS = 400
# An answer without any data compares next to nothing. Over all seeds 77 % have some, as many fields are for staff only;
# in 250 documents the share varies by .025 (one standard deviation), whenever the schema changes what the seeds give.
SHARE_WITH_DATA = 0.7
MUTATIONS_WITH_DATA = 0.6  # a refusal without a selection of userErrors tells nothing either
SHARE_COMPILED = 0.95

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("seed", SEEDS)
async def test_queries_are_answered_the_same_with_plans_and_without(stage: Stage, seed: int) -> None:
    documents = queries(stage.pair.schema, stage.world, seed, DOCUMENTS)
    report = await run(stage.pair, stage.world, documents, stage.since)
    assert report.is_sound, str(report)
    assert report.asked == DOCUMENTS
    assert report.share_with_data >= SHARE_WITH_DATA, str(report)
    assert share_compiled(stage.pair.planned) >= SHARE_COMPILED


async def test_rows_that_a_merge_did_not_move_lead_to_the_product_that_stays(stage: Stage) -> None:
    product = "product { id isActive }"
    for caller, text in (
        ("admin", f"{{ conversions {{ nodes {{ {product} click {{ {product} }} }} }} }}"),
        ("anna", f"{{ me {{ dismissedReasons {{ nodes {{ {product} }} }} }} }}"),
        ("anna", f"{{ me {{ affiliateClicks {{ nodes {{ {product} }} }} swipes {{ nodes {{ {product} }} }} }} }}"),
    ):
        report = await run(stage.pair, stage.world, [Document(text, caller)], stage.since)
        assert report.is_sound, str(report)
        assert report.with_data == 1, str(report)


async def test_mutations_are_answered_the_same_with_plans_and_without(stage_of_copies: Stage) -> None:
    stage = stage_of_copies
    documents = mutations(stage.pair.schema, stage.world, 0, MUTATIONS)
    report = await run(stage.pair, stage.world, documents, stage.since, can_repeat=False)
    assert report.is_sound, str(report)
    assert report.asked == MUTATIONS
    assert report.share_with_data >= MUTATIONS_WITH_DATA, str(report)
