"""The CPU time of a request in this checkout beside another one, in interleaved rounds on equal databases.

    .venv/bin/python bench/pairs.py ../before        five rounds of Q1, Q2 and Q4 at 16 connections
    ONLY=Q1 ROUNDS=9 SECONDS=3 CONNECTIONS=2 .venv/bin/python bench/pairs.py ../before

The other checkout has a .venv of its own. PAIRS_HOME: where the databases are kept, `before` and `after`; where they
are new, the other checkout seeds its own, and the folder is copied. CPU time rather than requests per second, because
other work on the machine changes it less; on a busy one a server needs longer than 3 s to warm up (WARM=12). Each round
measures both, in turn first, and the quotients are of one round.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WARM_SECONDS = float(os.environ.get("WARM") or 3)  # per question and checkout


def serve(folder: Path) -> None:
    """In the process of a checkout: reads questions from stdin, and writes what a request took."""
    sys.path.insert(0, str(folder))  # before this file's own folder and checkout
    from bench import database, limit, load, peers
    from bench.questions import ACLUE, QUESTIONS

    by_name = {question.name: question for question in QUESTIONS}
    with database.running() as (dsns, secret):
        prepared = asyncio.run(database.prepare(dsns, secret))
        with peers.aclue(prepared) as server:
            print("> ready", flush=True)
            for line in sys.stdin:
                name, connections, seconds = json.loads(line)
                job = load.Job(
                    port=server.port, connections=connections, seconds=seconds,
                    tokens=[person.token for person in prepared.readers],
                    body=limit.body_of(by_name[name], ACLUE, prepared), watched={"server": [server.pid]},
                )  # fmt: skip
                window = load.run(job)
                print(f"> {window.cpu['server'] * 1000 / window.requests}", flush=True)


def summary(values: list[float], unit: str = "") -> str:
    return f"{statistics.median(values):.4f}{unit} ({min(values):.4f} to {max(values):.4f})"


def compare(other: Path) -> None:
    home = Path(os.environ.get("PAIRS_HOME") or ROOT / ".aclue-pairs").resolve()
    questions = (os.environ.get("ONLY") or "Q1,Q2,Q4").split(",")
    rounds = int(os.environ.get("ROUNDS") or 5)
    seconds = float(os.environ.get("SECONDS") or 3)
    connections = int(os.environ.get("CONNECTIONS") or 16)
    sys.path.insert(0, str(ROOT))
    from bench.checkouts import Checkout

    with ExitStack() as stack:
        before = Checkout("before", __file__, other, home / "before")
        stack.callback(before.close)
        if not (home / "after").exists():
            before.close()
            shutil.copytree(home / "before", home / "after")
            before = Checkout("before", __file__, other, home / "before")
            stack.callback(before.close)
        after = Checkout("after", __file__, ROOT, home / "after")
        stack.callback(after.close)
        for question in questions:
            for checkout in (before, after):
                checkout.ask(question, connections, WARM_SECONDS)
        seen: dict[str, list[tuple[float, float]]] = {question: [] for question in questions}
        for number in range(rounds):
            for question in questions:
                pair: dict[Any, float] = {}
                for checkout in (before, after) if number % 2 else (after, before):
                    pair[checkout] = checkout.ask(question, connections, seconds)
                seen[question].append((pair[before], pair[after]))
        print(f"CPU ms of a request, median (spread) of {rounds} rounds, {connections} connections")
        for question, pairs in seen.items():
            olds, news = map(list, zip(*pairs, strict=True))
            quotients = [new / old for old, new in pairs]
            print(
                f"{question}: before {summary(olds)}, after {summary(news)}, quotient {summary(quotients)}", flush=True
            )


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    elif len(sys.argv) == 2:
        compare(Path(sys.argv[1]).resolve())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
