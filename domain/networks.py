"""Networks as subjects of limits: a household or a site is one subject, however its address is written."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

SITE_FACTOR = 8
"""The limit of a /48, as a multiple of that of a /64."""


@dataclass(frozen=True, slots=True)
class Network:
    """A subject of limits, which are multiplied by `factor`, as it may have more people than a household."""

    name: str
    factor: int = 1


def parse_address(text: str) -> Address | None:
    """Parses an address; None for other text. IPv4-mapped IPv6 (::ffff:1.2.3.4) becomes IPv4."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@functools.lru_cache(10_000)
def networks(address: str) -> tuple[Network, ...]:
    """Every network that an address counts towards, the narrowest first.

    An IPv4 address, also if IPv4-mapped (::ffff:1.2.3.4), is a network of its own. An IPv6 address counts towards its
    /64, which a household is assigned (RFC 6177), and towards its /48, which a site is assigned. Text that is not an
    address (of a Unix socket) counts as it is.
    """
    found = parse_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return (Network(_prefix(found, 64)), Network(_prefix(found, 48), SITE_FACTOR))
    return (Network(address if found is None else str(found)),)


def ranges(address: str) -> tuple[str, ...]:
    """The household, the site and the provider's range of an address, each within the next.

    These are the /64, /48 and /32 of an IPv6 address, which a household, a site and a provider are assigned (RFC 6177),
    or an IPv4 address, its /24 (the smallest routed block) and its /16. Empty for text that is not an address.
    """
    found = parse_address(address)
    if found is None:
        return ()
    lengths = (64, 48, 32) if isinstance(found, ipaddress.IPv6Address) else (32, 24, 16)
    return tuple(_prefix(found, length) for length in lengths)


def site(address: str) -> str:
    """The widest network of an address: the /48 of an IPv6 address, else the address itself."""
    return networks(address)[-1].name


def network(address: str) -> str:
    """The narrowest network of an address: an IPv4 address, or the /64 of an IPv6 one."""
    return networks(address)[0].name


def _prefix(address: Address, length: int) -> str:
    return str(ipaddress.ip_network((address, length), strict=False))
