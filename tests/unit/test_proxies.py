"""Whose address counts where proxies pass requests on."""

from __future__ import annotations

import pytest

from settings import load
from transports.proxies import Proxies

PROXIES = "192.0.2.0/24, 2001:db8:aaaa::/48, 10.0.0.1"


def seen(peer: str, *forwarded: str, trusted: str = PROXIES) -> str:
    """The address that counts when `peer` connects and sends these X-Forwarded-For headers."""
    headers = [(b"host", b"shop"), *((b"x-forwarded-for", each.encode("latin-1")) for each in forwarded)]
    scope = {"type": "http", "client": (peer, 1234), "headers": headers}
    Proxies(load({"TRUSTED_PROXIES": trusted}).trusted_networks).resolve(scope)
    client = scope["client"]
    assert isinstance(client, tuple)
    address: str = client[0]
    return address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("9.9.9.1, 203.0.113.9", "203.0.113.9"),
        ("9.9.9.1, 203.0.113.9, 10.0.0.1, 192.0.2.7", "203.0.113.9"),
        ("9.9.9.1,203.0.113.9 ,2001:db8:aaaa::5", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("9.9.9.1, ::ffff:10.0.0.1", "9.9.9.1"),
        ("10.0.0.1, 192.0.2.7", "10.0.0.1"),
        ("9.9.9.1, " + "192.0.2.7, " * 5_000 + "203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_last_entry_that_no_proxy_of_ours_is_counts(header: str, address: str) -> None:
    assert seen("192.0.2.1", header) == address


@pytest.mark.parametrize("entry", ["", " ", "unknown", "_hidden", "[]", "1.2.3", "1.2.3.4:80:90", "x" * 60_000])
def test_an_entry_that_is_no_address_leaves_the_proxy_that_wrote_it(entry: str) -> None:
    assert seen("192.0.2.1", f"9.9.9.1, {entry}") == "192.0.2.1"
    assert seen("192.0.2.1", f"9.9.9.1, {entry}, 10.0.0.1") == "10.0.0.1"


def test_several_headers_are_one_list() -> None:
    assert seen("192.0.2.1", "9.9.9.1", "203.0.113.9") == "203.0.113.9"
    assert seen("192.0.2.1", "9.9.9.1, 203.0.113.9", "10.0.0.1") == "203.0.113.9"


def test_without_the_header_the_connection_counts() -> None:
    assert seen("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize("trusted", ["", PROXIES])
def test_the_header_of_a_stranger_is_not_read(trusted: str) -> None:
    assert seen("198.51.100.1", "9.9.9.1", trusted=trusted) == "198.51.100.1"


@pytest.mark.parametrize("peer", ["::ffff:192.0.2.1", "192.0.2.1"])
@pytest.mark.parametrize("trusted", ["192.0.2.1", "192.0.2.0/24", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120"])
def test_a_proxy_is_known_however_its_address_is_written(peer: str, trusted: str) -> None:
    assert seen(peer, "9.9.9.1", trusted=trusted) == "9.9.9.1"


def test_a_connection_without_an_address_stays_as_it_is() -> None:
    scope = {"type": "http", "client": None, "headers": [(b"x-forwarded-for", b"9.9.9.1")]}
    Proxies(load({"TRUSTED_PROXIES": PROXIES}).trusted_networks).resolve(scope)
    assert scope["client"] is None


def test_no_more_entries_are_read_than_there_may_be_proxies() -> None:
    """A header of 64 KiB holds 6,000, each of which somebody would have to parse."""
    assert seen("10.0.0.1", "203.0.113.9, " + "10.0.0.2, " * 18 + "10.0.0.3", trusted="10.0.0.0/8") == "203.0.113.9"
    assert seen("10.0.0.1", "203.0.113.9, " + "10.0.0.2, " * 19 + "10.0.0.3", trusted="10.0.0.0/8") == "10.0.0.2"
