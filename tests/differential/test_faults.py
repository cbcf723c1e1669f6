"""The comparison can fail: faults planted into compiled plans are found, and shown on a small document."""

from __future__ import annotations

import pytest

from tests.differential.apps import beside
from tests.differential.documents import queries
from tests.differential.faults import FAULTS
from tests.differential.runs import run
from tests.differential.stage import Stage

SEED = 7
MAX_CHARACTERS = 600  # of the document that shows the fault; ids and cursors are long

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found(stage: Stage, name: str) -> None:
    fault = FAULTS[name]
    pair = beside(stage.pair)
    documents = queries(pair.schema, stage.world, SEED, fault.within)
    with fault.planted():
        report = await run(pair, stage.world, documents, stage.since, stop_after=1)
    assert report.differences, f"{report.asked} documents did not tell"
    assert len(report.differences[0].shrunk.text) < MAX_CHARACTERS, str(report)
