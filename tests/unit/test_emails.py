"""Which texts are e-mail addresses, and which of them are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.emails import Email, parse, without_tag


def canonical(text: str) -> str | None:
    found = parse(text)
    return found.canonical if found else None


@pytest.mark.parametrize(
    ("address", "spellings"),
    [
        ("anna@people.example", [" Anna@People.Example ", "\uff41\uff4e\uff4e\uff41\uff20people\uff0eexample"]),
        (
            "anna@people.example",
            ["an\u200bna@people.example", "anna@peo\u200bple.example", "\ufeffanna@people.example"],
        ),
        (
            "anna@people.example",
            ["anna\u00ad@people.example", "an\u2060na@people.example", "\u202aanna@people.example"],
        ),
        ("caf\u00e9@people.example", ["cafe\u0301@people.example", "CAFE\u0301@people.example"]),
        ("caf\u00e9@people.example", ["cafe\u200d\u0301@people.example"]),
        (
            "anna@b\u00fccher.example",
            ["anna@xn--bcher-kva.example", "anna@BU\u0308CHER.example", "anna@XN--BCHER-KVA.example"],
        ),
        ("anna@\u65e5\u672c.jp", ["anna@\u65e5\u672c\u3002jp", "anna@xn--wgv71a.jp"]),
        (
            "wei\u00df@people.example",
            ["WEI\u1e9e@people.example", "we\u200bi\u00df@people.example", "\uff57ei\u00df@people.example"],
        ),
        (
            "\u03bd\u03b9\u03ba\u03bf\u03c2@people.example",
            ["\u039d\u0399\u039a\u039f\u03a3@people.example", "\u03bd\u03b9\u03ba\u03bf\u03c3@people.example"],
        ),
        ("\u03bf\u03c2.x@people.example", ["\u039f\u03a3.X@people.example"]),
        ("\u212bke@people.example", ["\u00e5ke@people.example", "A\u030ake@people.example"]),
    ],
)
def test_spellings_of_one_address(address: str, spellings: list[str]) -> None:
    assert canonical(address) is not None
    assert {canonical(spelling) for spelling in spellings} == {canonical(address)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna@people.example", "anne@people.example"),
        ("anna@stra\u00dfe.example", "anna@strasse.example"),  # two names in DNS
        ("gro\u00df@people.example", "gross@people.example"),
        ("GRO\u1e9e@people.example", "GROSS@people.example"),
        ("\u0131@people.example", "i@people.example"),  # without a dot
        ("anna@people.example", "\u0430nna@people.example"),  # Cyrillic
        ("a.nna@people.example", "anna@people.example"),
    ],
)
def test_addresses_that_differ(one: str, other: str) -> None:
    assert None is not canonical(one) != canonical(other) is not None


def test_mails_go_to_the_address_and_not_to_its_folded_form() -> None:
    found = parse("Nikos\u03c2@Stra\u00dfe.example")
    assert found == Email(
        "nikos\u03c2@stra\u00dfe.example",
        "nikos\u03c3@xn--strae-oqa.example",
        (
            "nikos\u03c2@stra\u00dfe.example",
            "nikos\u03c2@xn--strae-oqa.example",
            "nikos\u03c3@xn--strae-oqa.example",
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@people.example",
        "anna@people",
        "anna@people.example.",
        "anna@@people.example",
        "a@b@people.example",
        "a b@people.example",
        "a\u00b4@people.example",  # NFKC has a blank in it
        "a\0@people.example",
        "a\u2028b@people.example",
        "\ue000@people.example",
        "\ud83c@people.example",
        "\u3164@people.example",  # nothing that shows
        "anna@peo\u200dple.example",  # a joiner that joins nothing
        "anna@people.example,x.example",
        "anna@people.example\u037ex.example",
        "=?utf-8?q?anna=0d=0asubject:_you_won?=@people.example",  # which headers decode
        '"anna"@people.example',
        "(x)anna@people.example",
        "<anna>ben@people.example",
        "anna,ben@people.example",
        "x" * 65 + "@people.example",
        "x@" + "y" * 63 + ".example" * 30,
        "\ufdfa" * 4 + "@people.example",
        "e\u0301" * 100_000 + "@people.example",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse(text) is None


@given(st.text(min_size=1, max_size=20), st.sampled_from(["people.example", "b\u00fccher.example", "\uff41.example"]))
def test_what_is_made_of_an_address_is_that_address(local: str, domain: str) -> None:
    found = parse(f"{local}@{domain}")
    if found is None:
        return
    for spelling in (found.address, found.canonical, *found.spellings):
        assert canonical(spelling) == found.canonical
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert canonical(unicodedata.normalize(form, f"{local}@{domain}")) == found.canonical  # type: ignore[arg-type]


def test_sub_addresses_are_one_mailbox() -> None:
    found = {
        without_tag(parse(text).canonical)
        for text in ("anna@people.example", "Anna+shop@people.example", "anna+@people.example")
    }  # type: ignore[union-attr]
    assert found == {"anna@people.example"}
    assert without_tag("+shop@people.example") == "+shop@people.example"
