"""Trained models in the database: what they learn from, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from db.session import Session
from training.co_likes import Progress, ignore
from training.content import Content, make
from training.events import Events
from training.models import Trained
from training.slim import Table

Number = TypeVar("Number", np.int64, np.float64)
BATCH = 50_000  # weights per statement


@dataclass(frozen=True, slots=True)
class Learnable:
    """What can be learned from: everybody's signals that may be, and of each product its number, in order, and its
    content."""

    events: Events
    numbers: NDArray[np.int64]
    content: Content


async def read(session: Session) -> Learnable:
    """As service_role."""
    products = await session.fetch("trained_models.products")
    numbers = np.array([row["number"] for row in products], np.int64)
    content = make(
        [row["category_id"] for row in products],
        [row["brand_id"] for row in products],
        [row["tags"] for row in products],
    )
    rows = await session.fetch("trained_models.signals")
    sizes = [len(row["products"]) for row in rows]
    people = np.repeat(np.arange(len(rows)), sizes)
    found = _flat([row["products"] for row in rows], np.int64)
    values, trust = (_flat([row[name] for row in rows], np.float64) for name in ("strengths", "weights"))
    days = _flat([row["days"] for row in rows], np.int64)
    places = np.searchsorted(numbers, found)
    is_known = places < len(numbers)
    is_known[is_known] = numbers[places[is_known]] == found[is_known]
    names = [str(person) for person in range(len(rows))]
    standing = np.array([row["standing"] for row in rows], np.float64)
    events = Events(people, places, values, trust, days, names, len(numbers), standing)
    return Learnable(events.of(is_known), numbers, content)


def _flat(lists: list[list[float]], kind: type[Number]) -> NDArray[Number]:
    return np.concatenate([np.array(values, kind) for values in lists]) if lists else np.zeros(0, kind)


async def store(session: Session, learned_from: Learnable, trained: Trained, on_progress: Progress = ignore) -> int:
    """Writes a trained model, which no feed uses yet, as service_role. Returns its version."""
    events, numbers, tables, choice = learned_from.events, learned_from.numbers, trained.tables, trained.choice
    shares = tables["first"].shares
    assert shares is not None
    serving = asdict(choice.serving) | {
        "largest_bias": {kind: float(table.biases.max(initial=0.0)) for kind, table in tables.items()},
        "largest_share": float(shares.max(initial=0.0)),
    }
    version: int = await session.fetchval(
        "trained_models.create",
        people=len(np.unique(events.people)),
        events=len(events.people),
        products=len(numbers),
        parameters=json.dumps({kind: asdict(strength) for kind, strength in choice.strengths.items()}),
        metrics=json.dumps({"ndcg10": choice.ndcg10}),
        serving=json.dumps(serving),
        calibration=json.dumps(trained.calibration.stored.to_json()),
    )
    await session.fetch(
        "trained_models.add_products",
        version=version,
        numbers=numbers.tolist(),
        like_rates=trained.calibration.rates.tolist(),
        like_shares=shares.tolist(),
        **{f"{kind}_biases": table.biases.tolist() for kind, table in tables.items()},
    )
    total, done = sum(table.weights.nnz for table in tables.values()), 0
    for kind, table in tables.items():
        for batch in _batches(table, numbers):
            await session.fetch("trained_models.add_weights", version=version, kind=kind, **batch)
            done += len(batch["ranks"])
            on_progress(done / total)
    return version


def _batches(table: Table, numbers: NDArray[np.int64]) -> Iterator[dict[str, list[float]]]:
    matrix = table.weights
    sources = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, sources))
    ranks = np.arange(matrix.nnz) - matrix.indptr[:-1][sources]
    for start in range(0, matrix.nnz, BATCH):
        chosen = order[start : start + BATCH]
        yield {
            "sources": numbers[sources[chosen]].tolist(),
            "ranks": ranks[start : start + BATCH].tolist(),
            "targets": numbers[matrix.indices[chosen]].tolist(),
            "weights": matrix.data[chosen].tolist(),
        }
