"""Limits on open connections, in total and per network, and which connections are closed to make room for others."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from domain.networks import Network, networks, parse_address
from settings import Settings

NETWORK_SHARE = 4  # by default a network may have 1/NETWORK_SHARE of all connections
SITE_SHARE = 2  # a wider network, an IPv6 /48, may have 1/SITE_SHARE

CROWDED_SHARE = 0.75  # of all places; above it, idle connections are closed early
CROWDED_SECONDS = 5.0  # between two checks; a connection that is idle at both is closed


class Connection(Protocol):
    """A connection that can be closed to make room. Hashable by identity."""

    @property
    def cycle(self) -> Any:
        """Its latest request; a new object for each request."""

    def is_idle(self) -> bool:
        """Whether it has no request with complete headers, and nothing to send."""

    def is_held_up(self) -> bool:
        """Whether it waits for its client to send the rest of a body, or to read a response."""

    def give_way(self) -> None:
        """Closes it."""


class Connections:
    """Counts open connections. Peers in `trusted` networks are proxies, which serve many clients: they count towards
    the total only, like peers without an address (Unix sockets).

    When all places are taken, networks share them evenly: a new connection displaces one of the network that holds the
    most, if that is more than the new connection's own network would hold, and if the displaced one waits for its
    client. While most places are taken, idle connections are closed early. Those of proxies are never displaced or
    closed early.

    A connection costs an entry per network, its requests nothing: which connections are idle is determined only when
    places run out.
    """

    def __init__(self, limit: int, network_limit: int, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._limit = limit
        self._network_limit = network_limit
        self._trusted = tuple(trusted)
        self._open: dict[Connection, tuple[Network, ...]] = {}
        self._held: dict[Network, dict[Connection, None]] = {}  # oldest first
        self._by_share: dict[int, dict[Network, None]] = {}
        self._idle: dict[Connection, Any] = {}  # at the last check, with their latest request
        self._looks_in: asyncio.AbstractEventLoop | None = None

    @property
    def total(self) -> int:
        return len(self._open)

    @classmethod
    def of(cls, settings: Settings) -> Connections:
        """With the limits of the settings."""
        limit = max_connections(settings)
        network_limit = settings.max_connections_per_address or max(1, limit // NETWORK_SHARE)
        return cls(limit, network_limit, settings.trusted_networks)

    def enter(self, address: str, connection: Connection) -> bool:
        """Takes a place for the connection, which keeps it until `leave`. False if there is none."""
        its_networks = () if self._is_proxy(address) else networks(address)
        if any(len(self._held.get(each, ())) >= self._limit_of(each) for each in its_networks):
            return False
        if self.total >= self._limit and not self._make_room(its_networks):
            return False
        self._open[connection] = its_networks
        for each in its_networks:
            held = self._held.setdefault(each, {})
            self._rank(each, len(held), len(held) + 1)
            held[connection] = None
        self._look_later()
        return True

    def leave(self, connection: Connection) -> None:
        for each in self._open.pop(connection, ()):  # nothing if it was displaced before
            held = self._held[each]
            self._rank(each, len(held), len(held) - 1)
            del held[connection]
            if not held:
                del self._held[each]

    def _make_room(self, newcomers: Sequence[Network]) -> bool:
        """Closes a connection of the network that holds the most: the oldest idle one, else the oldest that is held up;
        if it has neither, one of the next network. False if no connection can be closed."""
        would_hold = max((_share(each, len(self._held.get(each, ())) + 1) for each in newcomers), default=0)
        for share in sorted(self._by_share, reverse=True):
            if share <= would_hold:
                break
            for network in self._by_share[share]:
                held = self._held[network]
                found = next((each for each in held if each.is_idle()), None)
                found = found or next((each for each in held if each.is_held_up()), None)
                if found is not None:
                    self.leave(found)
                    found.give_way()
                    return True
        return False

    def _rank(self, network: Network, before: int, after: int) -> None:
        """Updates the index of networks by share, so that making room need not compare all networks."""
        old, new = _share(network, before), _share(network, after)
        if old == new:
            return
        if old:
            del self._by_share[old][network]
            if not self._by_share[old]:
                del self._by_share[old]
        if new:
            self._by_share.setdefault(new, {})[network] = None

    def _look_later(self) -> None:
        if self._is_crowded():
            loop = asyncio.get_running_loop()
            if self._looks_in is not loop:
                self._looks_in = loop
                loop.call_later(CROWDED_SECONDS, self._look)

    def _is_crowded(self) -> bool:
        return self.total > self._limit * CROWDED_SHARE

    def _look(self) -> None:
        """Closes connections that were idle at the last check and have had no request since."""
        self._looks_in = None
        before, self._idle = self._idle, {}
        if not self._is_crowded():
            return
        self._idle = {each: each.cycle for each, its in self._open.items() if its and each.is_idle()}
        for connection, last in self._idle.items():
            if before.get(connection, self) is last:
                connection.give_way()
        self._look_later()

    def _limit_of(self, network: Network) -> int:
        site_limit = max(self._network_limit, self._limit // SITE_SHARE)
        return min(self._network_limit * network.factor, site_limit)

    def _is_proxy(self, address: str) -> bool:
        found = parse_address(address)
        return found is None or any(found in network for network in self._trusted)


def max_connections(settings: Settings) -> int:
    """The maximum number of open connections. A quarter of the process's file descriptors is left for everything
    else."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    available = max(1, files - files // 4)
    return min(settings.max_connections or available, available)


def _share(network: Network, held: int) -> int:
    """The number of connections divided by the network's factor, so that networks of different sizes are comparable."""
    return -(-held // network.factor)
