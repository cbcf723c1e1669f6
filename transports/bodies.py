"""Bounds the memory for request bodies that are still being received."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from domain.errors import Overloaded
from domain.networks import site

SHARES = 4  # a network may hold 1/SHARES of all bytes
STEP_BYTES = 16_384  # reserved at a time


class Bodies:
    """Limits the bytes of all bodies that this process is receiving to `limit`. A network (an IPv6 /48, an IPv4
    address) may hold a share of them, but at least one body.

    Received bytes count, rounded up to whole steps; a declared length does not. At the limit, networks share the memory
    evenly: the oldest body of the network that holds the most is dropped. In a tie the new body wins, as no client
    needs long to send one.
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
        """Reserves memory for a body that the current task receives. Raises Overloaded if the body is dropped in favour
        of another one, for which the task is cancelled."""
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
        """Adds bytes to a body's reservation. Raises Overloaded if no other body can be dropped for it."""
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
            return  # empty, or released before
        del self._open[reservation]
        self.total -= reservation.size
        self._held[reservation.network] -= reservation.size
        if not self._held[reservation.network]:
            del self._held[reservation.network]

    def _make_room(self, newcomer: Reservation, size: int, within: str | None = None) -> None:
        """Drops the oldest body of the network that holds the most, or of the network `within`."""
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
    """The bytes reserved for one body."""

    __slots__ = ("_bodies", "is_displaced", "network", "size", "task")

    def __init__(self, bodies: Bodies, address: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self._bodies = bodies
        self.network = site(address)
        self.size = 0
        self.is_displaced = False

    def grow(self, size: int) -> None:
        """Extends it to this many bytes. Raises Overloaded."""
        if size > self.size:
            self._bodies.add(self, _in_steps(size) - self.size)

    def displace(self) -> None:
        """Drops the body: cancels the task that receives it."""
        self.is_displaced = True
        self.task.cancel()


def _in_steps(size: int) -> int:
    return -(-size // STEP_BYTES) * STEP_BYTES


def _overloaded() -> Overloaded:
    return Overloaded("Too many requests are being received: try again shortly.")
