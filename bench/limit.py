"""The limit: what pgbench reaches with the statements that this server runs for a question.

They are not written here but read from Postgres's log of one request, so they are what the server runs today. pgbench
then runs them in an ordinary transaction with prepared statements, and once more pipelined, where nothing waits for an
answer. Keys of rows that the server read back after a write stay those of the recorded request, which is a little less
work for pgbench, never more.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench import peers
from bench.database import Person, Prepared
from bench.load import PICKED, UNIQUE
from bench.peers import POOL_SIZE
from bench.processes import cpu_seconds
from bench.questions import ACLUE, Question, global_id
from db import embedded, programs

ORDINARY, PIPELINED = "pgbench", "pgbench_pipelined"
MARK = "recorded-"  # in place of what is unique in a request
LONGER = (15, 60)  # seconds, where nothing ended in a window
CHANGES_PERSON_EVERY = 50  # transactions of a client

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[(\d+)\] (\w+):  ", re.MULTILINE)
_STATEMENT = re.compile(r"(?:execute [^:]*|statement): (.*)", re.DOTALL)
_VALUE = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_BEGIN = re.compile(r"\s*(begin|start transaction)\b", re.IGNORECASE)
_END = re.compile(r"\s*(commit|rollback|end)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoggedStatement:
    """As Postgres logged it; None is NULL."""

    sql: str
    arguments: tuple[str | None, ...]


def body_of(question: Question, server: str, prepared: Prepared) -> str:
    variables = question.variables(server, prepared.categories)
    return json.dumps({"query": question.documents[server], "variables": variables})


def picks_of(server: str, prepared: Prepared) -> list[str]:
    return [global_id("Product", key) if server == ACLUE else str(key) for key in prepared.products]


def parse(log: str) -> dict[int, list[LoggedStatement]]:
    """The statements of a log, per server process."""
    found: dict[int, list[LoggedStatement]] = {}
    entries = list(_ENTRY.finditer(log))
    for number, entry in enumerate(entries):
        end = entries[number + 1].start() if number + 1 < len(entries) else len(log)
        text = log[entry.end() : end].rstrip("\n").replace("\n\t", "\n")
        statements = found.setdefault(int(entry[1]), [])
        if entry[2] == "LOG" and (match := _STATEMENT.match(text)):
            statements.append(LoggedStatement(match[1], ()))
        elif entry[2] == "DETAIL" and text.lower().startswith("parameters:") and statements:
            values = {
                int(n): None if value == "NULL" else value[1:-1].replace("''", "'") for n, value in _VALUE.findall(text)
            }
            arguments = tuple(values[n] for n in sorted(values))
            statements[-1] = LoggedStatement(statements[-1].sql, arguments)
    return found


@contextmanager
def _logging(prepared: Prepared) -> Iterator[None]:
    """New connections of the API's log-in log their statements."""

    async def say(setting: str) -> None:
        superuser = await asyncpg.connect(prepared.dsns.superuser)
        await superuser.execute(f"alter role {embedded.API} {setting}")
        await superuser.close()

    asyncio.run(say("set log_statement = 'all'"))
    try:
        yield
    finally:
        asyncio.run(say("reset log_statement"))


def record(questions: list[Question], prepared: Prepared) -> dict[str, list[LoggedStatement]]:
    """What this server runs for each question, begin and commit included."""
    log = prepared.home / "postgres" / "log"
    found: dict[str, list[LoggedStatement]] = {}
    with _logging(prepared), peers.all_of([ACLUE], prepared) as servers:
        for question in questions:
            person = (prepared.writers if question.writes else prepared.readers)[0]
            for attempt in range(3):  # by the third every cache is warm
                start = log.stat().st_size
                body = filled_body(question, ACLUE, prepared, MARK if attempt == 2 else f"warming{attempt}-")
                servers[ACLUE].ask(body["query"], body["variables"], person.token)
            time.sleep(0.2)
            with log.open("rb") as file:
                file.seek(start)
                processes = parse(file.read().decode())
            found[question.name] = [
                s for p in processes.values() for t in transactions(p) if _is_of(t, person) for s in t
            ]
            if not found[question.name]:
                raise RuntimeError(f"{question.name}: the log holds no transaction of the person who asked")
    return found


def transactions(statements: list[LoggedStatement]) -> list[list[LoggedStatement]]:
    """The statements of one server process, by transaction; what was in none is taken for one."""
    found: list[list[LoggedStatement]] = [[]]
    for statement in statements:
        if _BEGIN.match(statement.sql):
            found.append([])
        found[-1].append(statement)
        if _END.match(statement.sql):
            found.append([])
    return found


def _is_of(statements: list[LoggedStatement], person: Person) -> bool:
    return any(_is_claims_of(value or "", person) for statement in statements for value in statement.arguments)


def filled_body(question: Question, server: str, prepared: Prepared, mark: str = "checked") -> Any:
    """A request with products and client swipe ids filled in; these hold `mark`."""
    body = body_of(question, server, prepared)
    picks = iter(picks_of(server, prepared))
    while PICKED in body:
        body = body.replace(PICKED, next(picks), 1)
    for number in range(body.count(UNIQUE)):
        body = body.replace(UNIQUE, f"{mark}{number:02}", 1)
    return json.loads(body)


def script(
    statements: list[LoggedStatement], person: Person, *, people: int, pipelined: bool
) -> tuple[str, dict[str, str]]:
    """A pgbench script and its variables. Each client takes the place of another person now and then."""
    variables: dict[str, str] = {"n": "0", "place": "0"}
    lines = [
        "\\set n :n + 1",
        f"\\if :n % {CHANGES_PERSON_EVERY} = 1",
        f"\\set place :base + random(0, {people - 1})",
        "select id as uid, claims from bench_people.people where place = :place \\gset",
        "\\endif",
        "\\set run random(1000000, 9000000000000000000)",
    ]
    inner = [s for s in statements if not _BEGIN.match(s.sql) and not _END.match(s.sql)]
    begin = next((s.sql for s in statements if _BEGIN.match(s.sql)), "begin")
    lines += ["\\startpipeline"] if pipelined else []
    lines.append(f"{begin};")
    for number, statement in enumerate(inner):
        names: list[str] = []
        for position, value in enumerate(statement.arguments):
            if not value:
                names.append("null" if value is None else "''")
            elif value == str(person.id):
                names.append(":uid")
            elif _is_claims_of(value, person):
                names.append(":claims")
            else:
                name = f"v{number}_{position}"
                variables[name] = value
                marked = f"(replace(:{name}::text, '{MARK}', :run::text))"
                names.append(marked if MARK in value else f":{name}")
        sql = re.sub(r"\$(\d+)", lambda m, names=names: names[int(m[1]) - 1], statement.sql)
        lines.append(f"{sql.strip().rstrip(';')};")
    lines.append("commit;")
    lines += ["\\endpipeline"] if pipelined else []
    return "\n".join(lines) + "\n", variables


def _is_claims_of(value: str, person: Person) -> bool:
    if not value.startswith("{"):
        return False
    try:
        read = json.loads(value)
    except ValueError:
        return False
    return isinstance(read, dict) and read.get("sub") == str(person.id)


@dataclass(frozen=True, slots=True)
class Limit:
    transactions_per_s: float
    database_cpu_ms: float


def run(
    question: Question, statements: list[LoggedStatement], prepared: Prepared, *,
    pipelined: bool, connections: int, seconds: float, postgres: int,
) -> Limit:  # fmt: skip
    """pgbench with as many connections as the servers' pools have, at the most. Its first second is not counted."""
    people = prepared.writers if question.writes else prepared.readers
    text, variables = script(statements, people[0], people=len(people), pipelined=pipelined)
    variables["base"] = str(len(prepared.readers) if question.writes else 0)
    # What pgbench prepares ahead of a pipeline is prepared before the claims are set.
    environment = {**os.environ, **peers.libpq(prepared.dsns.api), "PGOPTIONS": "-c role=authenticated"}
    command = [str(programs.binary("pgbench")), "--no-vacuum", "-M", "prepared", "-j", "1", "--progress=1"]
    command += ["-c", str(min(connections, POOL_SIZE))]
    command += [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        for whole in (max(round(seconds), 1) + 1, *LONGER):
            before = cpu_seconds([postgres])
            timed = [*command, "-f", file.name, "-T", str(whole)]
            done = subprocess.run(timed, env=environment, capture_output=True, text=True, check=False)
            cpu = cpu_seconds([postgres]) - before
            progress = [float(rate) for rate in re.findall(r"^progress: .*?([\d.]+) tps", done.stderr, re.MULTILINE)]
            count = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
            failed = re.search(r"number of failed transactions: ([1-9]\d*)", done.stdout)
            if done.returncode or failed or not count:
                raise RuntimeError(f"pgbench, {question.name}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}")
            if any(progress[1:]):
                return Limit(statistics.mean(progress[1:]), cpu * 1000 / int(count[1]))
    raise RuntimeError(f"pgbench, {question.name}: no transaction ended within {LONGER[-1]} s")
