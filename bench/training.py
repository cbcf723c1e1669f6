"""Measures training on made-up likes: 10 a product, 50 a person. Prints seconds of CPU and the peak of memory.

.venv/bin/python bench/training.py [--jobs 1] [10000 20000 200000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from training import choosing, slim
from training.events import Events

LIKES_PER_PRODUCT, LIKES_PER_PERSON = 10, 50
GROUP = 100  # products of one taste
SHARE_OF_GROUP = 0.7  # of a person's likes
LIMITS_SECONDS = {10_000: 60, 20_000: 180, 200_000: 1200}


def make_up(products: int, seed: int = 1) -> Events:
    """People of a group of taste each, who like some products more than others."""
    random = np.random.default_rng(seed)
    count = products * LIKES_PER_PRODUCT // LIKES_PER_PERSON
    people = np.repeat(np.arange(count), LIKES_PER_PERSON)
    tastes = products // GROUP
    group = random.integers(tastes, size=count)[people]
    popular = (GROUP * random.random(len(people)) ** 1.5).astype(np.int64)
    groups = np.where(random.random(len(people)) < SHARE_OF_GROUP, group, random.integers(tastes, size=len(people)))
    ones = np.ones(len(people))
    return Events(
        people=people,
        products=groups * GROUP + popular,
        values=ones,
        trust=ones,
        days=np.arange(len(people)),
        names=[str(person) for person in range(count)],
        product_count=products,
        standing=np.ones(count),
    )


def measure(products: int, jobs: int) -> None:
    events = make_up(products)
    slim.train(make_up(1_000).likes(), choosing.DEFAULTS)  # compiles
    started, worked = time.perf_counter(), time.process_time()
    choice = choosing.choose(events, 1, jobs=jobs)
    chosen = time.process_time() - worked
    tables = slim.train(events.likes(), choice.strengths, jobs=jobs)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    weights = sum(table.weights.nnz for table in tables.values())
    print(
        f"{products:>9,} products: {worked:7.1f} s of CPU ({chosen:.1f} s to choose strengths), {seconds:7.1f} s,"
        f" {peak:7,.0f} MB, {weights:,} weights",
        flush=True,
    )
    if worked > LIMITS_SECONDS.get(products, worked):
        sys.exit(f"more than {LIMITS_SECONDS[products]} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("products", nargs="*", type=int, default=list(LIMITS_SECONDS))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    for products in arguments.products:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(products, arguments.jobs))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
