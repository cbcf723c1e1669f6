"""Requests per second and latencies of the API as it is served, over loopback, on the demo catalogue.

    make bench                       5 seconds per operation, 16 connections
    make bench SECONDS=10 CONNECTIONS=64

Starts `aclue serve` on a data folder of its own, warms each operation up, then runs the operations in interleaved
rounds and prints the median of the rounds. It measures this server alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3

ME = "{ me { id isAnonymous displayName createdAt } }"
LIST = "{ products(first: 20) { nodes { id name price { amount currencyCode } brand { name } category { name } } } }"
FEED = "{ recommendations(first: 20) { nodes { id score reasons { text weight } product { id name } } } }"
SWIPE = """
mutation ($input: SwipeInput!) {
  recordSwipe(input: $input) { swipe { id } preferences { totalSwipes } userErrors { code } }
}
"""


def post(port: int, query: str, variables: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})},
    )
    with urllib.request.urlopen(request) as response:
        body: dict[str, Any] = json.load(response)
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


async def one_connection(port: int, until: float, make: Callable[[], bytes], latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        started = time.perf_counter()
        writer.write(make())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        assert b'"errors":' not in body, body[:500]
        latencies.append(time.perf_counter() - started)
    writer.close()


async def measure(port: int, connections: int, seconds: float, make: Callable[[], bytes]) -> tuple[float, list[float]]:
    """(requests per second, latencies in seconds)."""
    latencies: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(one_connection(port, started + seconds, make, latencies) for _ in range(connections)))
    return len(latencies) / (time.perf_counter() - started), latencies


def http(query: str, token: str, variables: dict[str, Any] | None = None) -> bytes:
    body = json.dumps({"query": query, "variables": variables}).encode()
    return (
        b"POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nauthorization: Bearer "
        + token.encode()
        + f"\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def operations(port: int) -> dict[str, Callable[[], bytes]]:
    token = post(port, "mutation { startSession(input: {}) { accessToken } }")["startSession"]["accessToken"]
    product = post(port, "{ products(first: 1) { nodes { id } } }")["products"]["nodes"][0]["id"]

    def swipe() -> bytes:
        new = {"productId": product, "direction": "RIGHT", "clientSwipeId": uuid.uuid4().hex}
        return http(SWIPE, token, {"input": new})

    fixed = {"me": http(ME, token), "20 products": http(LIST, token), "feed of 20": http(FEED, token)}
    return {**{name: (lambda text=text: text) for name, text in fixed.items()}, "recordSwipe, one person": swipe}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    seconds = float(os.environ.get("SECONDS", "5"))
    connections = int(os.environ.get("CONNECTIONS", "16"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as home:
        Path(home).chmod(0o755)
        environment = {**os.environ, "ACLUE_HOME": home, "PORT": str(port), "HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "cli", "serve"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            for line in server.stdout:
                if "Ctrl-C" in line:
                    break
            made = operations(port)
            for make in made.values():
                asyncio.run(measure(port, connections, 1, make))
            results: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in made}
            for _ in range(ROUNDS):
                for name, make in made.items():
                    results[name].append(asyncio.run(measure(port, connections, seconds / ROUNDS, make)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    print(f"{'operation':26}{'requests/s':>11}{'p50 ms':>9}{'p95 ms':>9}   {connections} connections")
    for name, rounds in results.items():
        every = sorted(latency for _, latencies in rounds for latency in latencies)
        rate = statistics.median(rate for rate, _ in rounds)
        p50, p95 = every[len(every) // 2] * 1000, every[int(len(every) * 0.95)] * 1000
        print(f"{name:26}{rate:11.0f}{p50:9.1f}{p95:9.1f}")


if __name__ == "__main__":
    main()
