"""Checkouts that are measured side by side: each in a process with its own code, virtual environment and database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Checkout:
    """Runs `script --serve folder` in the environment of the checkout at `folder`. It says "> ready", and answers each
    line of JSON on stdin with one after "> "; other lines are ignored. `home`: of its database (BENCH_HOME)."""

    def __init__(self, name: str, script: str, folder: Path, home: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [str(folder / ".venv/bin/python"), script, "--serve", str(folder)],
            cwd=folder, env={**os.environ, "BENCH_HOME": str(home), "PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def ask(self, *question: Any) -> Any:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("> "):
                return line[2:].strip()
        sys.exit(f"the checkout {self.name} ended early; see the lines above")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
