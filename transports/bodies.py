"""Bounds the memory for request bodies that are still being received."""

from __future__ import annotations

from collections import Counter

from domain.errors import Overloaded
from domain.networks import networks

SHARES = 4  # a network may hold at most 1/SHARES of the limit


class Bodies:
    """Counts the bytes of all bodies that this process is receiving: at most `limit`. A network (an IPv6 /48, an IPv4
    address) may hold a share of them, but always one body of maximum size."""

    def __init__(self, limit: int, max_body_bytes: int) -> None:
        self._limit = max(limit, max_body_bytes)
        self._network_limit = max(limit // SHARES, max_body_bytes)
        self._held: Counter[str] = Counter()
        self.total = 0

    def add(self, network: str, size: int) -> None:
        """Raises Overloaded where there is no room."""
        if self.total + size > self._limit or self._held[network] + size > self._network_limit:
            raise Overloaded("Too many requests are being received: try again shortly.")
        self._held[network] += size
        self.total += size

    def remove(self, network: str, size: int) -> None:
        self.total -= size
        self._held[network] -= size
        if not self._held[network]:
            del self._held[network]


class Reservation:
    """The bytes that one body holds."""

    __slots__ = ("_bodies", "_network", "_size")

    def __init__(self, bodies: Bodies, address: str) -> None:
        self._bodies = bodies
        self._network = networks(address)[-1].name
        self._size = 0

    def grow(self, size: int) -> None:
        """Grows to this size; never shrinks. Raises Overloaded."""
        if size > self._size:
            self._bodies.add(self._network, size - self._size)
            self._size = size

    def release(self) -> None:
        self._bodies.remove(self._network, self._size)
        self._size = 0
