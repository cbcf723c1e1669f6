"""Bounds of inputs: what an error says of a value that is out of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.bounds import MAX_PERIOD, require_period, require_range, require_text
from domain.errors import Invalid

FIELD = ("views", "0", "page")
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_error_names_the_field_the_value_and_the_bounds() -> None:
    with pytest.raises(Invalid, match=r"^`page` has 4 characters: it takes 1 to 3\.$") as refused:
        require_text("abcd", FIELD, 3, minimum=1)
    assert refused.value.field == FIELD
    with pytest.raises(Invalid, match=r"^`page` is 11: it takes 0 to 10 seconds\.$"):
        require_range(11, FIELD, 0, 10, "seconds")
    with pytest.raises(Invalid, match="NUL"):
        require_text("a\0", FIELD, 3)


@pytest.mark.parametrize("text", [None, "", "abc"])
def test_a_text_within_its_bounds_passes(text: str | None) -> None:
    require_text(text, FIELD, 3)


@pytest.mark.parametrize("number", [None, 0, 10])
def test_a_number_within_its_bounds_passes(number: int | None) -> None:
    require_range(number, FIELD, 0, 10)


def test_a_period_ends_after_it_starts_and_is_no_longer_than_a_year() -> None:
    require_period(START, START)
    require_period(START, START + MAX_PERIOD)
    for until in (START - timedelta(seconds=1), START + MAX_PERIOD + timedelta(seconds=1)):
        with pytest.raises(Invalid, match="`since` must be before `until`"):
            require_period(START, until)
