"""Load shedding, with simulated time: a server that answers so many requests a second, in their order."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack

import pytest

from domain.errors import Overloaded
from services.admission import BURST_FACTOR, BURST_SECONDS, MAX_RETRY_SECONDS, RESERVE, Admission

CONNECTIONS = 10
LATENCY = 0.3
CAPACITY = 200  # a second


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """`waits`: how long each admitted request took, with when it came; `refused`: how many were not admitted."""

    def __init__(self, latency: float = LATENCY, capacity: float = CAPACITY) -> None:
        self.clock = Clock()
        self.admission = Admission(CONNECTIONS, latency, self.clock)
        self.capacity = capacity
        self.waits: list[tuple[float, float]] = []
        self.refused: dict[str, int] = {}
        self.retries: set[int] = set()
        self._running: deque[tuple[float, ExitStack]] = deque()
        self._free_at = self.clock.now

    def ask(self, address: str) -> bool:
        stack = ExitStack()
        try:
            stack.enter_context(self.admission.held(address))
        except Overloaded as error:
            self.retries.add(error.retry_after)
            self.refused[address] = self.refused.get(address, 0) + 1
            return False
        self._free_at = max(self._free_at, self.clock.now) + 1 / self.capacity
        self._running.append((self._free_at, stack))
        self.waits.append((self.clock.now, self._free_at - self.clock.now))
        return True

    def go_on(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self._running and self._running[0][0] <= until:
            ends, stack = self._running.popleft()
            self.clock.now = max(ends, self.clock.now)
            stack.close()
        self.clock.now = until

    def load(self, rate: float, seconds: float, addresses: tuple[str, ...] = ()) -> None:
        """Requests at this rate, from a network each or from these in turn."""
        for number in range(int(rate * seconds)):
            self.ask(addresses[number % len(addresses)] if addresses else f"10.0.{number >> 8 & 255}.{number & 255}")
            self.go_on(1 / rate)

    def longest_since(self, moment: float) -> float:
        return max(wait for came, wait in self.waits if came >= moment)


def test_three_times_the_capacity_is_refused_but_for_what_can_be_answered_in_time() -> None:
    server = Server()
    server.load(CAPACITY * 0.8, 5)
    assert server.refused == {}
    started, answered = server.clock.now, len(server.waits)
    server.load(CAPACITY * 3, 20)
    assert server.longest_since(started + 2) <= LATENCY * 1.2
    assert len(server.waits) - answered == pytest.approx(CAPACITY * 20, rel=0.05), "it works as much as it can"
    assert server.retries == set(range(1, MAX_RETRY_SECONDS + 1)), "they do not all come back at once"
    server.go_on(1)
    before = dict(server.refused)
    server.load(CAPACITY * 0.8, 5)
    assert server.refused == before


def test_a_cold_server_learns_within_a_second_what_it_can_do() -> None:
    server = Server()
    server.load(CAPACITY * 3, 10)
    assert server.longest_since(1001) <= LATENCY * 1.2


def test_a_short_burst_is_taken_in() -> None:
    server = Server()
    assert all(server.ask(f"10.0.0.{number}") for number in range(BURST_FACTOR * CONNECTIONS))
    assert not server.ask("10.0.1.1")


def test_requests_for_which_there_are_connections_are_never_refused() -> None:
    server = Server(capacity=1)
    server.load(100, BURST_SECONDS * 2)
    assert server.refused
    server.go_on(1000)
    for _ in range(3):
        assert all(server.ask(f"10.0.0.{number}") for number in range(CONNECTIONS))
        server.go_on(60)


def test_without_a_latency_nothing_is_refused() -> None:
    server = Server(latency=0)
    server.load(CAPACITY * 5, 5)
    assert server.refused == {}


def test_a_network_that_floods_the_server_leaves_room_for_others() -> None:
    server = Server()
    server.load(CAPACITY * 3, 5, ("192.0.2.1",))
    assert server.refused["192.0.2.1"]
    for number in range(50):
        server.load(CAPACITY * 3, 0.1, ("192.0.2.1",))
        assert server.ask(f"198.51.100.{number}")
    assert server.admission.running <= server.admission.limit * RESERVE


def test_a_site_leaves_room_for_others_from_however_many_households_it_asks() -> None:
    server = Server()
    households = tuple(f"2001:db8:1:{number:x}::1" for number in range(400))
    server.load(CAPACITY * 3, 5, households)
    for number in range(50):
        server.load(CAPACITY * 3, 0.1, households)
        assert server.ask(f"2001:db8:{number + 2:x}::1")
        assert server.ask(f"198.51.100.{number}")


def test_what_failed_is_not_in_progress_any_more() -> None:
    admission = Admission(CONNECTIONS, LATENCY)
    with pytest.raises(ValueError, match="fails"), admission.held("192.0.2.1"):
        raise ValueError("fails")
    assert admission.running == 0
