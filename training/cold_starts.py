"""How well products are ranked of which training has seen nothing: a random share of all, and a whole category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training import baselines, rankings, slim
from training.choosing import Choice
from training.content import Content
from training.events import Events
from training.rankings import Floats, Model, Scorer
from training.signals import Signals


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on, and the people who are ranked for."""

    learned: Events
    content: Content
    history: Events
    targets: Events

    def without(self, products: NDArray[np.bool_]) -> Data:
        """As if nobody had seen these products, but for the targets."""
        return replace(
            self,
            learned=self.learned.of(~products[self.learned.products]),
            history=self.history.of(~products[self.history.products]),
        )


def random_products(data: Data, share: float, seed: int) -> NDArray[np.bool_]:
    """This share of all products."""
    count = data.learned.product_count
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(seed).permutation(count)[: round(share * count)]] = True
    return chosen


def second_category(data: Data) -> NDArray[np.bool_] | None:
    """The products of the second largest category, if there are two: without the largest, little may be left to learn
    from."""
    categories = data.content.categories
    if categories.shape[1] < 2:
        return None
    sizes = np.asarray(categories.sum(axis=0)).ravel()
    found: NDArray[np.bool_] = np.asarray(categories[:, np.argsort(-sizes, kind="stable")[1]].toarray()).ravel() > 0
    return found


def evaluate(
    data: Data, choice: Choice, cold: NDArray[np.bool_], levels: Sequence[int | None], jobs: int = 1
) -> Iterator[tuple[str, dict[int | None, rankings.Quality]]]:
    """Methods and their qualities by level. On the cold products, ranked among each other: content (the model, which
    learned without them) and their popularity, which is unknown. On the warm ones: the model, and without content."""
    known = data.without(cold)
    tables = slim.train(known.learned.likes(), choice.strengths, jobs=jobs)
    model = Model(tables, data.content, choice.serving)
    learned_alone = replace(model, serving=replace(choice.serving, blend=dict.fromkeys(slim.KINDS, 1.0)))
    popularity = baselines.popularity(known.learned.likes())
    groups: list[tuple[NDArray[np.bool_], dict[str, Scorer]]] = [
        (cold, {"cold: aclue": rankings.scorer(model), "cold: popularity": popularity}),
        (~cold, {"warm: aclue": rankings.scorer(model), "warm: no content": rankings.scorer(learned_alone)}),
    ]
    for candidates, methods in groups:
        targets = data.targets.of(candidates[data.targets.products])
        for name, score in methods.items():
            yield (
                name,
                {
                    level: rankings.judge(
                        rankings.rank(_without_order(score), known.history, level, candidates=candidates),
                        known.history,
                        targets,
                    )
                    for level in levels
                },
            )


def _without_order(score: Scorer) -> Scorer:
    """Equals in a random order: files may list products by popularity, which nobody knows of new ones."""

    def shuffled(signals: Signals) -> Floats:
        found = score(signals)
        return found + 1e-9 * np.random.default_rng(1).random(found.shape)

    return shuffled
