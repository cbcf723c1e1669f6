"""The clients of examples/, built from schema.graphql as a front end would build them, against a real server."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HANGS, ROOT, Service, aclue, demo_folder, served

EXAMPLES = ROOT / "examples"
MANIFEST = EXAMPLES / "src" / "generated" / "persisted-documents.json"
CLIENTS = ("apollo", "urql", "graphql-request", "graphql-ws", "client-preset")
LISTENERS = ("apollo", "urql", "graphql-ws")  # those that can open a WebSocket
# Seconds: the clients live to see their tokens expire, and sockets that they do not use closed.
SOON = {"ACCESS_TOKEN_LIFETIME": "4", "STREAM_IDLE_TIMEOUT": "1"}

pytestmark = pytest.mark.usefixtures("examples")


def run(*command: str) -> str:
    """What a program of the folder prints."""
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=5 * HANGS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The folder with its packages installed and its code generated and compiled; by one worker at a time."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js and npm must be here: the clients of examples/ need them")
        pytest.skip("Node.js and npm are not here: the clients of examples/ were not run")
    with (tmp_path_factory.getbasetemp().parent / "examples.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_older(EXAMPLES / "node_modules" / ".package-lock.json", [EXAMPLES / "package-lock.json"]):
            run("npm", "ci")
        written = [path for path in (EXAMPLES / "src").rglob("*.ts") if MANIFEST.parent not in path.parents]
        settings = [EXAMPLES / name for name in ("package-lock.json", "package.json", "codegen.ts", "tsconfig.json")]
        # Built once, not per worker: another one may be running the result.
        if is_older(EXAMPLES / "build" / "main.js", [*written, *settings, ROOT / "schema.graphql"]):
            run("npm", "run", "build")


def is_older(made: Path, sources: list[Path]) -> bool:
    """Whether this file has to be rebuilt."""
    return not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources)


@pytest.fixture(scope="module")
def soon_expiring() -> Iterator[Service]:
    """A server whose access tokens last for seconds."""
    with demo_folder() as folder, served(folder, **SOON) as running:
        yield running


def told(client: str, service: Service) -> dict[str, Any]:
    """What a client says came of its story."""
    result: dict[str, Any] = json.loads(run("node", "build/main.js", client, f"{service.url}/graphql"))
    return result


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_pages_swipes_is_refused_and_outlives_its_token(client: str, soon_expiring: Service) -> None:
    story = told(client, soon_expiring)
    assert story["products"] == story["totalCount"] == 455
    assert story["pages"] == 5
    assert story["swipedIsFirst"] is True
    assert story["userErrors"] == [{"code": "NOT_FOUND", "field": ["productId"]}]
    assert story["refreshes"] == 1
    assert story["totalSwipes"] == 2
    assert story.get("isTold", False) is (client in LISTENERS)
    assert story["lostSockets"] == 0


def test_the_manifest_that_codegen_writes_is_all_that_the_client_preset_needs() -> None:
    only = {"TRUSTED_DOCUMENTS": str(MANIFEST), "TRUSTED_DOCUMENTS_MODE": "only"}
    with demo_folder() as folder, served(folder, **SOON, **only) as service:
        assert told("client-preset", service)["totalSwipes"] == 2


def test_the_manifest_that_codegen_writes_is_in_order(tmp_path: Path) -> None:
    checked = aclue(tmp_path, "documents", "check", str(MANIFEST), "--json")
    assert checked.returncode == 0, checked.stderr
    assert {report["name"] for report in json.loads(checked.stdout)} >= {"Products", "RecordSwipe"}
