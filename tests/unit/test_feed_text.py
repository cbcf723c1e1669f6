"""Text of feeds: what is decoded, what is mark-up, which names are one."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feed_text import decode_entities, name_key, remove_markup, slugify, spare_slug, tag_of


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("Nuts &amp; Bolts", "Nuts & Bolts"),
        ("Nuts &amp;amp; Bolts", "Nuts &amp; Bolts"),
        ("cr&egrave;me &#233;clair &#x1F36E;", "crème éclair 🍮"),
        ("R&D &unknown; &copyright=1 AT&T", "R&D &unknown; &copyright=1 AT&T"),
    ],
)
def test_entities_are_decoded_once(text: str, decoded: str) -> None:
    assert decode_entities(text) == decoded


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>One</p><p>Two</p>", "One Two"),
        ("<i>e</i>Book", "eBook"),
        ("I <3 you, 4 < 5 > 3", "I <3 you, 4 < 5 > 3"),
        ("Shirt <Large> and <b>bold</b>", "Shirt <Large> and bold"),
        ("a<script>alert('<b>')</script>b<!-- no <p> -->c", "a b c"),
        ("<![CDATA[<br/>inside]]>", "inside"),
        ("open <!-- never closed", "open"),
        ("open <style> never closed", "open"),
    ],
)
def test_mark_up_is_removed(text: str, plain: str) -> None:
    assert " ".join(remove_markup(text).split()) == plain


@pytest.mark.parametrize("piece", ["<", "<b ", "<script>", "<!--", "</", "<script></script ", "<![CDATA["])
def test_hostile_mark_up_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    remove_markup(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nestlé", "NESTLE"), ("Levi's", "Levi’s"), ("Dr. Martens", "dr martens"), ("J. Crew", "JCrew"),
        ("Ελλάδα", "Ελλαδα"), ("PlayStation", "Play Station"),
    ],
)  # fmt: skip
def test_spellings_of_one_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C++", "C#"), ("C++", "C"), ("H&M", "H+M"), ("H&M", "HM"), ("Øre", "Re"), ("Łan", "An"), ("й", "и"),
        ("が", "か"), ("Сад", "Лес"), ("茶", "酒"), ("!!!", "???"), ("Studio 1", "Studio 2"), ("Æ", "E"),
    ],
)  # fmt: skip
def test_names_that_stay_apart(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)
    assert spare_slug("x", one) != spare_slug("x", other)


@given(st.text(min_size=1).filter(str.strip))
def test_every_name_has_a_slug_and_a_key(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", spare_slug(slugify(name), name))
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slugify(name))
    assert slugify(slugify(name)) == slugify(name)
    assert name_key(name)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Board Games", "board-games"), ("Crème", "creme"), ("Łódź", "łódź"), ("ЧАЙ", "чай"), ("お茶", "お茶"),
        ("चाय", "चाय"), ("ชา ร้อน", "ชา-ร้อน"), ("شاي", "شاي"), ("Salt & Pepper", "salt-pepper"), ("!", ""),
    ],
)  # fmt: skip
def test_tags_keep_their_script(text: str, tag: str) -> None:
    assert tag_of(text) == tag
