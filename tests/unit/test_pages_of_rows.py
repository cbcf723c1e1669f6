"""Windows: which of the rows that a statement gave are the page, and what is on either side of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db.pages import PageRequest
from db.queries import Fragment
from db.rows import Order, RowType

BY_NAME = Order.by("NAME", "r.name", "text", descending=False)
FIRST = PageRequest(RowType("Thing", "public.things", ("id",), dict), BY_NAME, 2, False, None, Fragment("true", {}))


@pytest.mark.parametrize(
    ("found", "backward", "cursor", "rows", "has_next", "has_previous"),
    [
        ([], False, None, [], False, False),
        ([1, 2], False, None, [1, 2], False, False),
        ([1, 2, 3], False, None, [1, 2], True, False),
        ([3, 4], False, ("2",), [3, 4], False, True),
        ([3, 4, 5], False, ("2",), [3, 4], True, True),
        ([9, 8], True, None, [8, 9], False, False),
        ([9, 8, 7], True, None, [8, 9], False, True),
        ([3, 2], True, ("4",), [2, 3], True, False),
        ([], True, ("4",), [], True, False),
    ],
)
def test_a_window_is_in_order_and_knows_what_is_beside_it(
    found: list[int],
    backward: bool,
    cursor: tuple[str, ...] | None,
    rows: list[int],
    has_next: bool,
    has_previous: bool,
) -> None:
    window = replace(FIRST, backward=backward, cursor=cursor).window(found)
    assert (list(window.rows), window.has_next, window.has_previous) == (rows, has_next, has_previous)


def test_a_page_of_nothing_tells_whether_there_is_anything() -> None:
    window = replace(FIRST, size=0).window([1])
    assert (list(window.rows), window.has_next) == ([], True)
