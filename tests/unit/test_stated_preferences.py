"""The shape of what people say of themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.stated_preferences import MAX_ITEMS, check, field_of

EVERYTHING = {
    "favouriteCategories": ["books"],
    "avoidCategories": ["party", "tools"],
    "brands": ["alder"],
    "tags": ["hand-made"],
    "priceRange": {"min": "9.99", "max": 50},
    "currency": "EUR",
}


def test_what_the_catalogue_has_to_know() -> None:
    slugs = check(EVERYTHING, "GBP")
    assert (slugs.categories, slugs.brands) == (["books", "party", "tools"], ["alder"])
    assert field_of(EVERYTHING, "tools", "favouriteCategories", "avoidCategories") == (
        "statedPreferences",
        "avoidCategories",
    )


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"likes": ["tea"], "colour": 7, "Tags": None},
        dict.fromkeys(EVERYTHING),
        {"tags": []},
        {"priceRange": {}},
        {"priceRange": {"min": None, "max": "10"}},
        {"priceRange": {"min": 10, "max": 10.0}},
        {"priceRange": {"max": 1000}, "currency": "JPY"},
    ],
)
def test_what_is_left_out_or_unknown_may_be_anything(said: dict[str, Any]) -> None:
    assert (check(said, "GBP").categories, check(said, "GBP").brands) == ([], [])


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"favouriteCategories": "books"}, ("favouriteCategories",)),
        ({"avoidCategories": [1]}, ("avoidCategories",)),
        ({"brands": [""]}, ("brands",)),
        ({"brands": {"alder": True}}, ("brands",)),
        ({"tags": ["x" * 101]}, ("tags",)),
        ({"tags": ["x"] * (MAX_ITEMS + 1)}, ("tags",)),
        ({"currency": "gbp"}, ("currency",)),
        ({"currency": 7}, ("currency",)),
        ({"currency": ["GBP"]}, ("currency",)),
        ({"priceRange": [1, 2]}, ("priceRange",)),
        ({"priceRange": {"min": 1, "low": 2}}, ("priceRange",)),
        ({"priceRange": {"min": 20, "max": "10"}}, ("priceRange",)),
        ({"priceRange": {"min": True}}, ("priceRange", "min")),
        ({"priceRange": {"min": "ten"}}, ("priceRange", "min")),
        ({"priceRange": {"min": "1e3"}}, ("priceRange", "min")),
        ({"priceRange": {"min": " 10"}}, ("priceRange", "min")),
        ({"priceRange": {"max": -1}}, ("priceRange", "max")),
        ({"priceRange": {"max": 10**15}}, ("priceRange", "max")),
        ({"priceRange": {"max": "9.999"}}, ("priceRange", "max")),
        ({"priceRange": {"max": "9.99"}, "currency": "JPY"}, ("priceRange", "max")),
    ],
)
def test_what_has_a_meaning_has_a_shape(said: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        check(said, "GBP")
    assert refused.value.field == ("statedPreferences", *path)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["min", "max", "x"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*EVERYTHING, "other"]), json))
def test_nothing_but_a_clear_refusal_comes_of_any_json(said: dict[str, Any]) -> None:
    with suppress(Invalid):
        check(said, "GBP")
