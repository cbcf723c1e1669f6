"""Four networks that take all the places there are, for nothing, do not shut out the others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import HANGS, Service, demo_folder, served

PLACES, NETWORKS = 32, 4
BODIES = 16  # as large as they say they are, these are all that the process receives at a time
HEAD = b"POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: "
LIVEZ = b"GET /livez HTTP/1.1\r\nhost: shop\r\n\r\n"
UNFINISHED = HEAD + b"1000000\r\n\r\n{"
BODY = b'{"query": "{ __typename }"}'


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    limits = {"MAX_CONNECTIONS": str(PLACES), "MAX_BODIES_BYTES": str(BODIES * 1_000_000)}
    with demo_folder() as home, served(home, **limits) as found:
        yield found


def connected(service: Service, address: str, sent: bytes) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", service.port), HANGS, source_address=(address, 0))
    found.sendall(sent)
    return found


def first_line(connection: socket.socket) -> bytes:
    return connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP", LIVEZ, LIVEZ + b"GET / HTTP", UNFINISHED],
    ids=["nothing", "a head begun", "idle", "a second head begun", "a body begun"],
)
def test_what_is_held_for_nothing_shuts_nobody_out(service: Service, sent: bytes) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(PLACES // NETWORKS):
            for network in range(NETWORKS):
                opened.enter_context(connected(service, f"127.0.2.{network + 1}", sent))
        for number in range(NETWORKS):
            stranger = opened.enter_context(connected(service, f"127.0.3.{number + 1}", LIVEZ))
            assert first_line(stranger) == b"HTTP/1.1 200 OK"


def test_bodies_that_never_come_leave_room_for_others(service: Service) -> None:
    with contextlib.ExitStack() as opened:
        for network in range(NETWORKS):
            for _ in range(BODIES // NETWORKS):
                opened.enter_context(connected(service, f"127.0.2.{network + 1}", UNFINISHED))
        stranger = opened.enter_context(connected(service, "127.0.3.1", HEAD + b"%d\r\n\r\n" % len(BODY) + BODY[:9]))
        other = opened.enter_context(connected(service, "127.0.3.1", LIVEZ))
        assert first_line(other) == b"HTTP/1.1 200 OK"  # by now all of this has been read
        stranger.sendall(BODY[9:])
        assert first_line(stranger) == b"HTTP/1.1 200 OK"
