"""Amounts of other networks, in the notation that their mapping says."""

from __future__ import annotations

import pytest

from domain.ledger import generic
from domain.ledger.reports import BadFile

MAPPING = """
format = "csv"
states = {ok = "approved"}
%s
[fields]
reference = "id"
state = "=ok"
amount = "commission"
currency = "=EUR"
advertiser_id = "=1"
ordered_at = "day"
"""


def amounts(notation: str, *written: str) -> list[int | None]:
    """Minor units of each text, None for one that is rejected."""
    rows = "\n".join(f"{number};{text};2026-07-01" for number, text in enumerate(written, 1))
    reading = generic.read("own", generic.parse_mapping(MAPPING % notation), f"id;commission;day\n{rows}\n")
    found = {int(report.reference): report.amount_minor for report in reading.reports}
    assert len(found) + len(reading.rejects) == len(written)
    return [found.get(number) for number in range(1, len(written) + 1)]


def test_a_comma_before_three_digits_is_the_thousand_that_the_mapping_says_or_a_decimal() -> None:
    assert amounts("", "1,250", "1.25", "0,125", "12,50") == [125_000, 125, None, None]
    assert amounts('decimal = ","', "1,250", "1.25", "0,125", "12,50", "1250") == [125, None, 13, 1250, 125_000]
    assert amounts('decimal = "."\nthousands = ""', "1,250", "1.25") == [None, 125]


@pytest.mark.parametrize(
    ("thousands", "text"), [(".", "1.234,50"), ("'", "1'234,50"), ("'", "1’234,50"), (" ", "1\u202f234,50 €")]
)
def test_groups_of_thousands_are_those_of_the_mapping(thousands: str, text: str) -> None:
    notation = f'decimal = ","\nthousands = "{thousands}"'
    assert amounts(notation, text, f"-{text}", f"({text})", "1234,50") == [123_450, -123_450, -123_450, 123_450]
    assert amounts(notation, "1,234.50", "1.23.450,00", "0.125,00", "12.50") == [None] * 4


@pytest.mark.parametrize(
    "notation", ['decimal = ","\nthousands = ","', 'decimal = ","\ndecimals = 2', 'decimal = ";"', 'thousands = "."']
)
def test_a_notation_that_contradicts_itself_is_refused(notation: str) -> None:
    with pytest.raises(BadFile):
        generic.parse_mapping(MAPPING % notation)
