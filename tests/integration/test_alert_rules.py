"""Each alert of ops/prometheus at, below and above its threshold, by promtool."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "ops" / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")
if PROMTOOL is None and os.environ.get("CI"):
    raise RuntimeError("promtool is needed in continuous integration (Debian: apt-get install prometheus)")
needs_promtool = pytest.mark.skipif(
    not PROMTOOL, reason="there is no promtool here (Debian: apt-get install prometheus)"
)

DAY = 86400
LATE = 10 * DAY
"""The time at which ages are judged, in seconds from the first sample."""


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them: `a+bxn` are n further samples, one each `interval`, at which rules are evaluated,
    too. The alert fires at `at`, or does not."""

    alert: str
    series: dict[str, str]
    at: str
    fires: bool
    interval: str = "1m"

    @property
    def test(self) -> dict[str, Any]:
        query = f'count(ALERTS{{alertname="{self.alert}",alertstate="firing"}})'
        samples = [{"labels": "{}", "value": 1}] if self.fires else []
        return {
            "interval": self.interval,
            "input_series": [{"series": name, "values": values} for name, values in self.series.items()],
            "promql_expr_test": [{"expr": query, "eval_time": self.at, "exp_samples": samples}],
        }


def steady(alert: str, name: str, fires: dict[float, bool], at: str = "10m") -> list[Case]:
    """One series with each of these values."""
    return [Case(alert, {name: f"{value}x30"}, at, expected) for value, expected in fires.items()]


def aged(alert: str, name: str, fires: dict[int, bool], **others: str) -> list[Case]:
    """A timestamp that is so many seconds old."""
    return [
        Case(alert, {name: f"{LATE - age}x250", **others}, f"{LATE}s", expected, "1h")
        for age, expected in fires.items()
    ]


def requests(failed: float, ok: float, minutes: int) -> dict[str, str]:
    """So many a minute."""
    return {
        f'aclue_requests_total{{route="graphql",result="{result}"}}': f"0+{rate}x{minutes}"
        for result, rate in (("failed", failed), ("ok", ok))
    }


def statements(up_to_1: float, up_to_2: float, up_to_5: float) -> dict[str, str]:
    """Counts a minute, cumulative."""
    name = "aclue_db_statement_duration_seconds_bucket"
    bounds = {"0.5": 0, "1.0": up_to_1, "2.0": up_to_2, "5.0": up_to_5, "+Inf": up_to_5}
    return {f'{name}{{le="{bound}"}}': f"0+{rate}x60" for bound, rate in bounds.items()}


def operations(up_to_200ms: float, all_: float) -> dict[str, str]:
    name = "aclue_graphql_operation_duration_seconds_bucket"
    bounds = {"0.1": 0, "0.2": up_to_200ms, "0.5": all_, "+Inf": all_}
    return {f'{name}{{operation="products",le="{bound}"}}': f"0+{rate}x60" for bound, rate in bounds.items()}


def share(alert: str, part: str, whole: str, at: str, fires: dict[float, bool]) -> list[Case]:
    return [Case(alert, {part: f"{value}x60", whole: "100x60"}, at, expected) for value, expected in fires.items()]


USED, MOST = 'aclue_db_pool_connections{state="used"}', "aclue_db_pool_max_connections"
CONNECTIONS, MAX_CONNECTIONS = "aclue_postgres_connections", "aclue_postgres_max_connections"
FREE, SIZE = "aclue_disk_free_bytes", "aclue_disk_size_bytes"
BACKUP = 'aclue_backup_last_success_timestamp_seconds{kind="%s"}'
ARCHIVED, UNARCHIVED = "aclue_wal_last_archived_timestamp_seconds", "aclue_wal_unarchived_bytes"

CASES = [
    *steady("AclueDown", 'up{job="aclue",instance="a"}', {1: False, 0: True}),
    Case("AclueDown", {'up{job="aclue",instance="a"}': "1x9 0"}, "10m", fires=False),  # not for a minute yet
    *steady("AclueDatabaseDown", "aclue_database_up", {1: False, 0: True}),
    # 1 % of 200, below, above; and above with fewer than a hundred requests
    Case("AclueErrors", requests(2, 198, 60), "30m", fires=False),
    Case("AclueErrors", requests(1, 199, 60), "30m", fires=False),
    Case("AclueErrors", requests(3, 197, 60), "30m", fires=True),
    Case("AclueErrors", requests(1, 10, 60), "30m", fires=False),
    Case("AclueErrors", requests(1, 19, 60), "30m", fires=True),
    # 14.4 times 0.1 %, below, above; and over at once, but not in the last five minutes
    Case("AclueErrorBudgetBurnsFast", requests(14.4, 985.6, 120), "100m", fires=False),
    Case("AclueErrorBudgetBurnsFast", requests(14, 986, 120), "100m", fires=False),
    Case("AclueErrorBudgetBurnsFast", requests(15, 985, 120), "100m", fires=True),
    Case("AclueErrorBudgetBurns", requests(6, 994, 120), "500m", fires=False, interval="5m"),
    Case("AclueErrorBudgetBurns", requests(5, 995, 120), "500m", fires=False, interval="5m"),
    Case("AclueErrorBudgetBurns", requests(7, 993, 120), "500m", fires=True, interval="5m"),
    Case("AclueErrorBudgetBurnsSlowly", requests(1, 999, 180), "4980m", fires=False, interval="30m"),
    Case("AclueErrorBudgetBurnsSlowly", requests(0.9, 999.1, 180), "4980m", fires=False, interval="30m"),
    Case("AclueErrorBudgetBurnsSlowly", requests(1.1, 998.9, 180), "4980m", fires=True, interval="30m"),
    Case("AclueSlow", operations(95, 100), "40m", fires=False),
    Case("AclueSlow", operations(96, 100), "40m", fires=False),
    Case("AclueSlow", operations(94, 100), "40m", fires=True),
    *share("AclueConnections", CONNECTIONS, MAX_CONNECTIONS, "5m", {59: False, 60: False, 61: True}),
    *share("AclueConnectionsExhausted", CONNECTIONS, MAX_CONNECTIONS, "5m", {79: False, 80: False, 81: True}),
    *share("AcluePoolBusy", USED, MOST, "5m", {69: False, 70: False, 71: True}),
    *share("AcluePoolExhausted", USED, MOST, "5m", {89: False, 90: False, 91: True}),
    Case("AclueStatementsSlow", statements(99, 100, 100), "30m", fires=False),
    Case("AclueStatementsSlow", statements(100, 100, 100), "30m", fires=False),
    Case("AclueStatementsSlow", statements(98, 100, 100), "30m", fires=True),
    Case("AclueStatementsTooSlow", statements(0, 99, 100), "30m", fires=False),
    Case("AclueStatementsTooSlow", statements(0, 100, 100), "30m", fires=False),
    Case("AclueStatementsTooSlow", statements(0, 98, 100), "30m", fires=True),
    Case("AclueRowsRefused", {'aclue_db_errors_total{sqlstate="42501"}': "7x60"}, "30m", fires=False),
    Case("AclueRowsRefused", {'aclue_db_errors_total{sqlstate="42501"}': "7x28 8x30"}, "30m", fires=True),
    *share("AclueDiskFull", FREE, SIZE, "5m", {16: False, 15: False, 14: True}),
    *steady("AclueBackupFailed", "aclue_backup_last_failed", {0: False, 1: True}),
    *aged("AclueBackupOld", BACKUP % "incremental", {25 * 3600: False, 26 * 3600: False, 26 * 3600 + 1: True}),
    *aged("AclueFullBackupOld", BACKUP % "full", {7 * DAY: False, 8 * DAY: False, 8 * DAY + 1: True}),
    Case("AclueNoBackup", {"aclue_database_up": "1x400"}, "23h", fires=False, interval="5m"),
    Case("AclueNoBackup", {"aclue_database_up": "1x400"}, "25h", fires=True, interval="5m"),
    Case("AclueNoBackup", {"aclue_database_up": "1x400", BACKUP % "full": "5x400"}, "25h", fires=False, interval="5m"),
    *aged("AclueWalNotArchived", ARCHIVED, {599: False, 600: False, 601: True}, **{UNARCHIVED: "16385x250"}),
    *aged("AclueWalNotArchived", ARCHIVED, {DAY: False}, **{UNARCHIVED: "16384x250"}),  # nothing was written
    *steady("AclueReplicationLag", 'aclue_replication_lag_seconds{standby="b"}', {29: False, 30: False, 31: True}),
    Case("AclueJobFailed", {'aclue_job_runs_total{job="a",outcome="failed"}': "3x60"}, "30m", fires=False),
    Case("AclueJobFailed", {'aclue_job_runs_total{job="a",outcome="failed"}': "3x25 4x30"}, "30m", fires=True),
    *steady("AclueJobsHeld", "aclue_jobs_failed", {0: False, 1: True}, at="20m"),
    *steady("AclueJobsWait", "aclue_jobs_oldest_due_seconds", {599: False, 600: False, 601: True}),
    *steady("AclueMailsWait", "aclue_mails_oldest_due_seconds", {899: False, 900: False, 901: True}),
    *aged(
        "AclueModelOld",
        "aclue_model_created_timestamp_seconds",
        {DAY: False, 2 * DAY: False, 2 * DAY + 1: True},
        aclue_swipes_total="0+1x250",
    ),
    *aged("AclueModelOld", "aclue_model_created_timestamp_seconds", {9 * DAY: False}, aclue_swipes_total="5x250"),
]


def rules() -> list[dict[str, str]]:
    """The alerts, with the values of their members on one line."""
    found = []
    for block in re.split(r"^      - ", RULES.read_text(), flags=re.MULTILINE)[1:]:
        members = dict(re.findall(r"^\s*(\w+): *(.*)$", block, flags=re.MULTILINE))
        if "alert" in members:
            found.append(members)
    return found


@needs_promtool
@pytest.mark.parametrize("interval", sorted({case.interval for case in CASES}))
def test_alerts_fire_above_their_thresholds_only(interval: str, tmp_path: Path) -> None:
    """promtool compares everything about an alert, so the rule decides what it says; here it matters whether it
    fires."""
    tests = [case.test for case in CASES if case.interval == interval]
    file = tmp_path / "test.yml"
    # JSON is YAML, too.
    file.write_bytes(msgspec.json.encode({"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}))
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_are_valid() -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_cases_on_both_sides() -> None:
    names = {rule["alert"] for rule in rules()}
    assert len(names) > 20
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if not case.fires} == names


def test_every_alert_has_a_section_of_the_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules():
        page, _, anchor = rule["runbook"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor == rule["alert"].lower()
        assert anchor in anchors
