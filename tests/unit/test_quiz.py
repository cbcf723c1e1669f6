"""The shipped quiz: what its wording and its forms promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from db import instrument_files
from domain.instruments import BadInstrument, Document
from domain.personality import TRAITS, score

ROOT = Path(__file__).parents[2]


def shipped(code: str) -> Document:
    path = instrument_files.find(code)
    assert path is not None
    return instrument_files.load(path)


QUIZ = shipped("aclue-gifts")


def test_the_quiz_has_25_items_a_third_of_them_reversed_in_two_languages() -> None:
    instrument = QUIZ.instrument
    assert instrument.traits == TRAITS
    assert 20 <= len(instrument.items) <= 25
    assert sum(item.is_reversed for item in instrument.items) * 3 >= len(instrument.items)
    for trait in TRAITS:
        assert {item.is_reversed for item in instrument.of(trait)} == {True, False}
    assert set(QUIZ.texts) == {"en", "de"}


def test_the_short_form_has_eight_items_of_all_traits() -> None:
    short = [item for item in QUIZ.instrument.items if item.is_short]
    assert len(short) == 8
    assert {item.trait for item in short} == set(TRAITS)


NAMED = "advent|intellect|practic|creativ|social|sociab|abenteu|intellek|prakti|kreativ|sozial|gesell"
NEGATIONS = r"\b(not|no|never|n't|kein\w*|nicht|nie)\b.*\b(not|no|never|n't|kein\w*|nicht|nie)\b"


@pytest.mark.parametrize("locale", ["en", "de"])
def test_items_are_short_sentences_that_name_no_trait_and_negate_once_at_most(locale: str) -> None:
    for code, text in QUIZ.texts[locale].items.items():
        assert not re.search(NAMED, text, re.IGNORECASE), code
        assert not re.search(NEGATIONS, text, re.IGNORECASE), code
        assert text.endswith(".") and text.count(".") == 1, code
        assert len(text.split()) <= 16, code


def test_several_items_are_about_presents() -> None:
    assert sum(bool(re.search("present|given|birthday|buy", text)) for text in QUIZ.texts["en"].items.values()) >= 8


def test_norms_are_marked_provisional() -> None:
    assert QUIZ.instrument.is_provisional


def test_opposite_people_get_opposite_types() -> None:
    def agreeing(trait: str) -> dict[str, int]:
        return {
            item.code: 3 if item.trait != trait else (1 if item.is_reversed else 5) for item in QUIZ.instrument.items
        }

    for trait in TRAITS:
        assert score(QUIZ.instrument, agreeing(trait), 90).primary == trait


def test_the_big_five_ship_as_keys_without_norms() -> None:
    document = shipped("ipip-big-five")
    assert len(document.instrument.items) == 50
    assert (document.texts, document.instrument.norms) == ({}, {})


def test_an_unknown_code_is_no_file_and_a_bad_file_is_named(tmp_path: Path) -> None:
    assert instrument_files.find("no-such-quiz") is None
    path = tmp_path / "bad.toml"
    path.write_text("code = 1")
    with pytest.raises(BadInstrument, match=r"bad\.toml: "):
        instrument_files.load(path)
    path.write_bytes((instrument_files.FOLDERS[0] / "aclue-gifts.toml").read_bytes())
    path.with_suffix(".norms.json").write_text("{}")
    with pytest.raises(BadInstrument, match=r"bad\.norms\.json: norms: "):
        instrument_files.load(path)


def test_the_server_imports_nothing_of_training() -> None:
    code = "import cli, server, sys; print([m for m in ('training', 'numpy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
