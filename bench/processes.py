"""Server processes, and what processes cost: CPU time and memory, from /proc (Linux)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Server:
    """`aclue serve`."""

    pid: int
    port: int


@contextlib.contextmanager
def served(home: Path, database_url: str, owner_url: str, **variables: str) -> Iterator[Server]:
    """A server process on a free port, from when it accepts requests."""
    port = free_port()
    given = {"ACLUE_HOME": str(home), "DATABASE_URL": database_url, "MIGRATION_DATABASE_URL": owner_url}
    given |= {"SHED_LATENCY": "0"} | variables  # all requests are to be answered
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "serve"],
        env={**os.environ, **given, "PORT": str(port)},
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        while b"Ctrl-C" not in server.stdout.readline():
            assert server.poll() is None, "the server ended"
        yield Server(server.pid, port)
    finally:
        server.terminate()
        server.wait(30)


def tree(root: int) -> list[int]:
    """The process and all below it."""
    found = [root]
    for pid in found:
        try:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        except OSError:
            continue  # it ended meanwhile
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time of these processes and all below them so far, those below that ended included."""
    ticks = 0
    for root in roots:
        for pid in tree(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))  # utime, stime, and of children that were waited for
    return ticks / _TICKS


def machine_cpu_seconds() -> float:
    """CPU time of everything on this machine since it was started."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / _TICKS  # all but idle and waiting for a disk


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB: resident, a fair share of what is shared (pss), and private alone (uss)."""

    rss: float
    pss: float
    uss: float


def memory(root: int) -> Memory:
    """Of a process and all below it."""
    sums = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return Memory(sums["Rss"] / 1024, sums["Pss"] / 1024, (sums["Private_Clean"] + sums["Private_Dirty"]) / 1024)


def private_memory(root: int) -> float:
    """MB that the process and all below it have for themselves, Postgres left out."""
    total = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if Path(f"/proc/{pid}/comm").read_text().strip() != "postgres":
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total / 1024
