"""What this process counts and measures, for Prometheus: docs/metrics.md.

Several workers share their values through a folder of memory-mapped files (MultiProcessCollector of prometheus_client):
each writes its own, and a scrape of any worker adds them up. Values of a worker that has died keep counting, except
those of gauges that say what is the case now.

No label has a value that a client can choose: operations are named by a trusted document or by the schema.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import prometheus_client
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

from db import tallies
from db.tallies import DurationTally, Tally
from settings import metrics_folder

if TYPE_CHECKING:
    from db.pool import Pool

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry(auto_describe=True)

INTERNAL = "INTERNAL_SERVER_ERROR"
# Codes of answers that count against availability.
_FAULTS = frozenset({INTERNAL, "OVERLOADED", "TIMEOUT"})
_DURATIONS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STATEMENT_DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

REQUESTS = Counter(
    "aclue_requests",
    "Answered requests by route and result. refused: the client is at fault; limited: over a limit; failed: we are.",
    ("route", "result"),
    registry=REGISTRY,
)
GRAPHQL_ERRORS = Counter(
    "aclue_graphql_errors",
    "Answers with an error of this code, whatever their HTTP status.",
    ("code",),
    registry=REGISTRY,
)
USER_ERRORS = Counter(
    "aclue_graphql_user_errors", "Payloads with a userError of this code.", ("code",), registry=REGISTRY
)
OPERATION_SECONDS = Histogram(
    "aclue_graphql_operation_duration_seconds",
    "From the parsed operation to its data, by the name of the trusted document, else by its root field.",
    ("operation",),
    buckets=_DURATIONS,
    registry=REGISTRY,
)
EXECUTIONS = Counter(
    "aclue_graphql_executions",
    "Executed operations by path, and for fallbacks the reason.",
    ("path", "reason"),
    registry=REGISTRY,
)
_COST = Counter(
    "aclue_graphql_cost", "Values that executed operations could have at most, added up.", registry=REGISTRY
)
CACHES = Counter("aclue_cache_requests", "Look-ups in caches.", ("cache", "outcome"), registry=REGISTRY)
LIMITS = Counter("aclue_limit_refusals", "What was refused because a limit was reached.", ("limit",), registry=REGISTRY)
STREAMS = Gauge(
    "aclue_streams_open", "Open WebSockets and event streams.", multiprocess_mode="livesum", registry=REGISTRY
)
EVENTS = Counter("aclue_subscription_events", "Events that were executed for subscribers.", registry=REGISTRY)

POOL_CONNECTIONS = Gauge(
    "aclue_db_pool_connections",
    "Connections of the pools.",
    ("state",),
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_MAX = Gauge(
    "aclue_db_pool_max_connections",
    "Connections that the pools may have.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_WAITING = Gauge(
    "aclue_db_pool_waiting_requests",
    "Requests that wait for a connection.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_WAIT_SECONDS = Histogram(
    "aclue_db_pool_wait_seconds",
    "How long requests waited that found no free connection, in vain or not.",
    buckets=_DURATIONS,
    registry=REGISTRY,
)
TURN_WAIT_SECONDS = Histogram(
    "aclue_turn_wait_seconds",
    "How long requests waited whose network or person already had its share of the connections.",
    buckets=_DURATIONS,
    registry=REGISTRY,
)
STATEMENT_SECONDS = Histogram(
    "aclue_db_statement_duration_seconds",
    "From sending a statement to its last row or error.",
    buckets=_STATEMENT_DURATIONS,
    registry=REGISTRY,
)
DATABASE_ERRORS = Counter(
    "aclue_db_errors",
    "Statements that failed, by SQLSTATE. 42501: refused by a grant or by row level security.",
    ("sqlstate",),
    registry=REGISTRY,
)

SWITCH_ON = Gauge(
    "aclue_switch_on",
    "Whether this is switched on, as the server processes know it: 0 where it is off in one of them.",
    ("switch",),
    multiprocess_mode="livemin",
    registry=REGISTRY,
)

JOB_RUNS = Counter("aclue_job_runs", "Runs of background jobs.", ("job", "outcome"), registry=REGISTRY)
JOB_SECONDS = Counter("aclue_job_duration_seconds", "Time in background jobs.", ("job",), registry=REGISTRY)
JOBS_RUNNING = Gauge(
    "aclue_jobs_running", "Background jobs at work.", ("job",), multiprocess_mode="livesum", registry=REGISTRY
)
JOB_SUCCESS = Gauge(
    "aclue_job_last_success_timestamp_seconds",
    "When a background job last ended without an error.",
    ("job",),
    multiprocess_mode="max",
    registry=REGISTRY,
)

PUBLIC_ANSWER_BYTES = Gauge(
    "aclue_public_answers_bytes",
    "Memory of the public answers that the server processes have cached.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)

WORKERS = Gauge("aclue_workers", "Server processes.", multiprocess_mode="livesum", registry=REGISTRY)
WORKER_MEMORY = Gauge(
    "aclue_workers_resident_memory_bytes",
    "Resident memory of the server processes.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
WORKER_CPU = Counter("aclue_workers_cpu_seconds", "CPU time of the server processes.", registry=REGISTRY)

_FOLDER_PREFIX = "aclue-metrics-"
ROUTES = ("graphql", "stream", "export", "link", "postback", "page")

PLANNED = Tally(EXECUTIONS.labels("plan", ""))
COST = Tally(_COST)
STATEMENTS = DurationTally(STATEMENT_SECONDS, _STATEMENT_DURATIONS)
DOCUMENT_HIT, DOCUMENT_MISS = (Tally(CACHES.labels("document", outcome)) for outcome in ("hit", "miss"))
STATEMENT_HIT, STATEMENT_MISS = (Tally(CACHES.labels("prepared_statement", outcome)) for outcome in ("hit", "miss"))
INTROSPECTION_HIT, INTROSPECTION_MISS = (Tally(CACHES.labels("introspection", outcome)) for outcome in ("hit", "miss"))
# joined: waited for the answer to an equal request.
PUBLIC_ANSWER = {outcome: Tally(CACHES.labels("public_answer", outcome)) for outcome in ("hit", "miss", "joined")}
SHARED_ANSWER = {
    outcome: Tally(CACHES.labels("shared_public_answer", outcome)) for outcome in ("hit", "miss", "failed")
}
_ANSWERED = {
    (route, result): Tally(REQUESTS.labels(route, result))
    for route in ROUTES
    for result in ("ok", "refused", "limited", "failed")
}
# Alerts compare them with what they were before, so they must exist before they happen.
for _code in (INTERNAL, "OVERLOADED", "TIMEOUT", "RATE_LIMITED"):
    GRAPHQL_ERRORS.labels(_code)
for _limit in ("rate", "attempts", "storage", "cost", "pool", "streams", "load"):
    LIMITS.labels(_limit)
DATABASE_ERRORS.labels("42501")


@functools.cache
def duration_of(operation: str) -> DurationTally:
    """The durations of operations of this name, of which there must be few."""
    return DurationTally(OPERATION_SECONDS.labels(operation), _DURATIONS)


def count_answer(route: str, codes: Collection[str] = ()) -> None:
    """Counts a GraphQL answer with errors of these codes, each code once."""
    result = "ok"
    for code in set(codes) if codes else ():
        GRAPHQL_ERRORS.labels(code).inc()
        if code in _FAULTS:
            result = "failed"
        elif result != "failed":
            result = "limited" if code in ("RATE_LIMITED", "SWITCHED_OFF") else "refused"
    _ANSWERED[route, result].inc()


def count_response(route: str, status: int) -> None:
    """Counts a response that is not GraphQL."""
    result = "failed" if status >= 500 else "limited" if status == 429 else "refused" if status >= 400 else "ok"
    _ANSWERED[route, result].inc()


class ProcessValues:
    """Values of this process, which it has to pass on regularly: a scrape of another worker cannot."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._process = psutil.Process()
        self._cpu_seconds = 0.0
        POOL_MAX.set(pool.max_size)
        WORKERS.set(1)

    def read(self) -> None:
        """Brings them up to date."""
        tallies.flush()
        pool = self._pool
        POOL_CONNECTIONS.labels("idle").set(pool.idle)
        POOL_CONNECTIONS.labels("used").set(pool.size - pool.idle)
        POOL_WAITING.set(pool.waiting)
        WORKER_MEMORY.set(self._process.memory_info().rss)
        used, self._cpu_seconds = self._cpu_seconds, time.process_time()
        WORKER_CPU.inc(self._cpu_seconds - used)


def collected() -> CollectorRegistry:
    """A registry with the values of all workers."""
    folder = metrics_folder()
    if folder is None:
        return REGISTRY
    _forget_dead_workers(folder)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """A new folder for workers to share. Removes those of servers that were killed: a server locks its own."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
    with _locked(folder):
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises OSError if the folder is another user's, or locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder}: belongs to another user")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _forget_dead_workers(folder: Path) -> None:
    """Removes the gauges of workers that no longer run. All have the same parent: another process with the id of a dead
    worker is none of them, or its successor."""
    parent = os.getppid()
    for pid in {file.stem.rpartition("_")[2] for file in folder.glob("gauge_live*.db")}:
        try:
            worker = psutil.Process(int(pid))
            is_alive = worker.ppid() == parent and worker.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            is_alive = False
        if not is_alive:
            with contextlib.suppress(FileNotFoundError):  # another worker does the same
                multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
