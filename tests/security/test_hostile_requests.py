"""Hostile requests (tests/security/hostile.py) against a real server: each is refused, none is our fault, none leaves
a trace, none keeps others waiting."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from tests.e2e.conftest import HANGS, Service
from tests.security.hostile import CASES, ask

MEMORY = 100_000  # kB that the server may grow by
WAIT = 1.0  # seconds that another client may wait
SMALL = ask("{ products(first: 1) { nodes { id } } }")
OUR_FAULT = ("INTERNAL_SERVER_ERROR", "TIMEOUT", "OVERLOADED")


async def answered(service: Service, request: bytes) -> tuple[int, bytes]:
    """(status, body). The server may answer before it has read everything."""
    async with asyncio.timeout(HANGS):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        answer = b""
        try:
            writer.write(request)
            while part := await reader.read(65536):
                answer += part
                head, _, body = answer.partition(b"\r\n\r\n")
                lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if lengths and len(body) >= int(lengths[0]):
                    break
        except ConnectionError:
            pass  # what was received counts
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("name", CASES)
async def test_it_is_refused(service: Service, name: str) -> None:
    logged = len(service.errors.read_text())
    status, body = await answered(service, CASES[name])
    if status == 200:
        assert msgspec.json.decode(body).get("errors"), body[:500]
    else:
        assert 400 <= status < 500, (status, body[:500])
    assert not any(code.encode() in body for code in OUR_FAULT), body[:500]
    assert "Traceback" not in service.errors.read_text()[logged:]


def test_there_are_enough() -> None:
    assert len(CASES) >= 200


def memory(service: Service) -> int:
    """Resident, in kB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


async def test_nobody_else_waits_and_memory_stays(service: Service) -> None:
    """Two clients send all of them while another asks for a product."""
    for request in CASES.values():
        await answered(service, request)
    before, logged = memory(service), len(service.errors.read_text())
    waits: list[float] = []
    is_over = asyncio.Event()

    async def ask_for_little() -> None:
        while not is_over.is_set():
            started = time.perf_counter()
            status, body = await answered(service, SMALL)
            waits.append(time.perf_counter() - started)
            assert status == 200, body[:500]
            await asyncio.sleep(0.01)

    async def send_all(offset: int) -> None:
        requests = list(CASES.values())
        for request in requests[offset:] + requests[:offset]:
            await answered(service, request)

    asking = asyncio.create_task(ask_for_little())
    await asyncio.gather(*(send_all(len(CASES) * part // 2) for part in range(2)))
    is_over.set()
    await asking
    assert len(waits) > 10
    assert max(waits) < WAIT
    assert memory(service) - before < MEMORY
    assert "Traceback" not in service.errors.read_text()[logged:]
