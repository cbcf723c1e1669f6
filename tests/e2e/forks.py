"""Starts `aclue` as forks of one process that has imported it: importing takes longer than most commands.

A fork is a process like any other: it has its own arguments, environment, folder and files, ends by itself, and its
exit code is the one that the interpreter gives it. What happens while modules are imported is tested by those that
start an interpreter (`program()` and `served(..., is_forked=False)` of tests/e2e/conftest.py).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec
import typer

ROOT = Path(__file__).resolve().parents[2]
MAX_REQUEST_BYTES = 100_000


class Request(msgspec.Struct):
    arguments: list[str]
    environment: dict[str, str]
    folder: str


class Fork:
    """A running command; what tests need of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], reply: socket.socket) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._reply = reply
        self.pid = int(self._read())

    def _read(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            part = self._reply.recv(64)
            if not part:
                raise RuntimeError("the process that forks has ended")
            line += part
        return line.decode()

    def poll(self) -> int | None:
        return self._result(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the signal that ended it. Raises subprocess.TimeoutExpired."""
        result = self._result(timeout)
        if result is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return result

    def _result(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._reply], [], [], timeout)[0]:
            self.returncode = int(self._read())
            self._reply.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ends just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, which ends with this one."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._requests, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forks", str(theirs.fileno())],
                cwd=ROOT,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(
        self, arguments: list[str], *, environment: dict[str, str], folder: Path, stdout: BinaryIO, stderr: BinaryIO
    ) -> Fork:
        """Starts `aclue` with these arguments; nothing can be read from its standard input."""
        request = msgspec.json.encode(Request(arguments, environment, str(folder)))
        ours, theirs = socket.socketpair()
        # One at a time: the answer says that the request was read, so that two requests cannot be read as one.
        with theirs, self._lock:
            socket.send_fds(self._requests, [request], [theirs.fileno(), stdout.fileno(), stderr.fileno()])
            return Fork(arguments, ours)

    def close(self) -> None:
        self._requests.close()
        self._process.wait()


def run(
    forks: Forks, arguments: list[str], *, environment: dict[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """A command, to its end. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        fork = forks.start(arguments, environment=environment, folder=folder, stdout=stdout, stderr=stderr)
        try:
            fork.wait(seconds)
        except subprocess.TimeoutExpired:
            fork.kill()
            fork.wait()
            raise
        assert fork.returncode is not None
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(arguments, fork.returncode, stdout.read().decode(), stderr.read().decode())


def _next(requests: socket.socket) -> tuple[Request, list[int]] | None:
    message, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 3)
    return (msgspec.json.decode(message, type=Request), files) if message else None


def _supervise(reply: socket.socket) -> None:
    """Returns in a new process; the present one says when that has ended."""
    pid = os.fork()
    if pid == 0:
        reply.close()
        return
    with contextlib.suppress(OSError):  # nobody is waiting any more
        reply.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        reply.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: Request, stdout: int, stderr: int) -> None:
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    tempfile.tempdir = None
    sys.argv = [str(ROOT / "cli.py"), *request.arguments]


def _fork_for(requests: socket.socket) -> None:
    """Returns in a new process for each request, and once more at their end, in the process itself, with an exit."""
    while received := _next(requests):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        request, (reply, stdout, stderr) = received
        if os.fork():
            for descriptor in (reply, stdout, stderr):
                os.close(descriptor)
            continue
        requests.close()
        _supervise(socket.socket(fileno=reply))
        _become(request, stdout, stderr)
        return
    sys.exit()


def _exit(code: int) -> NoReturn:
    """Ends the process without taking all modules apart, which takes as long as many a command."""
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _main() -> None:
    import cli
    import server  # noqa: F401  which `serve` imports

    command = typer.main.get_command(cli.app)
    assert threading.active_count() == 1, "a fork has only one of the threads"
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _fork_for(given)
    try:
        command(prog_name="cli.py")
    except SystemExit as end:
        if isinstance(end.code, int):
            _exit(end.code)
        raise


if __name__ == "__main__":
    _main()
