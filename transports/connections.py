"""Limits open connections per process and per network."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from domain.networks import networks, parse_address
from settings import Settings

NETWORK_SHARE = 4  # by default a network may have 1/NETWORK_SHARE of all connections
SITE_SHARE = 2  # a wider network, an IPv6 /48, may have 1/SITE_SHARE


class Connections:
    """Counts open connections. Peers in `trusted` networks are proxies for many clients: they count towards the total
    only, as do peers without an address (Unix sockets)."""

    def __init__(self, limit: int, network_limit: int, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._limit = limit
        self._network_limit = network_limit
        self._trusted = tuple(trusted)
        self._held: Counter[str] = Counter()
        self.total = 0

    @classmethod
    def of(cls, settings: Settings) -> Connections:
        """Leaves a quarter of the file descriptors to the database, the log and everything else."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        available = max(1, files - files // 4)
        limit = min(settings.max_connections or available, available)
        network_limit = settings.max_connections_per_address or max(1, limit // NETWORK_SHARE)
        return cls(limit, network_limit, settings.trusted_networks)

    def enter(self, address: str) -> tuple[str, ...] | None:
        """The counters that the connection is added to, for `leave`; None if a limit is reached."""
        if self.total >= self._limit:
            return None
        limits = {} if self._is_proxy(address) else self._limits(address)
        if any(self._held[name] >= limit for name, limit in limits.items()):
            return None
        self.total += 1
        self._held.update(limits.keys())
        return tuple(limits)

    def leave(self, names: tuple[str, ...]) -> None:
        self.total -= 1
        for name in names:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]

    def _limits(self, address: str) -> dict[str, int]:
        site_limit = max(self._network_limit, self._limit // SITE_SHARE)
        return {each.name: min(self._network_limit * each.factor, site_limit) for each in networks(address)}

    def _is_proxy(self, address: str) -> bool:
        found = parse_address(address)
        return found is None or any(found in network for network in self._trusted)
