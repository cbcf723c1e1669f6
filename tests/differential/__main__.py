"""`make fuzz`: many documents with compiled plans and without. Ends with 1 when answers differ or the service fails.

DOCUMENTS   how many queries (50000); a tenth as many documents with mutations follow
SEED        where to begin; a seed asks the same again (by default the time of day, which is printed)
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable

import structlog
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import settings as settings_module
from tests import bases
from tests.bases import Base
from tests.differential.documents import queries
from tests.differential.mutations import mutations
from tests.differential.runs import Report, run, share_compiled
from tests.differential.stage import staged


async def fuzz(base: Base, home: str, count: int, seed: int) -> bool:
    """Whether all answers were the same and none was a failure."""
    await bases.make_templates(base)
    settings = settings_module.load({"ACLUE_HOME": home, "MAIL_INTERVAL": "3600"})
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]}"),
    )
    with Progress(*columns) as progress:

        def watching(what: str, total: int) -> Callable[[Report], None]:
            task = progress.add_task(what, total=total, found="")
            return lambda report: progress.update(task, completed=report.asked, found=_found(report))

        async with staged(base, settings) as stage:
            documents = queries(stage.pair.schema, stage.world, seed, count)
            reading = await run(stage.pair, stage.world, documents, stage.since, progress=watching("queries", count))
            compiled = share_compiled(stage.pair.planned)
        count = max(1, count // 10)
        async with staged(base, settings, copies=True) as stage:
            documents = mutations(stage.pair.schema, stage.world, seed, count)
            writing = await run(
                *(stage.pair, stage.world, documents, stage.since),
                can_repeat=False,
                progress=watching("mutations", count),
            )
    print(reading, writing, sep="\n\n")
    print(f"{compiled:.1%} of the queries were compiled")
    return reading.is_sound and writing.is_sound


def _found(report: Report) -> str:
    return f"{len(report.differences)} differ, {len(report.failures)} failed"


def main() -> None:
    count = int(os.environ.get("DOCUMENTS") or 50_000)
    seed = int(os.environ.get("SEED") or time.time() % 86_400)
    print(f"DOCUMENTS={count} SEED={seed}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # failures are in the report
    with bases.started() as base, tempfile.TemporaryDirectory(prefix="aclue-fuzz-") as home:
        sys.exit(0 if asyncio.run(fuzz(base, home, count, seed)) else 1)


if __name__ == "__main__":
    main()
