"""How the time of each question grows with the data: ten times the rows, several times over.

    make bench-growth                    10,000, 100,000 and 1,000,000 swipes
    make bench-growth SWIPES=10000000    one step further, which takes 7 GB of disk

A person has as many swipes at every size; people, and products up to 200,000, grow with them. Of this server: the
median over HTTP, with two connections, and the time of its statements alone, which pgbench runs pipelined on one
connection, both in the best of three windows. Each size has a database of its own in BENCH_HOME, seeded once.

The time of a question may grow as the logarithm of the number of swipes, the depth of an index. Exit code 1 when the
statements of one grow by more than TOLERANCE times that in the last step. Growth from the smallest size on is shown
beside it: a feed ranks a number of candidates that does not grow once its lists are full, so that it reaches its full
time before the largest size. Writes bench/RESULTS-growth.md and bench/growth.svg.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import database, limit, load, peers  # noqa: E402
from bench.chart import bars  # noqa: E402
from bench.database import Prepared  # noqa: E402
from bench.questions import ACLUE, QUESTIONS, Question  # noqa: E402
from bench.report import machine, table  # noqa: E402

SMALLEST = 10_000
SWIPES_PER_PERSON, SWIPES_PER_PRODUCT, MAX_PRODUCTS = 50, 5, 200_000
TOLERANCE = 1.5  # what chance and other work may add
LEAST_MS = 0.3  # less than this is round trips and planning, whose ratios say nothing
CONNECTIONS = 2
WINDOWS = 3  # the fastest of which counts: other work on the machine only slows down

Times = dict[str, tuple[float, float]]  # question: milliseconds over HTTP, milliseconds of its statements


def measure(prepared: Prepared, questions: list[Question], seconds: float) -> Times:
    postgres = int((prepared.home / "postgres" / "postmaster.pid").read_text().split()[0])
    statements = limit.record(questions, prepared)
    times: Times = {}
    with peers.all_of([ACLUE], prepared) as servers:
        for question in questions:
            job = load.Job(
                port=servers[ACLUE].port,
                connections=CONNECTIONS,
                seconds=seconds,
                tokens=[p.token for p in (prepared.writers if question.writes else prepared.readers)],
                body=limit.body_of(question, ACLUE, prepared),
                picks=limit.picks_of(ACLUE, prepared),
                ramp=max(seconds / 2, 1),
            )
            over_http, in_postgres = math.inf, math.inf
            for _ in range(WINDOWS):
                over_http = min(over_http, load.run(job).p50 * 1000)
                reached = limit.run(
                    question, statements[question.name], prepared, pipelined=True, connections=1, seconds=seconds,
                    postgres=postgres,
                )  # fmt: skip
                in_postgres = min(in_postgres, 1000 / reached.transactions_per_s)
                if question.writes:
                    asyncio.run(database.take_back(prepared.dsns))
            times[question.name] = (over_http, in_postgres)
            print(
                f"  {question.name:8} {over_http:8.2f} ms over HTTP, {in_postgres:8.2f} ms in Postgres",
                flush=True,
            )
    return times


def growth(sizes: list[int], times: list[Times], question: str, since: int) -> float:
    """By how much more than the logarithm of the size the statements' time grew from the size at this place to the
    largest; 1 is as much."""
    first, last = (max(times[place][question][1], LEAST_MS) for place in (since, -1))
    return (last / first) / (math.log(sizes[-1]) / math.log(sizes[since]))


def report(sizes: list[int], times: list[Times], questions: list[Question]) -> str:
    head = ["question", *(f"{size:,} swipes" for size in sizes)]
    over_http, in_postgres = (
        [[q.name, *(f"{of_size[q.name][place]:.2f}" for of_size in times)] for q in questions] for place in (0, 1)
    )
    for row, question in zip(in_postgres, questions, strict=True):
        in_all, lately = (growth(sizes, times, question.name, since) for since in (0, -2))
        row += [f"{in_all:.2f}", f"{lately:.2f}" + (" **faster than logarithmic**" if lately > TOLERANCE else "")]
    return f"""# As the data grow

{machine()}. Made by `make bench-growth`; bench/growth.py says what is measured.

![Milliseconds in Postgres](growth.svg)

## Milliseconds in Postgres

Growth to the largest size, divided by that of the logarithm of the number of swipes. Times below {LEAST_MS} ms count as
{LEAST_MS} ms. A feed ranks some hundred candidates, from lists that a large catalogue does not lengthen.

{table([*head, "growth in all", "in the last step"], in_postgres)}

## Milliseconds over HTTP, median, {CONNECTIONS} connections

{table(head, over_http)}
"""


def main() -> int:
    seconds = float(os.environ.get("SECONDS") or 3)
    most = int(os.environ.get("SWIPES") or 1_000_000)
    sizes = [SMALLEST * 10**power for power in range(9) if SMALLEST * 10**power <= most]
    if len(sizes) < 2:
        sys.exit(f"SWIPES: {SMALLEST * 10:,} or more")
    questions = [question for question in QUESTIONS if ACLUE in question.documents]
    times: list[Times] = []
    for size in sizes:
        print(f"{size:,} swipes", flush=True)
        home = database.HOME / f"growth-{size}"
        seed = {
            "users": size // SWIPES_PER_PERSON,
            "products": min(size // SWIPES_PER_PRODUCT, MAX_PRODUCTS),
            "swipes": size,
        }
        with database.running(home, seed) as (dsns, secret):
            times.append(measure(asyncio.run(database.prepare(dsns, secret, home)), questions, seconds))
    groups = [
        (q.name, [(f"{size:,}", of_size[q.name][1]) for size, of_size in zip(sizes, times, strict=True)])
        for q in questions
    ]
    (ROOT / "bench" / "growth.svg").write_text(bars("Milliseconds in Postgres, by swipes", groups, ",.2f"))
    text = report(sizes, times, questions)
    (ROOT / "bench" / "RESULTS-growth.md").write_text(text)
    print("\n" + text)
    return int(any(growth(sizes, times, question.name, -2) > TOLERANCE for question in questions))


if __name__ == "__main__":
    sys.exit(main())
