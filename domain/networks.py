"""Network addresses as limits count them: one household or one site is one subject, however its address is written."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass

SITE_FACTOR = 8
"""How many times the limit of a /64 a whole /48 may use."""


@dataclass(frozen=True, slots=True)
class Network:
    """A subject of limits. `factor` is what its limit is multiplied by: it holds more people than a household."""

    name: str
    factor: int = 1


@functools.lru_cache(10_000)
def networks(address: str) -> tuple[Network, ...]:
    """Every network that an address counts towards, the narrowest first.

    An IPv4 address stands for itself, also when written as an IPv6 one (::ffff:1.2.3.4). An IPv6 address counts towards
    its /64, which one household is given (RFC 6177), and towards its /48, which one site is given. Text that is no
    address (a Unix socket has none) counts as it is.
    """
    try:
        found = _parse(address)
    except ValueError:
        return (Network(address),)
    if isinstance(found, ipaddress.IPv6Address):
        return (Network(_prefix(found, 64)), Network(_prefix(found, 48), SITE_FACTOR))
    return (Network(str(found)),)


def ranges(address: str) -> tuple[str, ...]:
    """The household, the site and the provider's range of an address, each within the next.

    That is the /64, /48 and /32 of an IPv6 address, which a household, a site and a provider are given (RFC 6177), and
    an IPv4 address, its /24 (the smallest block that is routed) and its /16. Empty for text that is no address.
    """
    try:
        found = _parse(address)
    except ValueError:
        return ()
    lengths = (64, 48, 32) if isinstance(found, ipaddress.IPv6Address) else (32, 24, 16)
    return tuple(_prefix(found, length) for length in lengths)


def network(address: str) -> str:
    """The narrowest network of an address: an IPv4 address, or the /64 of an IPv6 one."""
    return networks(address)[0].name


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _prefix(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> str:
    return str(ipaddress.ip_network((address, length), strict=False))
