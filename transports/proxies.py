"""The client's address behind proxies: X-Forwarded-For, as far as trusted proxies wrote it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.types import Scope

from domain.networks import Address, parse_address

MAX_HOPS = 20  # proxies between a client and this server


class Proxies:
    """Each proxy appends the address of its peer, so the header is read from the right: an entry is believed if all
    proxies after it are trusted. Anything further left may be forged."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted
        self._trusts = functools.lru_cache(1024)(self._is_trusted)

    def resolve(self, scope: Scope) -> None:
        """Replaces the proxy's address in the scope by the client's. An entry that is not an address is not believed:
        the proxy that wrote it counts as the client."""
        peer = scope["client"]
        address = parse_address(peer[0]) if self._trusted and peer else None
        if address is None or not self._trusts(address):
            return
        given = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for entry in reversed(given.decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            told = parse_address(_without_port(entry.strip()))
            if told is None:
                break
            address = told
            if not self._trusts(address):
                break
        scope["client"] = (str(address), 0)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _without_port(entry: str) -> str:
    """The address in 1.2.3.4:80 or [2001:db8::1]:443; an IPv6 address without brackets has no port."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
