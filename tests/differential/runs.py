"""Many documents through both services, and what came of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.applications import Starlette

from tests.differential.answers import Normaliser, first_difference
from tests.differential.apps import Answer, Pair, ask, engine_of
from tests.differential.documents import Document
from tests.differential.shrinking import shrink
from tests.differential.world import World

REPEATS = 100
MAX_UNSTEADY = 1000  # at most one in so many, and one more


@dataclass(frozen=True)
class Difference:
    """Two answers that are not the same, with the smallest document found that tells them apart."""

    number: int
    document: Document
    found: str
    shrunk: Document
    found_in_shrunk: str

    def __str__(self) -> str:
        document = self.shrunk
        return (
            f"document {self.number}, asked by {document.caller}: with plans, {self.found_in_shrunk} without\n"
            f"{document.text}\nvariables {json.dumps(document.variables)}, operationName {document.operation_name}\n"
            f"(before shrinking: {self.found}\n{self.document.text}\nvariables {json.dumps(self.document.variables)})"
        )


@dataclass
class Report:
    """What came of a run. `codes` counts error codes; `failures` are documents that the service could not answer.
    `unsteady` had other errors with the plan, which ordinary execution has at other times: which of them are found
    below something that became null by one is up to the moment."""

    asked: int = 0
    with_data: int = 0
    with_errors: int = 0
    refused: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    failures: list[Document] = field(default_factory=list)
    unsteady: list[Document] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.differences and not self.failures and len(self.unsteady) <= 1 + self.asked // MAX_UNSTEADY

    @property
    def share_with_data(self) -> float:
        return self._share(self.with_data)

    def _share(self, count: int) -> float:
        return count / max(1, self.asked)

    def count(self, document: Document, answer: Answer) -> None:
        self.asked += 1
        self.with_data += answer.has_data
        self.with_errors += bool(answer.codes)
        self.refused += answer.is_refused
        self.codes.update(set(answer.codes))
        if answer.is_failure:
            self.failures.append(document)

    def __str__(self) -> str:
        lines = [
            f"{self.asked} documents: {self.share_with_data:.1%} with data, {self._share(self.with_errors):.1%} with "
            f"errors, {self._share(self.refused):.1%} refused; codes {dict(self.codes.most_common())}",
            *(str(difference) for difference in self.differences),
            *(
                f"{what}, asked by {d.caller}:\n{d.text}\nvariables {json.dumps(d.variables)}"
                for what, documents in (("unsteady", self.unsteady), ("failed", self.failures))
                for d in documents
            ),
        ]
        return "\n\n".join(lines)


async def run(
    pair: Pair,
    world: World,
    documents: Iterable[Document],
    since: datetime,
    *,
    stop_after: int = 3,
    can_repeat: bool = True,
    progress: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Asks both services and compares. Stops after so many differences. `can_repeat`: the documents change nothing, so
    a smaller one can be looked for."""
    report = Report()
    normaliser = Normaliser(pair.services, since)
    tokens = {caller.name: caller.token for caller in world.callers}

    def compared(planned: Answer, plain: Answer) -> str | None:
        return first_difference(normaliser.of(planned), normaliser.of(plain))

    async def difference(document: Document) -> str | None:
        return compared(*await pair.ask(document, tokens[document.caller]))

    async def still_differs(document: Document) -> bool:
        return await difference(document) is not None

    def data(answer: Answer) -> Any:
        said = normaliser.of(answer)
        return {"status": said["status"], "data": said["body"].get("data")}

    async def is_unsteady(document: Document, planned: Answer, plain: Answer) -> bool:
        """Whether they differ in their errors alone, and ordinary execution at times has those of the plan, too."""
        if planned.is_failure or first_difference(data(planned), data(plain)) is not None:
            return False
        for _ in range(REPEATS):
            again = await ask(pair.plain, document, tokens[document.caller])
            if again.is_failure:
                report.failures.append(document)
                return False
            if compared(planned, again) is None:
                return True
        return False

    for number, document in enumerate(documents):
        planned, plain = await pair.ask(document, tokens[document.caller])
        found = compared(planned, plain)
        report.count(document, plain)
        if found is not None and can_repeat and await is_unsteady(document, planned, plain):
            report.unsteady.append(document)
        elif found is not None:
            shrunk = await shrink(document, pair.schema, still_differs) if can_repeat else document
            found_in_shrunk = await difference(shrunk) if can_repeat else found
            report.differences.append(Difference(number, document, found, shrunk, found_in_shrunk or found))
            if len(report.differences) >= stop_after:
                break
        progress(report)
    return report


def share_compiled(app: Starlette) -> float:
    """The share of this service's documents that were compiled. Where something went wrong in a compiled plan, ordinary
    execution has said what (`error`); with wrong variables nothing is there to be compiled."""
    counts = engine_of(app).counts
    return (counts["planned"] + counts["error"]) / (counts.total() - counts["variables"])
