"""Another user of this machine, who is not root: what they can see, open and run."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, or run Postgres as one")

# Tries every socket of a Postgres on this machine, again and again, until it is told to end. Says which it saw, and
# which it could open.
_INTRUDER = """
import select, socket, sys
seen, opened = set(), set()
last = False
while not last:
    last = bool(select.select([sys.stdin], [], [], 0.001)[0])
    for line in open("/proc/net/unix"):
        path = line.rstrip("\\n").partition(" /")[2]
        if ".s.PGSQL." in path:
            seen.add("/" + path)
            try:
                with socket.socket(socket.AF_UNIX) as tried:
                    tried.connect("/" + path)
                opened.add("/" + path)
            except OSError:
                pass
print("\\n".join(["seen " + path for path in seen] + ["opened " + path for path in opened]))
"""


class Intruder:
    """Somebody else, who tries to get in from now on."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [their_python(), "-c", _INTRUDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={},
            **as_nobody(),
        )

    def give_up(self) -> tuple[set[Path], set[Path]]:
        """After a last try: the sockets of Postgres servers that they saw, and those that they could open."""
        said, _ = self._process.communicate("\n")
        found = [line.partition(" ") for line in said.splitlines()]
        seen, opened = ({Path(path) for what, _, path in found if what == word} for word in ("seen", "opened"))
        return seen, opened


def as_nobody() -> dict[str, Any]:
    """Options of subprocess, for a program that runs as nobody."""
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def their_python() -> str:
    """A Python that nobody, too, can run. Skips the test where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if program:
            with contextlib.suppress(PermissionError):
                subprocess.run([program, "-c", ""], check=True, **as_nobody())
                return program
    pytest.skip(f"other users cannot run {sys.executable}, and there is no {version} for everybody")


def their_environment(home: Path) -> dict[str, str]:
    """With what is installed here, and HOME. Skips the test where they cannot read this checkout."""
    packages = sysconfig.get_path("purelib")
    if subprocess.run(["test", "-r", f"{packages}/asyncpg/__init__.py"], check=False, **as_nobody()).returncode:
        pytest.skip(f"other users cannot read {packages}")
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": f"{ROOT}:{packages}"}
