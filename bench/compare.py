"""This server beside PostGraphile, a plain Strawberry server and pgbench, on one database, in interleaved rounds.

    make bench                          about 25 minutes
    make bench SECONDS=2 ROUNDS=1       a quick look of about 7, with 10 seconds of warming instead of 60
    make bench ONLY=Q1,M1 CONNECTIONS=16 PEERS=aclue,pgbench

SECONDS: of one window of load. WARM: seconds of load that PostGraphile gets before anything is measured; the other
servers, which compile nothing as they run, get a quarter. POOL_SIZE: connections to Postgres of each server.
BENCH_HOME: where the database is kept. Before anything is timed the servers' answers are compared: the same rows, the
same values.

Writes bench/RESULTS.md, bench/results.json and bench/results.svg when all was measured; a part of it is printed only.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import database, limit, load, peers, report  # noqa: E402
from bench.database import Prepared  # noqa: E402
from bench.limit import ORDINARY, PIPELINED, LoggedStatement  # noqa: E402
from bench.peers import Peer  # noqa: E402
from bench.processes import memory  # noqa: E402
from bench.questions import ACLUE, POSTGRAPHILE, QUESTIONS, Question, comparable  # noqa: E402
from bench.report import Results, Seen  # noqa: E402

CONTENDERS = [*peers.SERVERS, ORDINARY, PIPELINED]
LEVELS = [2, 16, 64]
LEAST_WARM = 1.5  # seconds per question: the slowest has an answer by then


def listed(variable: str, default: list[str]) -> list[str]:
    given = os.environ.get(variable, "")
    return [part.strip() for part in given.split(",")] if given else default


class Comparison:
    """What is asked, of whom, for how long."""

    def __init__(
        self, prepared: Prepared, servers: dict[str, Peer], contenders: list[str], questions: list[Question]
    ) -> None:
        self.prepared = prepared
        self.servers = servers
        self.contenders = contenders
        self.questions = questions
        self.seconds = float(os.environ.get("SECONDS") or 3)
        self.rounds = int(os.environ.get("ROUNDS") or 3)
        self.warm = float(os.environ.get("WARM") or (60 if self.rounds > 1 else 10))
        self.levels = [int(level) for level in listed("CONNECTIONS", list(map(str, LEVELS)))]
        self.postgres = int((prepared.home / "postgres" / "postmaster.pid").read_text().split()[0])
        self.statements: dict[str, list[LoggedStatement]] = {}
        self.seen: dict[tuple[str, int, str], list[Seen]] = defaultdict(list)
        self.half_load: dict[str, dict[str, dict[str, float]]] = {}
        self.generator_share = 0.0
        self.others_shares: list[float] = []

    def can(self, contender: str, question: Question) -> bool:
        return contender not in self.servers or contender in question.documents

    def check(self) -> None:
        """Exits where two servers answer differently."""
        for question in self.questions:
            people = self.prepared.writers if question.writes else self.prepared.readers
            for person in people[:1] if question.writes else people[:: len(people) // 5]:
                answers: dict[str, Any] = {}
                for name in self.servers:
                    if self.can(name, question):
                        body = limit.filled_body(question, name, self.prepared)
                        data = self.servers[name].ask(body["query"], body["variables"], person.token)
                        answers[name] = comparable(question, data)
                        self.restore(question)
                first, *others = answers
                for other in others:
                    if answers[first] != answers[other]:
                        sys.exit(f"{question.name}: {first} and {other} differ:\n{answers[first]}\n{answers[other]}")
        print(f"The answers of {', '.join(self.servers)} are equal.", flush=True)

    def restore(self, question: Question) -> None:
        if question.writes:
            asyncio.run(database.take_back(self.prepared.dsns))

    def job(
        self, name: str, question: Question, connections: int, seconds: float, rate: float | None = None
    ) -> load.Job:
        people = self.prepared.writers if question.writes else self.prepared.readers
        return load.Job(
            port=self.servers[name].port,
            connections=connections,
            seconds=seconds,
            tokens=[person.token for person in people],
            body=limit.body_of(question, name, self.prepared),
            picks=limit.picks_of(name, self.prepared),
            rate=rate,
            watched={"server": [self.servers[name].pid], "database": [self.postgres]},
        )

    def warm_up(self) -> None:
        for name in self.servers:
            seconds = self.warm if name == POSTGRAPHILE else self.warm / 4
            print(f"Warming {name} for {seconds:.0f} s", flush=True)
            asked = [question for question in self.questions if self.can(name, question)]
            for question in asked:
                load.run(self.job(name, question, 16, max(seconds / len(asked), LEAST_WARM)))
                self.restore(question)

    def window(self, name: str, question: Question, connections: int) -> Seen:
        if name not in self.servers:
            reached = limit.run(
                question, self.statements[question.name], self.prepared, pipelined=name == PIPELINED,
                connections=connections, seconds=self.seconds, postgres=self.postgres,
            )  # fmt: skip
            return Seen(reached.transactions_per_s, database_cpu_ms=reached.database_cpu_ms)
        window = load.run(self.job(name, question, connections, self.seconds))
        self.generator_share = max(self.generator_share, window.generator_cpu / window.seconds)
        self.others_shares.append(window.others_cpu / window.seconds / (os.cpu_count() or 1))
        return Seen(
            window.requests / window.seconds,
            window.p50 * 1000,
            window.p95 * 1000,
            window.p99 * 1000,
            window.cpu["server"] * 1000 / window.requests,
            window.cpu["database"] * 1000 / window.requests,
        )

    def measure(self) -> None:
        for number in range(self.rounds):
            turn = number % len(self.contenders)
            order = self.contenders[turn:] + self.contenders[:turn]
            for connections in self.levels:
                for question in self.questions:
                    for name in order:
                        if self.can(name, question):
                            seen = self.window(name, question, connections)
                            self.seen[question.name, connections, name].append(seen)
                            self.restore(question)
                    rates = ", ".join(
                        f"{n} {self.seen[question.name, connections, n][-1].requests_per_s:,.0f}"
                        for n in self.contenders
                        if self.can(n, question)
                    )
                    print(
                        f"round {number + 1} of {self.rounds}, {connections:2} connections, {question.name}: {rates}",
                        flush=True,
                    )

    def measure_half(self) -> None:
        """Latencies at half of what each server reached, where requests come whether or not it keeps up."""
        for question in self.questions:
            for name in self.servers:
                if self.can(name, question):
                    most = max(
                        report.median(self.seen[question.name, level, name]).requests_per_s for level in self.levels
                    )
                    window = load.run(self.job(name, question, 64, max(self.seconds, 2), rate=most / 2))
                    self.restore(question)
                    of_server = self.half_load.setdefault(question.name, {})
                    of_server[name] = {
                        "requests_per_s": most / 2,
                        "p50_ms": window.p50 * 1000,
                        "p95_ms": window.p95 * 1000,
                    }


def compare(prepared: Prepared) -> None:
    contenders = listed("PEERS", CONTENDERS)
    if ACLUE not in contenders or set(contenders) - set(CONTENDERS):
        sys.exit(f"PEERS: {ACLUE}, and any of {', '.join(CONTENDERS[1:])}")
    wanted = listed("ONLY", [question.name for question in QUESTIONS])
    questions = [q for q in QUESTIONS if q.name in wanted and ACLUE in q.documents]
    names = [name for name in contenders if name in peers.SERVERS]
    statements = limit.record(questions, prepared) if set(contenders) - set(names) else {}
    with peers.all_of(names, prepared) as servers:
        work = Comparison(prepared, servers, contenders, questions)
        work.statements = statements
        work.restore(next((q for q in questions if q.writes), questions[0]))
        work.check()
        work.warm_up()
        work.measure()
        memories = {name: asdict(memory(server.pid)) for name, server in work.servers.items()}
        work.measure_half()
    results = Results(
        seen=dict(work.seen), half_load=work.half_load, memories=memories, levels=work.levels,
        contenders=contenders, questions=questions, seconds=work.seconds, rounds=work.rounds, warm=work.warm,
        pool_size=peers.POOL_SIZE, rows=prepared.rows, postgres=prepared.version,
        versions=peers.versions(names), generator_share=work.generator_share,
        others_share=statistics.median(work.others_shares), plan_share=peers.plan_share(prepared),
    )  # fmt: skip
    print("\n" + report.markdown(results))
    is_all = len(contenders) == len(CONTENDERS) and len(wanted) == len(QUESTIONS) and work.levels == LEVELS
    if is_all:
        report.write(results, ROOT / "bench")
    else:
        print("A part of it: bench/RESULTS.md and bench/results.json stay as they are.")


def main() -> None:
    with database.running() as (dsns, secret):
        compare(asyncio.run(database.prepare(dsns, secret)))


if __name__ == "__main__":
    main()
