"""Whose request it is where proxies pass it on: X-Forwarded-For, as far as trusted proxies wrote it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.types import Scope

from domain.networks import Address, parse_address

MAX_HOPS = 20  # proxies that may stand between a client and this server


class Proxies:
    """Each proxy appends the address that it was asked by, so the header is read from its end: an entry is believed
    when everybody who handled it since is trusted. What stands further left may be anybody's invention."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted
        self._trusts = functools.lru_cache(1024)(self._is_trusted)

    def resolve(self, scope: Scope) -> None:
        """Puts the client's address into the scope, in place of the proxy's. An entry that is no address is not
        believed: the proxy that wrote it counts."""
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
    """Of 1.2.3.4:80 and [2001:db8::1]:443 the address; an IPv6 one without brackets has no port."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
