"""Runs commands of `aclue` in processes of their own: what takes long, or much memory, must not hold up requests."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from settings import environment_with

MAX_ERROR_BYTES = 2000
_CLI = Path(__file__).parent.parent / "cli.py"


async def run(*arguments: str, **variables: str) -> tuple[int, str]:
    """Runs `aclue <arguments>` with these variables changed, to its end; it is terminated with this task. Returns the
    exit code, and the end of what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_CLI),
        *arguments,
        env=environment_with(**variables),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    return process.returncode or 0, errors[-MAX_ERROR_BYTES:].decode(errors="replace").strip()
