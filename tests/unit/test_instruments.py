"""Instrument files and norms: what is read, and what is refused with a reason."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from domain.instruments import BadInstrument, norms_from_json, norms_to_json, parse, with_norms
from domain.personality import TRAITS
from tests.instruments import DOCUMENT, EXAMPLE


def test_an_instrument_and_its_texts_are_read() -> None:
    document = parse(DOCUMENT)
    assert document.instrument.traits == TRAITS
    assert len(document.instrument.short_form) == 8
    assert document.texts["en"].items["adv-1"] == "I am adventurous, 1."
    assert document.texts["en"].options[5] == "Answer 5"


def test_an_instrument_may_have_no_texts_and_a_short_form_of_some_traits() -> None:
    bare: dict[str, Any] = copy.deepcopy(DOCUMENT)
    bare.pop("options")
    for item in bare["items"]:
        item.pop("texts")
        item["short"] = item["code"] in ("adv-1", "adv-2")
    document = parse(bare)
    assert document.texts == {}
    assert document.instrument.short_form == frozenset()  # it measures one trait only: nobody may submit it alone


@pytest.mark.parametrize(
    ("why", "path", "value"),
    [
        ("no trait heroic", ("items", 0, "trait"), "heroic"),
        ("two items have the code adv-1", ("items", 1, "code"), "adv-1"),
        ("a weight is over 0", ("items", 0, "weight"), float("nan")),
        ("a weight is over 0", ("items", 0, "weight"), 0),
        ("Expected `bool`", ("items", 0, "reversed"), 1),
        ("2 to 10 answers", ("highest",), 1),
        ("2 to 10 answers", ("lowest",), -20),
        ("options.en are not those from 1 to 6", ("highest",), 6),
        ("min_answers exceeds the 20 items", ("min_answers",), 21),
        ("min_answers exceeds its 4 items", ("traits", 0, "min_answers"), 5),
        ("a trait is listed twice", ("traits", 0, "name"), "social"),
        ("trait heroic has no item", ("traits", 0), {"name": "heroic"}),
        ("texts in de are missing for int-1", ("items", 0, "texts", "de"), "Ich bin abenteuerlustig."),
        ("unknown field `colour`", ("colour",), "red"),
        ("Expected `str`", ("version",), 2.0),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(why: str, path: tuple[Any, ...], value: Any) -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    place = document
    for step in path[:-1]:
        place = place[step]
    if path == ("traits", 0) and isinstance(value, dict):
        document["traits"].append(value)
    else:
        place[path[-1]] = value
    with pytest.raises(BadInstrument, match=why):
        parse(document)


def test_a_short_form_that_people_answer_covers_every_trait() -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    for item in document["items"]:
        item["short"] = item["short"] and item["trait"] != "social"
    with pytest.raises(BadInstrument, match="the short form has no item of social"):
        parse(document)


def test_norms_survive_json() -> None:
    assert norms_from_json(EXAMPLE, norms_to_json(EXAMPLE, EXAMPLE.norms, "made up")) == EXAMPLE.norms


def test_norms_of_another_version_are_refused() -> None:
    text = norms_to_json(EXAMPLE, EXAMPLE.norms, "made up")
    with pytest.raises(BadInstrument, match=r"norms of example 1\.0, not of example 2\.0"):
        norms_from_json(replace(EXAMPLE, version="2.0"), text)


NORM = EXAMPLE.norms["social"]


@pytest.mark.parametrize(
    ("why", "norm"),
    [
        ("not finite", replace(NORM, full=replace(NORM.full, sd=float("nan")))),
        ("mean or sd is impossible", replace(NORM, full=replace(NORM.full, mean=6.0))),
        ("alpha is from 0", replace(NORM, full=replace(NORM.full, alpha=1.0))),
        ("has 1 rows", replace(NORM, full=replace(NORM.full, errors=((50.0, 8.0),)))),
        ("not in ascending order", replace(NORM, full=replace(NORM.full, percentiles=((2.0, 40.0), (1.0, 50.0))))),
        ("percentiles fall", replace(NORM, full=replace(NORM.full, percentiles=((1.0, 50.0), (2.0, 40.0))))),
        ("not within 0 and 100", replace(NORM, full=replace(NORM.full, percentiles=((1.0, 5.0), (2.0, 101.0))))),
        ("a short form needs norms", replace(NORM, short=None)),
        ("not of its 4 items", replace(NORM, means=(3.0, 3.0))),
        ("not finite and symmetric", replace(NORM, means=(3.0, 3.0, 3.0, float("inf")))),
        ("not positive definite", replace(NORM, covariance=((1.0,) * 4,) * 4)),
        ("n is 0", replace(NORM, n=0)),
    ],
)
def test_bad_norms_are_refused_with_their_reason(why: str, norm: Any) -> None:
    with pytest.raises(BadInstrument, match=why):
        with_norms(EXAMPLE, {**EXAMPLE.norms, "social": norm})


def test_norms_of_a_missing_trait_are_refused() -> None:
    with pytest.raises(BadInstrument, match="norms are of the traits"):
        with_norms(EXAMPLE, {"social": NORM})
