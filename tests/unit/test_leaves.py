"""JSON text of single values: as graphql-core would have it, or refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan import leaves
from plan.errors import Mismatch
from schema.scalars import SCALARS


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_json(text: str) -> None:
    assert json.loads(leaves.string(text)) == text


@given(st.integers(-(2**31) + 1, 2**31 - 2))
def test_integers_of_32_bits(number: int) -> None:
    assert json.loads(leaves.integer(number)) == number


@pytest.mark.parametrize("value", [None, True, 1.5, "1", 2**31, -(2**31) - 1])
def test_what_is_no_int_is_refused(value: object) -> None:
    with pytest.raises(Mismatch):
        leaves.integer(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_digit(number: float) -> None:
    assert json.loads(leaves.floating(number)) == number


@pytest.mark.parametrize("value", [None, True, "NaN", math.nan, math.inf])
def test_what_json_cannot_hold_is_no_float(value: object) -> None:
    with pytest.raises(Mismatch):
        leaves.floating(value)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_moments_from_rows_and_from_json_are_printed_as_the_scalar_prints_them(moment: datetime) -> None:
    printed = json.dumps(SCALARS[datetime].serialize(moment))
    assert leaves.timestamp(moment) == printed
    of_postgres = moment.isoformat()
    if moment.microsecond:  # zeros at the end are left out
        seconds, fraction = of_postgres[:-6].split(".")
        of_postgres = f"{seconds}.{fraction.rstrip('0')}+00:00"
    assert leaves.timestamp(of_postgres) == printed


def test_a_moment_of_another_zone_is_left_to_the_scalar() -> None:
    with pytest.raises(Mismatch):
        leaves.timestamp(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))))


@given(st.dates())
def test_days_from_rows_and_from_json_are_printed_as_the_scalar_prints_them(day: date) -> None:
    assert leaves.day(day) == leaves.day(day.isoformat()) == f'"{day.isoformat()}"'


@pytest.mark.parametrize("value", [None, datetime(2026, 7, 1), 5])
def test_what_is_no_day_is_refused(value: object) -> None:
    with pytest.raises(Mismatch):
        leaves.day(value)


def test_what_is_remembered_is_bounded_and_right() -> None:
    asked: list[int] = []

    def text(number: int) -> str:
        asked.append(number)
        return str(number)

    known = leaves.Memo(text)
    assert [known[1], known[1], known[2]] == ["1", "1", "2"]
    assert asked == [1, 2]
    for number in range(leaves.MAX_MEMO_ENTRIES * 2):
        assert known[number] == str(number)
    assert len(known) <= leaves.MAX_MEMO_ENTRIES
