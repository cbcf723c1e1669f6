"""Trained models in the database: what they learn from, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from db.session import Session
from training.calibration import like_rates
from training.choosing import Choice
from training.co_likes import Progress, ignore
from training.events import Events
from training.slim import Table

Number = TypeVar("Number", np.int64, np.float64)
BATCH = 50_000  # weights per statement


async def read_events(session: Session) -> tuple[Events, NDArray[np.int64]]:
    """Everybody's signals that may be learned from, as service_role, and the numbers of the products, in order."""
    numbers = np.array([row["number"] for row in await session.fetch("trained_models.product_numbers")], np.int64)
    rows = await session.fetch("trained_models.signals")
    sizes = [len(row["products"]) for row in rows]
    people = np.repeat(np.arange(len(rows)), sizes)
    found = _flat([row["products"] for row in rows], np.int64)
    values, trust = (_flat([row[name] for row in rows], np.float64) for name in ("strengths", "weights"))
    days = _flat([row["days"] for row in rows], np.int64)
    places = np.searchsorted(numbers, found)
    known = places < len(numbers)
    known[known] = numbers[places[known]] == found[known]
    names = [str(person) for person in range(len(rows))]
    events = Events(people, places, values, trust, days, names, len(numbers))
    return events.of(known), numbers


def _flat(lists: list[list[float]], kind: type[Number]) -> NDArray[Number]:
    return np.concatenate([np.array(values, kind) for values in lists]) if lists else np.zeros(0, kind)


async def store(
    session: Session,
    numbers: NDArray[np.int64],
    tables: dict[str, Table],
    events: Events,
    choice: Choice,
    on_progress: Progress = ignore,
) -> int:
    """Writes a trained model, which no feed uses yet, as service_role. Returns its version."""
    version: int = await session.fetchval(
        "trained_models.create",
        people=len(np.unique(events.people)),
        events=len(events.people),
        products=len(numbers),
        parameters=json.dumps({kind: asdict(strength) for kind, strength in choice.strengths.items()}),
        metrics=json.dumps({"ndcg10": choice.ndcg10}),
    )
    await session.fetch(
        "trained_models.add_products",
        version=version,
        numbers=numbers.tolist(),
        like_rates=like_rates(events)[0].tolist(),
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
