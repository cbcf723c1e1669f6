"""The servers under comparison, started on one database with one secret, one pool size and one worker each."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from bench.database import ROOT, Prepared
from bench.questions import ACLUE, PLAIN, POSTGRAPHILE

POOL_SIZE = int(os.environ.get("POOL_SIZE", "20"))
POSTGRAPHILE_FOLDER = ROOT / "bench" / "postgraphile"
ISSUER, AUDIENCE = "aclue", "authenticated"
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that answers on this port."""

    name: str
    port: int
    pid: int

    def ask(self, document: str, variables: dict[str, Any], token: str) -> Any:
        """The data of one answer. Raises RuntimeError where it has errors."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": document, "variables": variables}).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body = json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{self.name}: {error.code} {error.read()[:1000]!r}") from None
        if body.get("errors"):
            raise RuntimeError(f"{self.name}: {body['errors']}")
        return body["data"]


def libpq(dsn: str) -> dict[str, str]:
    """The environment by which libpq and its like log in."""
    parts = urlsplit(dsn)
    return {
        "PGHOST": parse_qs(parts.query)["host"][0],
        "PGUSER": parts.username or "",
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }


@contextmanager
def started(
    name: str, command: list[str], environment: dict[str, str], folder: Path = ROOT, log: Path | None = None
) -> Iterator[Peer]:
    """A server of its own process group, until the end of the block. What it logs goes to this process's stderr, or
    into the file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.replace("{port}", str(port)) for part in command]
    environment = {**os.environ, **environment, "PORT": str(port), "PYTHONPATH": str(ROOT)}
    with log.open("w") if log else nullcontext() as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} did not start; see {log or 'the lines above'}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Peer(name, port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def aclue(prepared: Prepared, public_cache_bytes: int = 0) -> Any:
    """This server, as `aclue serve` starts it in production, without explored places: the peers draw none at random.
    Nor do they cache answers."""
    environment = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": prepared.dsns.api,
        "MIGRATION_DATABASE_URL": "",
        "DATABASE_POOL_SIZE": str(POOL_SIZE),
        "DATABASE_MAX_OVERFLOW": "0",
        "JWT_SECRET": prepared.secret,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "HOST": "127.0.0.1",
        "WORKERS": "1",
        "RATE_LIMIT_COST": str(10**9),
        "RATE_LIMIT_ADDRESS_COST": str(10**9),
        "SHED_LATENCY": "0",  # each connection asks again at once, however long the answer took; no peer refuses any
        "STORAGE_LIMIT_ACCOUNT": str(10**12),
        "STORAGE_LIMIT_NETWORK": str(10**12),
        "STORAGE_LIMIT_ANONYMOUS": str(10**12),
        "JOBS": "off",  # they would fall into some window or other, of any server
        "EXPLORATION": "off",
        "PUBLIC_CACHE_BYTES": str(public_cache_bytes),
        "START_SESSION_ATTEMPTS": "1000000",
        "SIGN_IN_ATTEMPTS": "1000000",
    }
    return started(ACLUE, [sys.executable, "-m", "cli", "serve"], environment, log=_log(prepared))


def _log(prepared: Prepared) -> Path:
    return prepared.home / "aclue.log"


def plan_share(prepared: Prepared) -> float | None:
    """The share of its requests that this server, now stopped, answered by compiled plans, as it said at its end."""
    counts: Counter[str] = Counter()
    for line in _log(prepared).read_text().splitlines():
        if '"requests answered"' in line:
            counts += Counter({name: count for name, count in json.loads(line).items() if type(count) is int})
    return counts["planned"] / counts.total() if counts else None


def _token_settings(prepared: Prepared) -> dict[str, str]:
    return {
        "JWT_SECRET": prepared.secret,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "POOL_SIZE": str(POOL_SIZE),
    }


def postgraphile(prepared: Prepared) -> Any:
    """PostGraphile from npm, installed at first use."""
    environment = {
        **_token_settings(prepared),
        **libpq(prepared.dsns.api),
        "NODE_ENV": "production",
        "SCHEMAS": "public,bench",
    }
    return started(POSTGRAPHILE, [node(), "server.mjs"], environment, POSTGRAPHILE_FOLDER)


def node() -> str:
    """Node.js 22 or newer: the one of the lock file where it has one for this machine, else that of PATH."""
    lock, installed = POSTGRAPHILE_FOLDER / "package-lock.json", POSTGRAPHILE_FOLDER / "node_modules"
    marker = installed / ".package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        if not shutil.which("npm"):
            sys.exit("PostGraphile needs npm; PEERS=aclue,plain_strawberry goes without it")
        print("Installing PostGraphile with npm ...", flush=True)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=POSTGRAPHILE_FOLDER, check=True)
        marker.touch()
    for found in (*map(str, installed.glob("node-*/bin/node")), shutil.which("node") or ""):
        if found:
            version = subprocess.run([found, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
            if (number := re.match(r"v(\d+)", version)) and int(number[1]) >= 22:
                return found
    sys.exit("PostGraphile 5.1 needs Node.js 22 or newer")


def plain_strawberry(prepared: Prepared) -> Any:
    """bench/plain_strawberry.py under uvicorn."""
    environment = {**_token_settings(prepared), "DATABASE_URL": prepared.dsns.api}
    command = [sys.executable, "-m", "uvicorn", "bench.plain_strawberry:app", "--port", "{port}"]
    return started(PLAIN, [*command, "--no-access-log", "--log-level", "warning"], environment)


SERVERS = {ACLUE: aclue, POSTGRAPHILE: postgraphile, PLAIN: plain_strawberry}


@contextmanager
def all_of(names: list[str], prepared: Prepared) -> Iterator[dict[str, Peer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(SERVERS[name](prepared)) for name in names}


def versions(names: list[str]) -> dict[str, str]:
    """Of what is compared."""
    from importlib.metadata import version

    found = {name: version(name) for name in ("strawberry-graphql", "asyncpg", "uvicorn", "uvloop", "starlette")}
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    if POSTGRAPHILE in names:
        for package in ("postgraphile", "grafast", "pg"):
            read = json.loads((POSTGRAPHILE_FOLDER / "node_modules" / package / "package.json").read_text())
            found[package] = read["version"]
        found["node"] = (
            subprocess.run([node(), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout[1:].strip()
        )
    return found
