"""What counting for /metrics costs: CPU time of a request in this checkout and, interleaved, in another one.

    .venv/bin/python bench/metrics.py                this checkout
    .venv/bin/python bench/metrics.py ../before      beside another one, which has a .venv of its own; fails over 3 %
    ROUNDS=200 REQUESTS=100 .venv/bin/python bench/metrics.py ../before

A page of products by a compiled plan, on one connection, in the process that measures: no HTTP server and no client add
to it, so a share of the whole is smaller still. CPU time is that of the process; other work on the machine changes it
less than the time that passes. Rounds take turns, and medians are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("ROUNDS") or 60)
REQUESTS = int(os.environ.get("REQUESTS") or 100)
MAX_SHARE = 0.03

MEASURE = """
import asyncio, json, sys, time
sys.path.insert(0, "")
from pathlib import Path
from db import secrets
from db.embedded import running_dsns
from server import create_app, tune_gc
import settings as settings_module

QUERY = "{ products(first: 20) { nodes { id name price { amount currencyCode } brand { name } category { slug } } } }"
REQUESTS = int(sys.argv[2])
home = Path(sys.argv[1])


async def main() -> None:
    settings = settings_module.load({"ACLUE_HOME": str(home), "LOG_LEVEL": "error"})
    dsns = running_dsns(home, secrets.load_or_create(home))
    app = create_app(settings, dsns.api, "a secret of the benchmark, 32 bytes or more", background=())
    body = json.dumps({"query": QUERY}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    sent = []

    async def send(message):
        sent.append(message)

    async def ask():
        scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "scheme": "http"}
        waiting = [{"type": "http.request", "body": body}]

        async def receive():
            if waiting:
                return waiting.pop()
            await asyncio.sleep(3600)

        await app(scope, receive, send)

    async with app.router.lifespan_context(app):
        for _ in range(200):
            await ask()
        assert b'"errors"' not in sent[-1]["body"], sent[-1]
        tune_gc()
        sent.clear()
        print("ready", flush=True)
        for _ in sys.stdin:  # nothing else happens meanwhile
            started = time.process_time()
            for _ in range(REQUESTS):
                await ask()
                sent.clear()
            print((time.process_time() - started) / REQUESTS * 1e6, flush=True)


asyncio.run(main())
"""


class Measured:
    """The app of a checkout, in a process that measures when it is asked."""

    def __init__(self, checkout: Path, home: Path) -> None:
        self._process = subprocess.Popen(
            [checkout / ".venv/bin/python", "-c", MEASURE, str(home), str(REQUESTS)],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._until("ready")

    def _until(self, start: str = "") -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start) and not line.startswith("{"):
                return line
        sys.exit("the app ended")

    def measure(self) -> float:
        """Microseconds of CPU per request."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._until())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    checkouts = {"this checkout": ROOT}
    if sys.argv[1:]:
        checkouts["the other one"] = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(ROOT))
    from bench.processes import free_port

    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        environment = {**os.environ, "ACLUE_HOME": name, "PORT": str(free_port())}
        with subprocess.Popen(
            [ROOT / ".venv/bin/python", str(ROOT / "cli.py"), "serve"], env=environment, stdout=subprocess.PIPE
        ) as server:
            try:
                assert server.stdout is not None
                while b"Ctrl-C" not in server.stdout.readline():
                    assert server.poll() is None, "the server ended"
                apps = {each: Measured(checkout, home) for each, checkout in checkouts.items()}
                taken: dict[str, list[float]] = {each: [] for each in checkouts}
                for _ in range(ROUNDS):
                    for each, app in apps.items():
                        taken[each].append(app.measure())
                for app in apps.values():
                    app.close()
            finally:
                server.terminate()
    medians = {each: statistics.median(values) for each, values in taken.items()}
    for each, values in taken.items():
        print(f"{each:<14} {medians[each]:7.1f} us of CPU per request ({min(values):.1f} to {max(values):.1f})")
    if len(medians) == 2:
        this, other = medians.values()
        pairs = [one / two - 1 for one, two in zip(*taken.values(), strict=True)]
        share = statistics.median(pairs)
        print(f"more: {this - other:.1f} us, {share:.1%} (median of {ROUNDS} pairs)")
        sys.exit(share > MAX_SHARE)


if __name__ == "__main__":
    main()
