"""Bounds the memory for request bodies that are still being received."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from domain.errors import Overloaded
from domain.networks import networks

SHARES = 4  # no network holds more than one of so many parts
STEP_BYTES = 16_384  # reserved at a time


class Bodies:
    """The bytes of all bodies that this process is receiving, `limit` at most. A network (an IPv6 /48, an IPv4 address)
    has a part of them, though always room for one body.

    A body counts by what has arrived of it, in whole steps: what a client declares costs it nothing. Where room runs
    out, networks share it evenly: the oldest body of the network that holds the most gives way. Nobody needs to take
    long over a body, so the newcomer wins a tie.
    """

    def __init__(self, limit: int, max_body_bytes: int) -> None:
        one_body = _in_steps(max_body_bytes)
        self._limit = max(limit, one_body)
        self._network_limit = max(limit // SHARES, one_body)
        self._open: dict[Reservation, None] = {}  # those that hold something, the oldest first
        self._held: Counter[str] = Counter()
        self.total = 0

    @contextlib.contextmanager
    def receiving(self, address: str) -> Iterator[Reservation]:
        """Room for a body that the current task receives. Raises Overloaded if the body gave way to another: the task
        was cancelled for that."""
        reservation = Reservation(self, address)
        try:
            yield reservation
        except asyncio.CancelledError:
            if not reservation.is_displaced:
                raise
            reservation.task.uncancel()
            raise _overloaded() from None
        finally:
            self.release(reservation)

    def add(self, reservation: Reservation, size: int) -> None:
        """So much more for this body. Raises Overloaded where nothing gives way to it."""
        network = reservation.network
        while self._held[network] + size > self._network_limit:
            self._make_room(reservation, size, network)
        while self.total + size > self._limit:
            self._make_room(reservation, size)
        self._open[reservation] = None
        self._held[network] += size
        self.total += size
        reservation.size += size

    def release(self, reservation: Reservation) -> None:
        if reservation not in self._open:
            return  # it holds nothing, or nothing any more
        del self._open[reservation]
        self.total -= reservation.size
        self._held[reservation.network] -= reservation.size
        if not self._held[reservation.network]:
            del self._held[reservation.network]

    def _make_room(self, newcomer: Reservation, size: int, within: str | None = None) -> None:
        """Ends the oldest body of the network that holds the most, or of this network."""
        would_hold = self._held[newcomer.network] + size

        def share(other: Reservation) -> int:
            return would_hold if other.network == newcomer.network else self._held[other.network]

        others = (each for each in self._open if each is not newcomer and within in (None, each.network))
        largest = max(others, key=share, default=None)
        if largest is None or share(largest) < would_hold:
            raise _overloaded()
        self.release(largest)
        largest.displace()


class Reservation:
    """The bytes that one body holds."""

    __slots__ = ("_bodies", "is_displaced", "network", "size", "task")

    def __init__(self, bodies: Bodies, address: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self._bodies = bodies
        self.network = networks(address)[-1].name
        self.size = 0
        self.is_displaced = False

    def grow(self, size: int) -> None:
        """Makes it large enough for so many bytes. Raises Overloaded."""
        if size > self.size:
            self._bodies.add(self, _in_steps(size) - self.size)

    def displace(self) -> None:
        """Ends the body, which is being waited for."""
        self.is_displaced = True
        self.task.cancel()


def _in_steps(size: int) -> int:
    return -(-size // STEP_BYTES) * STEP_BYTES


def _overloaded() -> Overloaded:
    return Overloaded("Too many requests are being received: try again shortly.")
