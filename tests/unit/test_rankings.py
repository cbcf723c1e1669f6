"""Pages that were ranked lately."""

from __future__ import annotations

from services.rankings import CACHE_PAGES, Rankings


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_page_is_kept_for_its_lifetime() -> None:
    clock = Clock()
    rankings: Rankings[str] = Rankings(30, clock)
    rankings.keep("key", "state", "page")
    clock.now += 29
    found = rankings.find("key")
    assert found is not None and (found.page, found.state) == ("page", "state")
    clock.now += 1
    assert rankings.find("key") is None
    assert rankings.find("another") is None


def test_a_lifetime_of_zero_keeps_nothing() -> None:
    rankings: Rankings[str] = Rankings(0, Clock())
    rankings.keep("key", "state", "page")
    assert rankings.find("key") is None


def test_those_used_last_are_kept() -> None:
    rankings: Rankings[int] = Rankings(30, Clock())
    for number in range(CACHE_PAGES):
        rankings.keep(number, "state", number)
    assert rankings.find(0) is not None
    rankings.keep("one more", "state", CACHE_PAGES)
    assert rankings.find(0) is not None
    assert rankings.find(1) is None
