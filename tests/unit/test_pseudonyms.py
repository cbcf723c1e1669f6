"""Hashes that stand for what must not be kept."""

from __future__ import annotations

import pytest

from domain.pseudonyms import PERIOD_SECONDS, Pseudonyms

KEY = b"a secret of the tests, long enough for this"
START = 700.0 * PERIOD_SECONDS


def test_one_text_has_one_hash_for_thirty_days_and_another_one_afterwards() -> None:
    hashes = Pseudonyms(KEY, "network")
    first = hashes.of("192.0.2.1", START)
    assert hashes.of("192.0.2.1", START + PERIOD_SECONDS - 1) == first
    assert hashes.of("192.0.2.1", START + PERIOD_SECONDS) != first
    assert hashes.of("192.0.2.2", START) != first


@pytest.mark.parametrize(
    "other", [Pseudonyms(KEY, "visitor"), Pseudonyms(KEY[::-1], "network")], ids=["purpose", "key"]
)
def test_hashes_of_another_purpose_or_key_say_nothing_of_each_other(other: Pseudonyms) -> None:
    assert other.of("192.0.2.1", START) != Pseudonyms(KEY, "network").of("192.0.2.1", START)


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Pseudonyms(KEY, "network"))
