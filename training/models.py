"""A training from events to all that serving needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from training import calibration, choosing, slim
from training.calibration import EVERYBODY, Calibration, Population
from training.choosing import Choice
from training.content import Content
from training.events import Events
from training.rankings import Model
from training.slim import Table


@dataclass(frozen=True, slots=True)
class Trained:
    """All that a training leaves."""

    tables: dict[str, Table]
    choice: Choice
    calibration: Calibration

    def ranker(self, content: Content) -> Model:
        """What ranks products of this content."""
        return Model(self.tables, content, self.choice.serving)


def train(
    events: Events,
    content: Content,
    seed: int,
    *,
    population: Population = EVERYBODY,
    jobs: int = 1,
    on_step: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Chooses strengths, fits the tables and then the probabilities. Deterministic by seed, whatever `jobs` is.
    `population`: whom the probabilities are fitted for. `on_step` is told what is being done."""
    choice = choosing.choose(
        events, seed, content, jobs=jobs, on_progress=lambda share: on_step(f"choosing strengths, {share:.0%}")
    )
    tables = slim.train(
        events.likes(), choice.strengths, jobs=jobs, on_progress=lambda share: on_step(f"weights, {share:.0%}")
    )
    blend = {
        kind: share if tables[kind].weights.nnz else choosing.BLEND_WITHOUT_WEIGHTS
        for kind, share in choice.serving.blend.items()
    }
    choice = replace(choice, serving=replace(choice.serving, blend=blend))
    fitted = calibration.fit(
        events,
        choice.strengths,
        choice.serving,
        seed,
        population=population,
        jobs=jobs,
        on_progress=lambda share: on_step(f"probabilities, {share:.0%}"),
    )
    return Trained(tables, choice, fitted)
