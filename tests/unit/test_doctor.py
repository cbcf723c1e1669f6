"""What `aclue doctor` finds at, below and above its thresholds, and what it calls slower."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain.doctor import Connections, Disk, Lock, Reading, Severity, Statement, Table, UnusedIndex, growth, slower
from domain.doctor import findings as find

NOW = datetime(2026, 11, 30, tzinfo=UTC)
IDLE = Connections(
    used=10, usable=100, active=1, idle_in_transaction=0, oldest_idle_seconds=0, longest_statement_seconds=0
)


def reading(**changes: Any) -> Reading:
    sound = Reading(
        taken_at=NOW,
        version="18.0",
        bytes=1_000_000_000,
        counted_since=NOW - timedelta(days=10),
        statements=[],
        connections=IDLE,
        locks=[],
        tables=[],
        unused_indexes=[],
        disk=None,
        missing=[],
    )
    return msgspec.structs.replace(sound, **changes)


def statement(query: str = "select 1", *, calls: int = 100, mean: float = 10.0) -> Statement:
    return Statement(
        query=query,
        calls=calls,
        total_time=calls * mean,
        mean_time=mean,
        rows=calls,
        calls_per_hour=1,
        performance_grade="B",
    )


def table(**changes: Any) -> Table:
    sound = Table(
        name="public.swipes",
        rows=100_000,
        bytes=30_000_000,
        heap_bytes=20_000_000,
        expected_bytes=19_000_000,
        scans=100,
        index_scans=10_000,
        live=100_000,
        dead=0,
        inserted=0,
        deleted=0,
        vacuumed_at=None,
    )
    return msgspec.structs.replace(sound, **changes)


def severities(given: Reading) -> list[Severity]:
    return [finding.severity for finding in find(given, growth(given))]


def test_a_sound_database_has_no_findings() -> None:
    assert severities(reading(tables=[table()], statements=[statement()])) == []


@pytest.mark.parametrize(
    ("used", "expected"),
    [(60, []), (61, [Severity.WARNING]), (80, [Severity.WARNING]), (81, [Severity.CRITICAL])],
)
def test_connections(used: int, expected: list[Severity]) -> None:
    assert severities(reading(connections=msgspec.structs.replace(IDLE, used=used))) == expected


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(1000, []), (1001, [Severity.WARNING]), (2000, [Severity.WARNING]), (2001, [Severity.CRITICAL])],
)
def test_slow_statements(ms: float, expected: list[Severity]) -> None:
    assert severities(reading(statements=[statement(mean=ms)])) == expected
    running = msgspec.structs.replace(IDLE, longest_statement_seconds=ms / 1000)
    assert severities(reading(connections=running)) == expected


@pytest.mark.parametrize(("index_scans", "expected"), [(8_000, [Severity.WARNING]), (8_100, [])])
def test_index_usage_of_large_tables(index_scans: int, expected: list[Severity]) -> None:
    busy = table(scans=2_000, index_scans=index_scans)
    small = table(name="public.brands", rows=50, scans=1_000_000, index_scans=0)
    assert severities(reading(tables=[busy, small])) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dead": 25_000}, []),
        ({"dead": 25_100}, [Severity.WARNING]),
        ({"expected_bytes": 9_000_000}, [Severity.WARNING]),
        ({"expected_bytes": None}, []),
    ],
)
def test_bloat(changes: dict[str, Any], expected: list[Severity]) -> None:
    assert severities(reading(tables=[table(**changes)])) == expected


def test_waiting_for_a_lock_names_who_holds_it() -> None:
    waiting = Lock(pid=7, blocked_by=[3], seconds=6.0, role="aclue_api", query="update …")
    (finding,) = find(reading(locks=[waiting]), None)
    assert finding.what == "process 7 has waited 6 s for process 3"


def test_indexes_are_called_unused_only_after_a_week() -> None:
    index = [UnusedIndex(name="public.a_idx", table_name="public.a", bytes=2_000_000)]
    assert severities(reading(unused_indexes=index)) == [Severity.NOTE]
    assert severities(reading(unused_indexes=index, counted_since=NOW - timedelta(days=6))) == []


@pytest.mark.parametrize(("free", "expected"), [(150, []), (149, [Severity.CRITICAL])])
def test_disk(free: int, expected: list[Severity]) -> None:
    assert severities(reading(disk=Disk(size=1000, free=free))) == expected


def test_growth_follows_inserted_rows_and_says_when_the_disk_is_full() -> None:
    growing = table(inserted=50_000, deleted=10_000)
    given = reading(tables=[growing], disk=Disk(size=2_000_000_000, free=1_000_000_000))
    found = growth(given)
    assert found is not None
    assert found.bytes_per_day == 40_000 * 300 / 10
    assert found.bytes_in["30"] == 1_000_000_000 + 30 * 1_200_000
    assert found.days_until_full == pytest.approx(700_000_000 / 1_200_000)


def test_growth_between_two_readings_is_the_real_one() -> None:
    before = reading(taken_at=NOW - timedelta(days=2), bytes=900_000_000)
    found = growth(reading(), before)
    assert found is not None
    assert found.bytes_per_day == 50_000_000


def test_growth_is_not_guessed_from_minutes() -> None:
    assert growth(reading(counted_since=NOW - timedelta(minutes=5))) is None
    assert growth(reading(counted_since=None)) is None


def after(mean: float, calls: int) -> Statement:
    """What is shown after 100 calls of 10 ms and so many of this mean."""
    total = 100 * 10.0 + calls * mean
    return msgspec.structs.replace(statement(), calls=100 + calls, total_time=total, mean_time=total / (100 + calls))


@pytest.mark.parametrize(("mean", "is_slower"), [(30.0, False), (30.1, True)])
def test_what_was_called_since_counts(mean: float, is_slower: bool) -> None:
    found = slower(reading(statements=[statement()]), reading(statements=[after(mean, 50)]))
    assert [(each.before, round(each.after, 1), each.calls) for each in found] == ([(10.0, mean, 50)] * is_slower)


def test_after_a_reset_everything_counts() -> None:
    reset = statement(calls=30, mean=50.0)
    (found,) = slower(reading(statements=[statement()]), reading(statements=[reset]))
    assert (found.calls, found.after) == (30, 50.0)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (statement(calls=19), statement(calls=100, mean=100.0)),  # too few calls to know
        (statement(), after(500.0, 19)),
        (statement(mean=0.1), statement(calls=90, mean=0.9)),  # it does not matter
        (statement("select 2"), statement(mean=500.0)),  # a new statement
    ],
)
def test_noise_is_no_reason_to_roll_back(before: Statement, now: Statement) -> None:
    assert slower(reading(statements=[before]), reading(statements=[now])) == []
