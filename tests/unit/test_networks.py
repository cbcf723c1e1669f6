"""What counts as one address, and what as one site."""

from __future__ import annotations

import pytest

from domain.networks import SITE_FACTOR, Network, network, networks, ranges


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_what_counts_as_one_address(address: str, place: str) -> None:
    assert network(address) == place


def test_an_ipv6_address_also_counts_towards_its_site() -> None:
    assert networks("2001:db8:1:2:3:4:5:6") == (
        Network("2001:db8:1:2::/64"),
        Network("2001:db8:1::/48", SITE_FACTOR),
    )
    assert networks("192.0.2.1") == (Network("192.0.2.1"),)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32")),
        ("192.0.2.1", ("192.0.2.1/32", "192.0.2.0/24", "192.0.0.0/16")),
        ("::ffff:192.0.2.1", ("192.0.2.1/32", "192.0.2.0/24", "192.0.0.0/16")),
        ("fe80::1%eth0", ("fe80::/64", "fe80::/48", "fe80::/32")),
        ("", ()),
        ("a socket", ()),
    ],
)
def test_an_address_lies_in_a_household_a_site_and_a_range(address: str, found: tuple[str, ...]) -> None:
    assert ranges(address) == found
