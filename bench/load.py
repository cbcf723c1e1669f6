"""The load: GraphQL requests over keep-alive HTTP/1.1 connections, in a process of its own.

A small uvloop protocol rather than wrk: wrk needs a package of the system, cannot hold a fixed rate, and would run Lua
for every body. The share of a core that this one takes is measured and told with every result.

Closed loop: each connection sends the next request when it has its answer; where answers take so long that fewer came
than there are connections, the window is kept open for them. Open loop (`rate`): requests are due at
fixed moments whether or not earlier ones were answered, and a latency counts from the moment a request was due.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import subprocess
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.processes import cpu_seconds, machine_cpu_seconds  # noqa: E402

TIMEOUT_SECONDS = 60
UNIQUE = "@UNIQUE@"
"""In a body: a text of 16 characters that no other request has."""
PICKED = "@PICKED@"
"""In a body: the next of `picks`."""


class Job(msgspec.Struct):
    """One window of load on one server. `body` is the request's JSON text and may hold UNIQUE and PICKED; `picks` are
    all of one length; `watched` are processes whose CPU time is wanted, by name."""

    port: int
    connections: int
    seconds: float
    tokens: list[str]
    body: str
    picks: list[str] = []
    rate: float | None = None
    ramp: float = 0.5
    watched: dict[str, list[int]] = {}


class Window(msgspec.Struct):
    """What was seen. Times are in seconds; `cpu` is by name of what was watched, `others_cpu` of all else on
    this machine."""

    requests: int
    seconds: float
    errors: int
    first_error: str
    p50: float
    p95: float
    p99: float
    cpu: dict[str, float]
    generator_cpu: float
    others_cpu: float


class Requests:
    """The bytes of one request after the other, the people taking turns."""

    def __init__(self, job: Job) -> None:
        parts = job.body.replace(UNIQUE, f"\0{UNIQUE}\0").replace(PICKED, f"\0{PICKED}\0").split("\0")
        self._parts = [part if part in (UNIQUE, PICKED) else part.encode() for part in parts]
        self._is_fixed = len(parts) == 1
        self._picks = itertools.cycle([pick.encode() for pick in job.picks] or [b""])
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        length = sum(16 if p == UNIQUE else len(job.picks[0]) if p == PICKED else len(p) for p in self._parts)
        heads = [
            f"POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"accept: application/graphql-response+json, application/json\r\n"
            f"authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n".encode()
            for token in job.tokens
        ]
        whole = [head + job.body.encode() for head in heads] if self._is_fixed else heads
        self._heads = itertools.cycle(whole)

    def __next__(self) -> bytes:
        if self._is_fixed:
            return next(self._heads)
        made = [next(self._heads)]
        for part in self._parts:
            if part == UNIQUE:
                made.append(f"{self._run}{next(self._numbers):08x}".encode())
            else:
                made.append(next(self._picks) if part == PICKED else part)  # type: ignore[arg-type]
        return b"".join(made)


class Client(asyncio.Protocol):
    """One connection. Tells `run` when it is free."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._data = b""
        self._need = 0
        self._since = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, since: float) -> None:
        """Sends the next request; its latency counts from `since`."""
        self._since = since
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        if not self._need:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._data = data
                return
            head = data[:end].lower()
            at = head.find(b"content-length:")
            if at < 0:
                raise RuntimeError("an answer without Content-Length")
            self._need = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(data) < self._need:
            self._data = data
            return
        self._data, self._need = b"", 0
        self._run.answered(self, data, self._since)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost()


class Run:
    """The clients of one job, and what they see between `opens` and `closes`."""

    def __init__(self, job: Job) -> None:
        self.requests = Requests(job)
        self._job = job
        self._latencies = array("d")
        self._errors = 0
        self._first_error = ""
        self._idle: list[Client] = []
        self._due: deque[float] = deque()
        self._opens = self._closes = float("inf")
        self._is_over = False

    def answered(self, client: Client, data: bytes, since: float) -> None:
        now = time.perf_counter()
        if self._opens <= (now if self._job.rate is None else since) < self._closes:
            self._latencies.append(now - since)
        if b'"errors":' in data or not data.startswith(b"HTTP/1.1 200"):
            self._errors += 1
            self._first_error = self._first_error or data[:1000].decode(errors="replace")
        if self._job.rate is None:
            if not self._is_over:
                client.ask(now)
        elif self._due:
            client.ask(self._due.popleft())
        else:
            self._idle.append(client)

    def lost(self) -> None:
        if not self._is_over:
            self._errors += 1
            self._first_error = self._first_error or "the server closed a connection"

    async def _pace(self, rate: float) -> None:
        """Lets requests fall due, until the window closes."""
        due = time.perf_counter()
        while (now := time.perf_counter()) < self._closes:
            while due <= now:
                if self._idle:
                    self._idle.pop().ask(due)
                else:
                    self._due.append(due)
                due += 1 / rate
            await asyncio.sleep(due - now)

    async def measure(self) -> Window:
        job, loop = self._job, asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: Client(self), "127.0.0.1", job.port))[1]
            for _ in range(job.connections)
        ]
        started = time.perf_counter()
        self._opens = started + job.ramp
        if job.rate is None:
            for client in clients:
                client.ask(started)
            pacing = None
        else:
            self._idle = list(clients)
            self._closes = self._opens + job.seconds
            pacing = asyncio.create_task(self._pace(job.rate))
        await asyncio.sleep(job.ramp)
        before = {name: cpu_seconds(pids) for name, pids in job.watched.items()}
        machine, own = machine_cpu_seconds(), time.process_time()
        await asyncio.sleep(max(self._opens + job.seconds - time.perf_counter(), 0))
        while job.rate is None and len(self._latencies) < job.connections and not self._errors:
            if time.perf_counter() > self._opens + TIMEOUT_SECONDS:
                break
            await asyncio.sleep(0.05)
        self._closes = min(self._closes, time.perf_counter())
        seconds = self._closes - self._opens
        cpu = {name: cpu_seconds(pids) - before[name] for name, pids in job.watched.items()}
        own = time.process_time() - own
        others = max(machine_cpu_seconds() - machine - own - sum(cpu.values()), 0)
        if pacing:
            await pacing
            while self._due or len(self._idle) < len(clients):  # what fell due in time is waited for
                if self._errors or time.perf_counter() > self._closes + TIMEOUT_SECONDS:
                    break
                await asyncio.sleep(0.01)
        self._is_over = True
        if not self._latencies:
            sys.exit(f"no answers on port {job.port}: {self._first_error or 'none came in time'}")
        every = sorted(self._latencies)
        p50, p95, p99 = (every[min(int(len(every) * share), len(every) - 1)] for share in (0.5, 0.95, 0.99))
        return Window(len(every), seconds, self._errors, self._first_error, p50, p95, p99, cpu, own, others)


def run(job: Job) -> Window:
    """Runs the job in a process of its own. Raises RuntimeError where an answer was an error."""
    command = [sys.executable, __file__]
    done = subprocess.run(command, input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError("the load ended early; see the line above")
    window = msgspec.json.decode(done.stdout, type=Window)
    if window.errors:
        raise RuntimeError(f"{window.errors} answers were errors; the first: {window.first_error}")
    return window


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)

    async def _main() -> Window:
        return await Run(given).measure()

    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_main())))
