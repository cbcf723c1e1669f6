"""How a running database is: what `aclue doctor` reads, what it finds wrong, and how two readings compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum

import msgspec

MAX_CONNECTIONS_WARNING, MAX_CONNECTIONS_CRITICAL = 0.6, 0.8
SLOW_MS, TOO_SLOW_MS = 1_000.0, 2_000.0
MIN_INDEX_USAGE = 0.8
LARGE_TABLE_ROWS, MANY_SCANS = 10_000, 1_000
MAX_IDLE_SECONDS = 60.0
MAX_LOCK_SECONDS = 5.0
MAX_DEAD_SHARE, MAX_BLOAT_SHARE, MIN_BLOAT_BYTES = 0.2, 0.5, 10 * 1024 * 1024
MAX_DISK_SHARE = 0.85
MIN_DAYS_OF_STATISTICS = 7.0
"""Before that, an index without a scan may only wait for its monthly job."""

MAX_SLOWDOWN = 3.0
MIN_CALLS = 20
MIN_SLOW_MS = 1.0
"""Statements that are called less, or take less, vary by more than MAX_SLOWDOWN by themselves."""


class Severity(Enum):
    CRITICAL = "critical"
    WARNING = "warning"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What is wrong, and what to do about it."""

    severity: Severity
    what: str
    advice: str


class Statement(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Times in milliseconds. The grade is that of performance_monitoring_view."""

    query: str
    calls: int
    total_time: float
    mean_time: float
    rows: int
    calls_per_hour: float
    performance_grade: str


class Connections(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`usable`: without those reserved for superusers."""

    used: int
    usable: int
    active: int
    idle_in_transaction: int
    oldest_idle_seconds: float
    longest_statement_seconds: float


class Lock(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A session that waits for others."""

    pid: int
    blocked_by: list[int]
    seconds: float | None
    role: str
    query: str


class Table(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`bytes` with indexes; `expected_bytes` what the rows would take without bloat, None if that is not known."""

    name: str
    rows: int
    bytes: int
    heap_bytes: int
    expected_bytes: float | None
    scans: int
    index_scans: int
    live: int
    dead: int
    inserted: int
    deleted: int
    vacuumed_at: datetime | None

    @property
    def is_large(self) -> bool:
        return self.rows >= LARGE_TABLE_ROWS and self.scans + self.index_scans >= MANY_SCANS

    @property
    def bloat_bytes(self) -> float:
        return 0.0 if self.expected_bytes is None else max(0.0, self.heap_bytes - self.expected_bytes)


class UnusedIndex(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    name: str
    table_name: str
    bytes: int


class Disk(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The disk of the embedded Postgres."""

    size: int
    free: int


class Growth(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`basis`: what it was computed from. `bytes_in` days from now, if it goes on."""

    bytes_per_day: float
    basis: str
    bytes_in: dict[str, float]
    days_until_full: float | None
    """Until the disk is at MAX_DISK_SHARE; None if it is not known, or never."""


class Reading(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Everything at one time. `missing`: what could not be read, and what would change that."""

    taken_at: datetime
    version: str
    bytes: int
    counted_since: datetime | None
    statements: list[Statement]
    connections: Connections
    locks: list[Lock]
    tables: list[Table]
    unused_indexes: list[UnusedIndex]
    disk: Disk | None
    missing: list[str]

    @property
    def index_usage(self) -> float | None:
        """The share of scans of large tables that use an index; None without such scans."""
        large = [table for table in self.tables if table.is_large]
        scans = sum(table.scans + table.index_scans for table in large)
        return sum(table.index_scans for table in large) / scans if scans else None

    @property
    def days_counted(self) -> float:
        return (self.taken_at - self.counted_since).total_seconds() / 86400 if self.counted_since else 0.0


class Slower(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A statement that takes longer than before. Mean times in milliseconds."""

    query: str
    before: float
    after: float
    calls: int


FORECAST_DAYS = (30, 90, 365)


def growth(reading: Reading, before: Reading | None = None) -> Growth | None:
    """How fast the database grows: since an earlier reading, else from the rows that were inserted and deleted since
    the statistics were reset. None if that is less than an hour."""
    days = (reading.taken_at - before.taken_at).total_seconds() / 86400 if before else reading.days_counted
    if days < 1 / 24:
        return None
    if before is not None:
        per_day = (reading.bytes - before.bytes) / days
        basis = f"the size {days:.1f} days ago"
    else:
        added = (
            (table.inserted - table.deleted) * table.bytes / table.live for table in reading.tables if table.live > 0
        )
        per_day = sum(added) / days
        basis = f"rows inserted and deleted in {days:.1f} days"
    until_full = None
    if reading.disk is not None and per_day > 0:
        used = reading.disk.size - reading.disk.free
        until_full = max(0.0, (MAX_DISK_SHARE * reading.disk.size - used) / per_day)
    forecast = {str(ahead): max(0.0, reading.bytes + ahead * per_day) for ahead in FORECAST_DAYS}
    return Growth(bytes_per_day=per_day, basis=basis, bytes_in=forecast, days_until_full=until_full)


def slower(before: Reading, after: Reading) -> list[Slower]:
    """Statements that were at least MAX_SLOWDOWN times as slow between the readings as before the first one; the worst
    first. If statistics were reset in between, those since then count."""
    known = {statement.query: statement for statement in before.statements}
    found = []
    for now in after.statements:
        then = known.get(now.query)
        if then is None or then.calls < MIN_CALLS:
            continue
        calls, total = now.calls - then.calls, now.total_time - then.total_time
        if calls < 0 or total < 0:
            calls, total = now.calls, now.total_time
        if calls >= MIN_CALLS and total / calls >= MIN_SLOW_MS and total / calls > MAX_SLOWDOWN * then.mean_time:
            found.append(Slower(query=now.query, before=then.mean_time, after=total / calls, calls=calls))
    return sorted(found, key=lambda each: each.before / each.after)


def findings(reading: Reading, forecast: Growth | None) -> list[Finding]:
    """What is wrong, the worst first."""
    found = [*_load(reading), *_statements(reading.statements), *_tables(reading), *_disk(reading, forecast)]
    found += [Finding(severity=Severity.NOTE, what=what, advice="see docs/doctor.md") for what in reading.missing]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _load(reading: Reading) -> Iterator[Finding]:
    use = reading.connections
    share = use.used / use.usable if use.usable else 1.0
    if share > MAX_CONNECTIONS_WARNING:
        severity = Severity.CRITICAL if share > MAX_CONNECTIONS_CRITICAL else Severity.WARNING
        yield Finding(
            severity=severity,
            what=f"{use.used} of {use.usable} connections are in use",
            advice="see pg_stat_activity for who holds them; lower DATABASE_POOL_SIZE, or use PgBouncer",
        )
    if use.longest_statement_seconds * 1000 > SLOW_MS:
        is_critical = use.longest_statement_seconds * 1000 > TOO_SLOW_MS
        yield Finding(
            severity=Severity.CRITICAL if is_critical else Severity.WARNING,
            what=f"a statement has been running for {use.longest_statement_seconds:.1f} s",
            advice="find it in pg_stat_activity; select pg_cancel_backend(pid) ends it",
        )
    if use.oldest_idle_seconds > MAX_IDLE_SECONDS:
        yield Finding(
            severity=Severity.WARNING,
            what=f"a transaction has been idle for {use.oldest_idle_seconds:.0f} s",
            advice="it keeps vacuum from working; find it in pg_stat_activity",
        )
    for lock in reading.locks:
        if (lock.seconds or 0) > MAX_LOCK_SECONDS:
            blockers = ", ".join(map(str, lock.blocked_by))
            yield Finding(
                severity=Severity.WARNING,
                what=f"process {lock.pid} has waited {lock.seconds:.0f} s for process {blockers}",
                advice=f"see what {blockers} does in pg_stat_activity",
            )


def _statements(statements: Sequence[Statement]) -> Iterator[Finding]:
    for statement in statements:
        if statement.mean_time > SLOW_MS:
            yield Finding(
                severity=Severity.CRITICAL if statement.mean_time > TOO_SLOW_MS else Severity.WARNING,
                what=f"{statement.mean_time:.0f} ms on average, {statement.calls} calls: {statement.query[:120]}",
                advice="explain (analyze, buffers) it as the role in its comment",
            )


def _tables(reading: Reading) -> Iterator[Finding]:
    usage = reading.index_usage
    if usage is not None and usage <= MIN_INDEX_USAGE:
        worst = max((table for table in reading.tables if table.is_large), key=lambda table: table.scans)
        yield Finding(
            severity=Severity.WARNING,
            what=f"{usage:.0%} of the scans of large tables use an index; {worst.name} was read whole {worst.scans}"
            " times",
            advice="find the statement in performance_monitoring_view, and give it an index",
        )
    for table in reading.tables:
        if table.dead > LARGE_TABLE_ROWS and table.dead > MAX_DEAD_SHARE * (table.live + table.dead):
            yield Finding(
                severity=Severity.WARNING,
                what=f"{table.name} has {table.dead} dead rows beside {table.live} live ones",
                advice="look for a transaction that is open for long; vacuum the table; tune its autovacuum",
            )
        if table.bloat_bytes > max(MIN_BLOAT_BYTES, MAX_BLOAT_SHARE * table.heap_bytes):
            yield Finding(
                severity=Severity.WARNING,
                what=f"about {table.bloat_bytes / 1e6:.0f} MB of {table.name} are empty",
                advice="it will be reused; pg_repack returns it to the disk without a lock",
            )
    if reading.unused_indexes and reading.days_counted >= MIN_DAYS_OF_STATISTICS:
        total = sum(index.bytes for index in reading.unused_indexes)
        yield Finding(
            severity=Severity.NOTE,
            what=f"{len(reading.unused_indexes)} indexes ({total / 1e6:.0f} MB) were not used for"
            f" {reading.days_counted:.0f} days",
            advice="standbys count by themselves; `aclue verify` wants those of the migrations",
        )


def _disk(reading: Reading, forecast: Growth | None) -> Iterator[Finding]:
    disk = reading.disk
    if disk is not None and disk.size - disk.free > MAX_DISK_SHARE * disk.size:
        yield Finding(
            severity=Severity.CRITICAL,
            what=f"{1 - disk.free / disk.size:.0%} of the disk are used",
            advice="free or add space now: Postgres stops when it is full",
        )
    elif forecast is not None and forecast.days_until_full is not None and forecast.days_until_full < FORECAST_DAYS[0]:
        yield Finding(
            severity=Severity.WARNING,
            what=f"the disk will be {MAX_DISK_SHARE:.0%} full in {forecast.days_until_full:.0f} days",
            advice="add space, or shorten a retention",
        )
