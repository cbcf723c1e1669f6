"""What the comparison saw, as Markdown, JSON and a chart."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from bench.chart import bars
from bench.questions import ACLUE, Question

MAX_OTHERS = 0.1
"""The share of the machine that other work may take before the results say that they cannot be trusted."""
SHORT = {
    "aclue": "this server",
    "postgraphile": "PostGraphile",
    "plain_strawberry": "plain Strawberry",
    "pgbench": "pgbench",
    "pgbench_pipelined": "pgbench, pipelined",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One window of one contender; times in milliseconds, zero where there is none. CPU is per request."""

    requests_per_s: float
    p50_ms: float = 0
    p95_ms: float = 0
    p99_ms: float = 0
    server_cpu_ms: float = 0
    database_cpu_ms: float = 0


@dataclass(frozen=True, slots=True)
class Results:
    """Of a whole run. `seen` is by question, connections and contender, a window per round."""

    seen: dict[tuple[str, int, str], list[Seen]]
    half_load: dict[str, dict[str, dict[str, float]]]
    memories: dict[str, dict[str, float]]
    levels: list[int]
    contenders: list[str]
    questions: list[Question]
    seconds: float
    rounds: int
    warm: float
    pool_size: int
    rows: dict[str, int]
    postgres: str
    versions: dict[str, str]
    generator_share: float
    others_share: float
    plan_share: float | None

    def of(self, question: Question, level: int, name: str) -> Seen | None:
        windows = self.seen.get((question.name, level, name))
        return median(windows) if windows else None

    def ratio(self, question: Question, level: int, name: str) -> float | None:
        """The median over the rounds of this server's requests per second to that one's."""
        ours = self.seen[question.name, level, ACLUE]
        theirs = self.seen.get((question.name, level, name))
        if not theirs:
            return None
        return statistics.median(a.requests_per_s / b.requests_per_s for a, b in zip(ours, theirs, strict=True))

    def cpu_ratio(self, question: Question, level: int, name: str) -> float | None:
        """The CPU time of that server's requests, Postgres included, to that of this one's. Other work on the machine
        moves it less than it moves requests per second."""
        ours, theirs = self.of(question, level, ACLUE), self.of(question, level, name)
        if not ours or not theirs or not theirs.server_cpu_ms:
            return None
        return (theirs.server_cpu_ms + theirs.database_cpu_ms) / (ours.server_cpu_ms + ours.database_cpu_ms)


def median(windows: list[Seen]) -> Seen:
    return Seen(*map(statistics.median, zip(*map(astuple, windows), strict=True)))


def machine() -> str:
    """Its size, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.system()}"


def as_json(results: Results) -> dict[str, Any]:
    queries: dict[str, dict[str, Any]] = {}
    for question in results.questions:
        for level in results.levels:
            ours = results.of(question, level, ACLUE)
            assert ours
            entry: dict[str, Any] = {name: round(value, 4) for name, value in _named(ours).items()}
            for name in results.contenders[1:]:
                ratio = results.ratio(question, level, name)
                if ratio is not None:
                    entry[f"vs_{name}"] = round(ratio, 3)
                if (cpu := results.cpu_ratio(question, level, name)) is not None:
                    entry[f"cpu_vs_{name}"] = round(cpu, 3)
            entry["peers"] = {
                name: {key: round(value, 4) for key, value in _named(seen).items() if value}
                for name in results.contenders[1:]
                if (seen := results.of(question, level, name))
            }
            queries.setdefault(question.name, {})[str(level)] = entry
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": {"postgres": results.postgres, **results.versions},
        "seconds": results.seconds,
        "rounds": results.rounds,
        "warm_seconds": results.warm,
        "pool_size": results.pool_size,
        "rows": results.rows,
        "queries": queries,
        "half_load": results.half_load,
        "memory_mb": round(results.memories[ACLUE]["pss"], 1),
        "memories_mb": {n: {k: round(v, 1) for k, v in m.items()} for n, m in results.memories.items()},
        "generator_cpu_share": round(results.generator_share, 3),
        "other_work_cpu_share": round(results.others_share, 3),
        "plan_share": results.plan_share,
    }


def _named(seen: Seen) -> dict[str, float]:
    return {name: getattr(seen, name) for name in Seen.__dataclass_fields__}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Of Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _number(value: float | None, form: str = ",.2f") -> str:
    return "–" if value is None else format(value, form)


def markdown(results: Results) -> str:
    names = [SHORT[name] for name in results.contenders]
    others = results.contenders[1:]
    parts = [
        "# Beside other servers\n",
        f"{datetime.datetime.now(datetime.UTC):%d %B %Y}, {machine()}; Postgres {results.postgres}, "
        + ", ".join(f"{name} {version}" for name, version in results.versions.items())
        + ".\n\nMade by `make bench`; what each question asks stands in bench/questions.py.\n",
        _method(results),
    ]
    parts.append(
        "\n## Times as many requests per second as\n\n"
        "Medians of the ratios of each round; above 1 this server is faster.\n"
    )
    head = ["question", "connections", *(SHORT[name] for name in others)]
    rows = [
        [q.name, str(level), *(_number(results.ratio(q, level, name)) for name in others)]
        for q in results.questions
        for level in results.levels
    ]
    parts.append(table(head, rows))
    parts.append("\n## Times as little CPU per request, Postgres included, as\n")
    parts.append(
        table(
            ["question", "connections", *(SHORT[name] for name in results.memories if name != ACLUE)],
            [
                [
                    q.name,
                    str(level),
                    *(_number(results.cpu_ratio(q, level, name)) for name in results.memories if name != ACLUE),
                ]
                for q in results.questions
                for level in results.levels
            ],
        )
    )
    parts.append("\n## Requests per second\n")
    rows = [
        [
            q.name,
            str(level),
            *(
                _number(s.requests_per_s if (s := results.of(q, level, n)) else None, ",.0f")
                for n in results.contenders
            ),
        ]
        for q in results.questions
        for level in results.levels
    ]
    parts.append(table(["question", "connections", *names], rows))
    servers = list(results.memories)
    for name in servers:
        parts.append(
            f"\n## {SHORT[name].capitalize() if name == ACLUE else SHORT[name]}: latency, and CPU per request (ms)\n"
        )
        rows = []
        for q in results.questions:
            for level in results.levels:
                if seen := results.of(q, level, name):
                    rows.append([q.name, str(level), *(_number(value) for value in astuple(seen)[1:])])
        parts.append(table(["question", "connections", "p50", "p95", "p99", "server CPU", "database CPU"], rows))
    parts.append(
        "\n## At half of the most that each reached\n\n"
        "Requests at a fixed rate on 64 connections; latency in ms, from the moment a request was due.\n"
    )
    rows = [
        [question, SHORT[name], _number(at["requests_per_s"], ",.0f"), _number(at["p50_ms"]), _number(at["p95_ms"])]
        for question, by_name in results.half_load.items()
        for name, at in by_name.items()
    ]
    parts.append(table(["question", "server", "requests/s", "p50", "p95"], rows))
    parts.append("\n## Memory of one worker after the load (MB)\n")
    rows = [
        [SHORT[name], *(_number(m[k], ",.0f") for k in ("rss", "pss", "uss"))] for name, m in results.memories.items()
    ]
    parts.append(table(["server", "resident", "shared fairly (PSS)", "its own (USS)"], rows))
    return "\n".join(parts) + "\n"


_METHOD = """
**Questions.** {titles}. 500 people with a token each take turns, over keep-alive HTTP/1.1; others write than read.

**Data.** {rows}, on the embedded Postgres.

**Servers.** One process each, all running, one under load at a time; the same database, log-in, row level security and
HS256 secret; {pool_size} connections to Postgres each, and pgbench no more than that. This server as `aclue serve`
starts it in production, with EXPLORATION=off, so that feeds can be compared; PostGraphile with its amber preset in
production; bench/plain_strawberry.py with a DataLoader per relation. For feeds and for swipes the peers call functions
that run the statements of sql/queries. The reasons of the feed are written by this server alone: the peers hand out the
terms they follow from. pgbench runs the statements that this server was seen to run, read from Postgres's log: in an
ordinary transaction, and pipelined.

**Rounds.** The answers were compared first. PostGraphile was warmed for {warm:.0f} s, the others for a quarter of that;
then {rounds} rounds in which the servers take turns, another one first in each, {seconds:g} s per window after half a
second that is not counted. What was written is taken back after each window. Tables show medians of the rounds.

**Load.** bench/load.py in a process of its own: it took {generator:.0%} of one core at the most. Other work on
this machine took {others:.0%} of its cores meanwhile{warning}. Requests answered by a compiled plan: {plans}.
"""


def _method(results: Results) -> str:
    return _METHOD.format(
        titles="; ".join(f"{q.name} {q.title}" for q in results.questions),
        rows=", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in results.rows.items()),
        pool_size=results.pool_size,
        warm=results.warm,
        rounds=results.rounds,
        seconds=results.seconds,
        generator=results.generator_share,
        others=results.others_share,
        warning=": **too much for these figures to be trusted**" if results.others_share > MAX_OTHERS else "",
        plans="not told by the server" if results.plan_share is None else f"{results.plan_share:.1%}",
    )


def write(results: Results, folder: Path) -> None:
    """RESULTS.md, results.json and results.svg."""
    level = results.levels[len(results.levels) // 2]
    groups = [
        (q.name, [(SHORT[n], s.requests_per_s if (s := results.of(q, level, n)) else None) for n in results.contenders])
        for q in results.questions
    ]
    (folder / "results.svg").write_text(bars(f"Requests per second, {level} connections", groups))
    text = markdown(results).replace("\n## Times", "\n![Requests per second](results.svg)\n\n## Times", 1)
    (folder / "RESULTS.md").write_text(text)
    (folder / "results.json").write_text(json.dumps(as_json(results), indent=1) + "\n")
