"""A short form of bench/day.py: a day's requests are answered without an error, and a flood of them is shed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.long

SECONDS = 600
OPTIONS = "--people 400 --products 500 --at 20 --warm 3 --hold 6 --overload 6 --times 25 --trial 3 --gate 0"


def test_a_days_requests_are_answered_and_a_flood_of_them_is_shed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "bench/day.py", *OPTIONS.split()],
        cwd=ROOT,
        # Few people ask as much as many: their own limits would be reached.
        env={**os.environ, "DAY_HOME": str(tmp_path / "day"), "RATE_LIMIT_COST": str(10**9)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    lines = re.findall(
        r"^(\w+)(?: it)? +[\d.]+/s: answered +([\d.]+)/s.* overloaded (\d+).* errors (\d+)", done.stdout, re.M
    )
    seen = {name: (float(answered), int(overloaded), int(errors)) for name, answered, overloaded, errors in lines}
    assert set(seen) == {"held", "overload", "after"}, done.stdout + done.stderr
    assert all(errors == 0 for _, _, errors in seen.values()), done.stdout
    assert seen["held"][0] > 10, done.stdout
    assert seen["overload"][1] > 0, done.stdout
    assert "400 people with 30 to 300 signals" in done.stdout
    kinds = set(re.findall(r"^  (\w+) +\d+ p50", done.stdout, re.M))
    assert kinds >= {"click", "feed", "page", "rest", "swipe"}
