"""Tracked links: tokens, and what becomes of a shop's URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.affiliate import decode_token, encode_token, tracked_url

CLICK = UUID("0199a0b0-0000-7000-8000-000000000001")
TOKEN = encode_token(CLICK)
pairs = st.lists(st.tuples(st.text("abcxyz_-", min_size=1), st.text(st.characters(codec="utf-8"))), max_size=6)


@given(st.uuids())
def test_a_token_is_read_back_as_its_click(click: UUID) -> None:
    assert decode_token(encode_token(click)) == click


@given(st.uuids())
def test_a_token_is_26_small_letters_and_digits(click: UUID) -> None:
    token = encode_token(click)
    assert len(token) == 26
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyz234567")


@given(st.text(max_size=30))
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    assert decode_token(text) is None


@pytest.mark.parametrize(
    "text", [TOKEN.upper(), TOKEN[:-1], TOKEN + "a", TOKEN + "=", TOKEN[:-1] + "1", "é" * 26, TOKEN[:-1] + "b", ""]
)
def test_another_spelling_of_a_token_is_refused(text: str) -> None:
    assert decode_token(text) is None


@given(pairs)
def test_other_parameters_stay_in_their_order(given_pairs: list[tuple[str, str]]) -> None:
    offer = f"https://shop.example/p?{urlencode(given_pairs)}"
    query = urlsplit(tracked_url(offer, "clickref", TOKEN)).query
    assert parse_qsl(query, keep_blank_values=True) == [*given_pairs, ("clickref", TOKEN)]


@given(pairs, st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=3))
def test_a_parameter_of_the_networks_name_is_replaced(others: list[tuple[str, str]], old: list[str]) -> None:
    offer = f"https://shop.example/p?{urlencode([*(('clickref', value) for value in old), *others])}"
    found = parse_qsl(urlsplit(tracked_url(offer, "clickref", TOKEN)).query, keep_blank_values=True)
    assert [value for name, value in found if name == "clickref"] == [TOKEN]


@pytest.mark.parametrize(
    ("offer", "tracked"),
    [
        ("https://shop.example/p", f"https://shop.example/p?clickref={TOKEN}"),
        ("https://shop.example", f"https://shop.example?clickref={TOKEN}"),
        ("https://shop.example/p?size=", f"https://shop.example/p?size=&clickref={TOKEN}"),
        ("https://shop.example/p#reviews", f"https://shop.example/p?clickref={TOKEN}#reviews"),
        ("https://shop.example/p?a=1#clickref=x", f"https://shop.example/p?a=1&clickref={TOKEN}#clickref=x"),
        ("https://shop.example/p?Clickref=x", f"https://shop.example/p?Clickref=x&clickref={TOKEN}"),
        ("https://shop.example/p?clickref=x&a=1", f"https://shop.example/p?a=1&clickref={TOKEN}"),
        ("https://u@shop.example:8443/p;v=1?a=1", f"https://u@shop.example:8443/p;v=1?a=1&clickref={TOKEN}"),
    ],
)
def test_the_rest_of_the_url_stays(offer: str, tracked: str) -> None:
    assert tracked_url(offer, "clickref", TOKEN) == tracked


@pytest.mark.parametrize("value", ["caf%E9", "%FF%FE", "100%25%E9"])
def test_a_value_that_is_not_utf_8_keeps_its_bytes(value: str) -> None:
    query = urlsplit(tracked_url(f"https://shop.example/p?q={value}", "clickref", TOKEN)).query
    expected = parse_qsl(f"q={value}&clickref={TOKEN}", encoding="latin-1")
    assert parse_qsl(query, encoding="latin-1") == expected


@pytest.mark.parametrize("offer", ["https://shop.example/p", "https://shop.example/?a=%20b&&c#d"])
def test_a_network_without_a_parameter_leaves_the_url_as_it_is(offer: str) -> None:
    assert tracked_url(offer, None, TOKEN) == offer
