"""Network addresses as limits count them: one household or one site is one subject, however its address is written."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

SITE_FACTOR = 8
"""How many times the limit of a /64 a whole /48 may use."""


@dataclass(frozen=True, slots=True)
class Network:
    """A subject of limits. `factor` is what its limit is multiplied by: it holds more people than a household."""

    name: str
    factor: int = 1


def parse_address(text: str) -> Address | None:
    """None for text that is no address. IPv4 is IPv4 also when written as IPv6 (::ffff:1.2.3.4)."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@functools.lru_cache(10_000)
def networks(address: str) -> tuple[Network, ...]:
    """Every network that an address counts towards, the narrowest first.

    An IPv4 address stands for itself, also when written as an IPv6 one (::ffff:1.2.3.4). An IPv6 address counts towards
    its /64, which one household is given (RFC 6177), and towards its /48, which one site is given. Text that is no
    address (a Unix socket has none) counts as it is.
    """
    found = parse_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return (Network(_prefix(found, 64)), Network(_prefix(found, 48), SITE_FACTOR))
    return (Network(address if found is None else str(found)),)


def ranges(address: str) -> tuple[str, ...]:
    """The household, the site and the provider's range of an address, each within the next.

    That is the /64, /48 and /32 of an IPv6 address, which a household, a site and a provider are given (RFC 6177), and
    an IPv4 address, its /24 (the smallest block that is routed) and its /16. Empty for text that is no address.
    """
    found = parse_address(address)
    if found is None:
        return ()
    lengths = (64, 48, 32) if isinstance(found, ipaddress.IPv6Address) else (32, 24, 16)
    return tuple(_prefix(found, length) for length in lengths)


def network(address: str) -> str:
    """The narrowest network of an address: an IPv4 address, or the /64 of an IPv6 one."""
    return networks(address)[0].name


def _prefix(address: Address, length: int) -> str:
    return str(ipaddress.ip_network((address, length), strict=False))
