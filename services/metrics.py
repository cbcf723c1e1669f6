"""Figures for /metrics that are read when Prometheus asks: from the database, which other processes change, too, and
from the disk. Add a figure of the database to sql/functions/metrics.sql and to FIGURES."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from db.claims import SERVICE
from db.database import Database
from db.metrics import ProcessValues, collected
from settings import Settings

log = structlog.get_logger("aclue.metrics")

CACHE_SECONDS = 5.0
"""For which figures of the database are reused, however many scrapes there are."""
TIMEOUT_SECONDS = 3.0
SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure of private.metrics() is exposed. `label` names what distinguishes its rows, if there are several."""

    metric: str
    help: str
    label: str = ""
    is_counter: bool = False

    def family(self, rows: Iterable[tuple[str, float]]) -> Metric:
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        family = kind(self.metric, self.help, labels=[self.label] if self.label else [])
        for label, value in rows:
            family.add_metric([label] if self.label else [], value)
        return family


_INSERTED = "since the statistics of Postgres were reset, including those that were undone"
FIGURES = {
    "registrations": Figure("aclue_registrations", f"New accounts {_INSERTED}.", is_counter=True),
    "sessions": Figure(
        "aclue_sessions_started", f"New sessions, anonymous ones included, {_INSERTED}.", is_counter=True
    ),
    "swipes": Figure("aclue_swipes", f"Swipes {_INSERTED}.", is_counter=True),
    "impressions": Figure("aclue_impressions", f"Impressions {_INSERTED}.", "month", is_counter=True),
    "product_views": Figure("aclue_product_views", f"Views of products {_INSERTED}.", "month", is_counter=True),
    "clicks": Figure("aclue_clicks", f"Tracked links that were made {_INSERTED}.", is_counter=True),
    "redirects": Figure("aclue_redirects", f"Tracked links that were followed {_INSERTED}.", is_counter=True),
    "conversions": Figure("aclue_conversions", f"Sales that networks reported {_INSERTED}.", is_counter=True),
    "model_version": Figure("aclue_model_version", "The newest recommendation model."),
    "model_created": Figure("aclue_model_created_timestamp_seconds", "When it was built."),
    "trained_model_version": Figure("aclue_trained_model_version", "The newest trained model that is not withdrawn."),
    "trained_model_created": Figure("aclue_trained_model_created_timestamp_seconds", "When it was trained."),
    "backup": Figure("aclue_backup_last_success_timestamp_seconds", "When the last backup was complete.", "kind"),
    "backup_failed": Figure("aclue_backup_last_failed", "Whether the last backup failed."),
    "replication_lag": Figure(
        "aclue_replication_lag_seconds", "How far a standby is behind; the owner needs pg_monitor to see it.", "standby"
    ),
    "wal_archived": Figure("aclue_wal_last_archived_timestamp_seconds", "When WAL was last archived."),
    "wal_unarchived": Figure("aclue_wal_unarchived_bytes", "WAL that is in no archive yet."),
    "wal_archive_failures": Figure("aclue_wal_archive_failures", "Failed attempts to archive WAL.", is_counter=True),
    "connections": Figure("aclue_postgres_connections", "Connections to the server of the database, of all clients."),
    "max_connections": Figure("aclue_postgres_max_connections", "Those that it accepts, without reserved ones."),
    "database_size": Figure("aclue_postgres_database_size_bytes", "What the database takes on disk."),
    "mails_waiting": Figure("aclue_mails_waiting", "Mails that are due; no more than 10,000 are counted."),
    "mails_due_seconds": Figure("aclue_mails_oldest_due_seconds", "For how long the oldest of them has been due."),
    "jobs_queued": Figure("aclue_jobs_queued", "Background jobs that are due and wait."),
    "jobs_failed": Figure("aclue_jobs_failed", "Background jobs that are held because they failed."),
    "jobs_due_seconds": Figure("aclue_jobs_oldest_due_seconds", "For how long the oldest due one has waited."),
    "postponed_rollup_days": Figure("aclue_rollup_days_due", "Notes of days whose figures are out of date."),
}


class Metrics:
    """What /metrics shows. `start` keeps those of this process up to date."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._values = ProcessValues(database.pool)
        self._home = settings.home if settings.uses_embedded_server else Path.cwd()
        self._clock = clock
        self._figures: list[Metric] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._sample_for_ever())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _sample_for_ever(self) -> None:
        while True:
            self._values.read()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def registry(self) -> Collector:
        """Everything, as of now; figures of the database may be CACHE_SECONDS old. Without the database it is what the
        processes know, and aclue_database_up is 0."""
        self._values.read()
        async with self._reading:
            if self._clock() - self._read_at >= CACHE_SECONDS:
                self._figures = await self._read()
                self._read_at = self._clock()
            return _Everything([*self._figures, *_disk(self._home)])

    async def _read(self) -> list[Metric]:
        rows: dict[str, list[tuple[str, float]]] = {}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                async with self._database.session(SERVICE, read_only=True) as session:
                    for row in await session.fetch("metrics.figures"):
                        rows.setdefault(row["figure"], []).append((row["label"], row["value"]))
        except Exception as error:  # a scrape matters most while the database is away
            log.warning("figures of the database were not read", exception=type(error).__name__)
        up = Figure("aclue_database_up", "Whether the database answered this scrape.")
        return [up.family([("", float(bool(rows)))]), *(FIGURES[name].family(found) for name, found in rows.items())]


class _Everything(Collector):
    """The values of all processes, and figures that were read for this scrape."""

    def __init__(self, figures: Sequence[Metric]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from collected().collect()
        yield from self._figures


def _disk(folder: Path) -> list[Metric]:
    """The disk of the data folder of the embedded Postgres; with a Postgres of your own, that of the server process."""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        return [
            Figure(
                "aclue_disk_size_bytes", "Size of the disk that the server, or the embedded Postgres, writes to."
            ).family([("", usage.total)]),
            Figure("aclue_disk_free_bytes", "What is free of it.").family([("", usage.free)]),
        ]
    return []
