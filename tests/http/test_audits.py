"""The audits of npm's graphql-http against a real server: what MUST, SHOULD and MAY be, as the draft of GraphQL over
HTTP says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import HANGS, Service

AUDITS = Path(__file__).parent / "audits"


@pytest.fixture(scope="module")
def audits() -> Path:
    """The folder with its packages installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js and npm must be here: graphql-http's audits need them")
        pytest.skip("Node.js and npm are not here: graphql-http's audits were not run")
    installed = AUDITS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (AUDITS / "package-lock.json").stat().st_mtime:
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(install, cwd=AUDITS, capture_output=True, text=True, timeout=5 * HANGS, check=False)
        assert done.returncode == 0, done.stderr
    return AUDITS


def test_all_audits_pass(audits: Path, service: Service) -> None:
    run = ["node", "audit.mjs", f"{service.url}/graphql"]
    done = subprocess.run(run, cwd=audits, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) >= 60
    assert {result["name"]: result["reason"] for result in results if result["status"] != "ok"} == {}
